from datetime import UTC, datetime, timedelta, timezone

import pytest

from course_utils.errors import CourseError
from course_utils.teach.naming import Owner
from course_utils.teach.roster import Roster, Student, read_roster, read_times
from course_utils.teach.times import extended, punctuality

BERLIN = timezone(timedelta(hours=1))
DUE = datetime(2026, 12, 24, 18, tzinfo=BERLIN)


def write(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "roster.csv"
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("separator", [",", ";"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_roster_is_read_as_spreadsheets_write_it(tmp_path, separator, encoding):
    text = "id,Name,EMAIL,extension\r\n s1 ,Zoë Ax,z@x.org,+2d\r\n\r\ns2,,,\r\n".replace(",", separator)
    students = read_roster(write(tmp_path, text, encoding), DUE).students
    assert students == (
        Student("s1", "Zoë Ax", "z@x.org", DUE + timedelta(days=2)),
        Student("s2", "", "", DUE),
    )


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("name,email\nA,b\n", "has no column 'id'. Its first line names the columns: id, name"),
        ("", "has no column 'id'"),
        (f"id,name\nana,{'x' * 200_000}\n", "Line 2 of .* is no row of a table: field larger"),
        ("id,name\ns1,A\nS1,B\n", "Line 3 of .* repeats the id S1"),
        ("id,name\n,A\n", "Line 2 of .* has no id"),
        ("id,extension\ns1,soon\n", "Line 2 of .*: The extension 'soon' is neither"),
    ],
)
def test_a_table_that_is_no_roster_is_one_sentence(tmp_path, text, sentence):
    with pytest.raises(CourseError, match=sentence):
        read_roster(write(tmp_path, text), DUE)


def test_a_file_that_is_missing_or_in_another_encoding_is_said(tmp_path):
    with pytest.raises(CourseError, match="cannot be read: No such file"):
        read_roster(tmp_path / "none.csv", DUE)
    with pytest.raises(CourseError, match="not in UTF-8"):
        read_roster(write(tmp_path, "id,name\ns1,Zoë\n", "latin-1"), DUE)


@pytest.mark.parametrize(
    "extension, due",
    [
        ("", DUE),
        ("+2d", DUE + timedelta(days=2)),
        ("+12h", DUE + timedelta(hours=12)),
        ("2026-12-26T09:00", datetime(2026, 12, 26, 9, tzinfo=BERLIN)),
        ("2026-12-26", datetime(2026, 12, 26, 23, 59, 59, tzinfo=BERLIN)),
        ("2026-12-26T09:00+00:00", datetime(2026, 12, 26, 10, tzinfo=BERLIN)),
    ],
)
def test_an_extension_is_a_span_or_a_time(extension, due):
    assert extended(DUE, extension) == due
    assert extended(None, extension) is None


@pytest.mark.parametrize(
    "came, late, words",
    [
        (DUE, False, "on time"),
        (DUE + timedelta(seconds=20), False, "late by 1 min"),
        (DUE + timedelta(days=1, hours=2, minutes=3), False, "late by 1 d 2 h 3 min"),
        (datetime(2026, 12, 24, 16, 59, tzinfo=UTC), False, "on time"),
        (datetime(2026, 12, 24, 17, 30, tzinfo=UTC), False, "late by 30 min"),
        (None, False, "n/a"),
        (None, True, "late"),
    ],
)
def test_late_is_what_comes_after_the_deadline_in_any_zone(came, late, words):
    assert punctuality(DUE, came, late) == words
    assert punctuality(None, came, late) == "no deadline"


def test_times_are_read_in_the_deadlines_zone(tmp_path):
    path = write(tmp_path, "id,time\nS1,2026-12-24T18:30\ns2,2026-12-24 17:00+00:00\n")
    assert read_times(path, BERLIN) == {"s1": DUE + timedelta(minutes=30), "s2": DUE}
    with pytest.raises(CourseError, match="Line 2 of .* has the time 'noon'"):
        read_times(write(tmp_path, "id,time\ns1,noon\n"), BERLIN)


ROSTER = Roster(
    (
        Student("s1", "Ana María Sol", "ana@x.org"),
        Student("s2", "Ben Low"),
        Student("s3", "Cy Dent"),
        Student("s4", "Cy Dent"),
    )
)


@pytest.mark.parametrize(
    "owner, id",
    [
        (Owner("S1"), "s1"),
        (Owner("ANA@x.org"), "s1"),
        (Owner("101", "Ana María Sol"), "s1"),
        (Owner("101", "solanamaría"), "s1"),
        (Owner("101", "lowben"), "s2"),
        (Owner("101", "Cy Dent"), None),
        (Owner("101", ""), None),
        (Owner("", ""), None),
        (Owner("x"), None),
    ],
)
def test_a_submission_finds_its_student_by_id_mail_or_a_name_that_is_unique(owner, id):
    found, _ = ROSTER.match(owner)
    assert (found and found.id) == id

import csv
import io
import json
from dataclasses import replace

import class_maker
import pytest

from course_utils.errors import CourseError
from course_utils.teach import gradebook, results
from course_utils.teach.journal import open_journal
from course_utils.teach.marks import Mark, Shown, from_data, missing
from course_utils.teach.results import Record, Results, verify, with_history

KEY = class_maker.make_key()
SHOWN = Shown("It differs.", "a case", (("x", "1"), ("y", "[2]")), "hello\n")
MARK = Mark("partly", 1.5, 2, 3, 4, "A mistake.", ("an ordinary case",), "", SHOWN, "aa", "bb", "cc", 0.25)


def made(marks, round=1, graded="2026-12-25T10:00:00+00:00", **record):
    exercises = (("week03.conv2d", 3), ("week03.output_size", 1))
    row = Record(**{"id": "s1", "name": "Ana Sol", "email": "a@x.org", "marks": marks} | record)
    return Results("release-1", "First steps", "week03", round, graded, exercises, {"python": "3.11"}, (row,))


def test_results_are_read_as_they_were_written(tmp_path):
    before = replace(made({"week03.conv2d": MARK}), refused=(("x", "x.ipynb", "is a link"),), history=({"date": "d"},))
    results.write(tmp_path / "r.json", before, KEY)
    assert results.read(tmp_path / "r.json", KEY) == before
    assert verify(tmp_path / "r.json", KEY)[0]


def changed(content):
    content["records"][0]["marks"]["week03.conv2d"]["points"] = 2
    return content


def unsigned(content):
    del content["signature"]
    return content


@pytest.mark.parametrize("change", [changed, unsigned, lambda content: {**content, "signature": "ü"}])
def test_a_changed_file_is_not_valid_and_is_not_built_upon(tmp_path, change):
    path = tmp_path / "r.json"
    results.write(path, made({"week03.conv2d": MARK}), KEY)
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    assert verify(path, KEY) == (False, f"{path} is NOT as `course grade` wrote it: the signature does not fit.")
    with pytest.raises(CourseError, match="was changed after it was written"):
        results.read(path, KEY)


def test_a_file_laid_out_otherwise_stays_valid(tmp_path):
    path = tmp_path / "r.json"
    results.write(path, made({"week03.conv2d": MARK}, name="Zoë"), KEY)
    path.write_text(json.dumps(json.loads(path.read_text()), sort_keys=True))
    assert verify(path, KEY)[0]


def test_results_of_another_release_another_secret_or_no_results_are_told_apart(tmp_path):
    path = tmp_path / "r.json"
    results.write(path, made({}), KEY)
    assert "another release" in verify(path, replace(KEY, release_id="other"))[1]
    assert "does not fit" in verify(path, replace(KEY, secret=b"t" * 32))[1]
    path.write_text("[]")
    assert "not a results file" in verify(path, KEY)[1]
    path.write_text("nonsense")
    with pytest.raises(CourseError, match="it is not JSON"):
        verify(path, KEY)


def test_history_keeps_what_a_regrade_changed_and_nothing_else():
    first = made({"week03.conv2d": MARK, "week03.output_size": missing(1)})
    assert with_history(first, None).history == ()
    again = made({"week03.conv2d": MARK, "week03.output_size": missing(1)}, graded="2026-12-26T10:00:00+00:00")
    assert with_history(again, first).history == ()
    better = made(
        {"week03.conv2d": replace(MARK, points=3.0, status="passed", sha256="dd"), "week03.output_size": missing(1)}, 2
    )
    (entry,) = with_history(better, first).history
    assert (entry["student"], entry["exercise"]) == ("s1", "week03.conv2d")
    assert entry["old"] == {
        **{"points": 1.5, "status": "partly", "sha256": "aa"},
        **{"round": 1, "graded": "2026-12-25T10:00:00+00:00"},
    }
    assert entry["new"] == {"points": 3.0, "status": "passed", "sha256": "dd", "round": 2}
    gone = with_history(made({}), first).history
    assert [entry["new"] for entry in gone] == [None, None]


def test_a_mark_survives_json():
    assert from_data(json.loads(json.dumps(results.marks.as_data(MARK)))) == MARK


def test_a_journal_gives_back_what_was_added(tmp_path):
    path = tmp_path / "j"
    journal = open_journal(path, KEY, 1)
    journal.add("week03.conv2d", MARK)
    journal.close()
    assert open_journal(path, KEY, 1).found == {("week03.conv2d", "bb"): MARK}


def test_a_torn_forged_or_foreign_line_of_a_journal_is_left_out(tmp_path):
    path = tmp_path / "j"
    for key, round in ((KEY, 1), (KEY, 2), (replace(KEY, secret=b"t" * 32), 1)):
        journal = open_journal(path, key, round)
        journal.add(f"week03.{round}", replace(MARK, run_sha256=key.secret.hex()[:2]))
        journal.close()
    whole = path.read_bytes()
    forged = whole.splitlines()[0].replace(b'"points":1.5', b'"points":2.0')
    path.write_bytes(whole + forged + b"\n" + whole[:100])
    journal = open_journal(path, KEY, 1)
    assert list(journal.found) == [("week03.1", "73")]
    journal.add("week03.after", MARK)
    journal.close()
    assert set(open_journal(path, KEY, 1).found) == {("week03.1", "73"), ("week03.after", "bb")}


@pytest.mark.parametrize("cut", range(1, 40))
def test_a_journal_cut_anywhere_loses_only_the_line_that_was_cut(tmp_path, cut):
    path = tmp_path / "j"
    journal = open_journal(path, KEY, 1)
    for number in range(3):
        journal.add("week03.conv2d", replace(MARK, run_sha256=str(number)))
    journal.close()
    path.write_bytes(path.read_bytes()[: -cut * 5])
    found = {sha for _, sha in open_journal(path, KEY, 1).found}
    assert found == {"0", "1"}


def test_a_full_disk_is_one_sentence(tmp_path):
    journal = open_journal(tmp_path / "j", KEY, 1)
    journal.file.close()
    journal.file = open("/dev/full", "wb")  # noqa: SIM115 - the journal closes it
    with pytest.raises(CourseError, match="j cannot be written: No space left on device. Mend that and repeat"):
        journal.add("week03.conv2d", MARK)
    journal.close()


def test_two_gradings_cannot_use_one_journal(tmp_path):
    journal = open_journal(tmp_path / "j", KEY, 1)
    with pytest.raises(CourseError, match="Another `course grade` is writing"):
        open_journal(tmp_path / "j", KEY, 1)
    journal.close()
    open_journal(tmp_path / "j", KEY, 1).close()


def rows(text):
    return list(csv.reader(io.StringIO(text)))


def test_the_table_has_a_column_an_exercise_and_is_empty_where_nothing_was_graded():
    done = made({"week03.conv2d": MARK, "week03.output_size": missing(1)}, handed_in="on time", remarks=("a", "b"))
    nobody = Record("s2", handed_in="missing")
    head, first, second = rows(gradebook.grades(replace(done, records=(*done.records, nobody))))
    assert dict(zip(head, first, strict=True)) == {
        **{"id": "s1", "name": "Ana Sol", "email": "a@x.org", "week03.conv2d": "1.5", "week03.output_size": "0"},
        **{"total": "1.5", "max": "4", "percent": "37.5", "handed_in": "on time", "remarks": "2", "problem": ""},
    }
    assert second == ["s2", "", "", "", "", "", "4", "", "missing", "0", ""]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\r=1", " =cmd|' /C calc'!A0"])
def test_no_cell_that_a_student_names_is_a_formula(text):
    done = made({"week03.conv2d": MARK}, id=text, name=text, email=text, lms_id=text, problem=text)
    for table in (gradebook.grades, gradebook.canvas, gradebook.moodle):
        for row in rows(table(done))[1:]:
            assert not [cell for cell in row if cell.strip(" ").startswith(("=", "+", "-1", "@", "\t", "\r"))]


def test_canvas_finds_its_columns_and_the_points_possible():
    head, possible, row = rows(gradebook.canvas(made({"week03.conv2d": MARK}, id="s1", lms_id="101")))
    assert head == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "First steps"]
    assert possible == ["    Points Possible", "", "", "", "", "4"]
    assert row == ["Ana Sol", "101", "s1", "a@x.org", "", "1.5"]


def test_moodle_finds_its_columns():
    head, row = rows(gradebook.moodle(made({"week03.conv2d": MARK}, lms_id="1234567")))
    assert {"Identifier", "Grade", "Last modified (grade)"} <= set(head)
    assert row == ["Participant 1234567", "Ana Sol", "a@x.org", "1.5", "4", "-"]


def test_an_unknown_gradebook_is_said():
    with pytest.raises(CourseError, match="no gradebook 'blackboard'. Choose canvas or moodle"):
        gradebook.require_gradebook("blackboard")

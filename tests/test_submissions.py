import io
import json
import os
import random
import zipfile
from datetime import UTC, datetime

import class_maker
import pytest

from course_utils.errors import CourseError
from course_utils.teach import archive, attempts, submissions
from course_utils.teach.submissions import collect

RELEASE = "release-1"


def notebook(text="x = 1", release=RELEASE):
    cell = {"cell_type": "code", "id": "a", "metadata": {}, "outputs": [], "execution_count": None, "source": text}
    metadata = {"course": {"release": release}} if release else {}
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": [cell]}).encode()


def text_of(content):
    return content["cells"][0]["source"]


def put(folder, files):
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def zipped(files, compression=zipfile.ZIP_DEFLATED):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", compression) as made:
        for name, content in files.items():
            made.writestr(name, content)
    return data.getvalue()


def collected(path):
    found, refused = collect(path, RELEASE, text_of)
    return {one.owner.id: one for one in found}, {one.source: one.reason for one in refused}


def as_folder(tmp_path, files):
    return put(tmp_path / "handed in", files)


def as_zip(tmp_path, files):
    return put(tmp_path, {"export.zip": zipped(files)}) / "export.zip"


LAYOUTS = {
    "files": {"ana.ipynb": notebook("1"), "ben.ipynb": notebook("2")},
    "folders": {"ana/my work.ipynb": notebook("1"), "ben/x.ipynb": notebook("2")},
    "zips": {"ana.zip": zipped({"deep/down/x.ipynb": notebook("1")}), "ben.zip": zipped({"x.ipynb": notebook("2")})},
    "in one folder": {"submissions/ana/x.ipynb": notebook("1"), "submissions/ben/x.ipynb": notebook("2")},
    "nbgrader": {"submitted/ana/week03/x.ipynb": notebook("1"), "submitted/ben/week03/x.ipynb": notebook("2")},
}


@pytest.mark.parametrize("make", [as_folder, as_zip])
@pytest.mark.parametrize("files", LAYOUTS.values(), ids=LAYOUTS)
def test_a_student_is_the_folder_or_the_file(tmp_path, make, files):
    found, refused = collected(make(tmp_path, files))
    assert {id: one.content for id, one in found.items()} == {"ana": "1", "ben": "2"}
    assert refused == {}


MOODLE = {
    "Ana María Sol_101_assignsubmission_file_/x.ipynb": notebook("1"),
    "Ben Low_102_assignsubmission_file/other name.ipynb": notebook("2"),
    "Cy D_103_assignsubmission_file_x.ipynb": notebook("3"),
    "Di E_104_assignsubmission_file_/all.zip": zipped({"x.ipynb": notebook("4")}),
}
CANVAS = {
    "solana_101_9001_x.ipynb": notebook("1"),
    "lowben_LATE_102_9002_x-1.ipynb": notebook("2"),
    "dcy_103_9003_work.zip": zipped({"x.ipynb": notebook("3")}),
    "edi_104_9004_x_y_z.ipynb": notebook("4"),
}


@pytest.mark.parametrize("make", [as_folder, as_zip])
@pytest.mark.parametrize(
    "files, names, late",
    [(MOODLE, ["Ana María Sol", "Ben Low", "Cy D", "Di E"], []), (CANVAS, ["solana", "lowben", "dcy", "edi"], ["102"])],
    ids=["moodle", "canvas"],
)
def test_an_lms_export_gives_its_own_ids_and_names(tmp_path, make, files, names, late):
    found, refused = collected(make(tmp_path, files))
    assert {id: one.content for id, one in found.items()} == {"101": "1", "102": "2", "103": "3", "104": "4"}
    assert [one.owner.name for one in found.values()] == names
    assert [id for id, one in found.items() if one.owner.late] == late
    assert refused == {}


def test_a_name_below_the_first_cannot_make_a_file_another_students(tmp_path):
    files = {
        "Ana_101_assignsubmission_file_/Ben_102_assignsubmission_file_/x.ipynb": notebook("1"),
        "Cy_103_assignsubmission_file_/low_102_9_x.ipynb": notebook("3"),
    }
    assert list(collected(as_zip(tmp_path, files))[0]) == ["101", "103"]


@pytest.mark.parametrize(
    "data, reason",
    [
        (notebook(release="other"), "belongs to another release"),
        (notebook(release=None), "has no release id"),
        (b"{", "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}", "not JSON"),
        (b"9" * 10_000, "not JSON"),
        (b"[1, 2]", "not a notebook of format 4"),
        (b'{"nbformat": 4, "metadata": {}, "cells": [1]}', "not a notebook of format 4"),
        (b'{"nbformat": 4, "metadata": {"course": []}, "cells": []}', "has no release id"),
        (b'{"nbformat": 4, "metadata": {"course": {"release": ["x"]}}, "cells": []}', "has no release id"),
        (b" " * (archive.MEMBER_BYTES + 1), "larger than 20 MB"),
    ],
)
def test_what_is_no_submission_is_listed_with_the_reason(tmp_path, data, reason):
    found, refused = collected(as_folder(tmp_path, {"ana.ipynb": data, "ben.ipynb": notebook()}))
    assert list(found) == ["ben"]
    assert list(refused) == ["ana.ipynb"] and reason in refused["ana.ipynb"]


def test_two_different_notebooks_of_one_student_are_refused_and_copies_are_one(tmp_path):
    files = {
        "ana/a.ipynb": notebook("1"),
        "ana/b.ipynb": notebook("2"),
        "ben/a.ipynb": notebook(),
        "ben/b.ipynb": notebook(),
    }
    found, refused = collected(as_folder(tmp_path, files))
    assert list(found) == ["ben"]
    assert set(refused) == {"ana/a.ipynb", "ana/b.ipynb"}
    assert "no time tells which is the newest" in refused["ana/a.ipynb"]


def test_nbgraders_time_stamp_decides_and_a_students_own_does_not(tmp_path):
    stamp = b"2026-12-24 17:00:00.123 Europe/Berlin"
    files = {"submitted/ana/week03/x.ipynb": notebook(), "submitted/ana/week03/timestamp.txt": stamp}
    found, _ = collected(as_folder(tmp_path, files))
    assert found["ana"].time.astimezone(UTC) == datetime(2026, 12, 24, 16, 0, 0, 123000, tzinfo=UTC)
    forged = {"ana/week03/x.ipynb": notebook(), "ana/week03/timestamp.txt": stamp, "ben/week03/x.ipynb": notebook()}
    found, _ = collected(put(tmp_path / "other", forged))
    assert found["ana"].time is None


def test_the_newest_by_nbgraders_time_counts(tmp_path):
    files = {
        "submitted/ana/first/x.ipynb": notebook("old"),
        "submitted/ana/first/timestamp.txt": b"2026-12-23 10:00:00 UTC",
        "submitted/ana/again/x.ipynb": notebook("new"),
        "submitted/ana/again/timestamp.txt": b"2026-12-24 10:00:00 UTC",
    }
    assert collected(as_folder(tmp_path, files))[0]["ana"].content == "new"


def test_file_dates_never_count(tmp_path):
    folder = as_folder(tmp_path, {"ana/a.ipynb": notebook("1"), "ana/b.ipynb": notebook("2")})
    os.utime(folder / "ana/a.ipynb", (1, 1))
    assert collected(folder)[0] == {}


def test_links_and_pipes_are_not_followed(tmp_path):
    secret = put(tmp_path, {"secret.ipynb": notebook("secret"), "elsewhere/x.ipynb": notebook("secret")})
    folder = as_folder(tmp_path, {"ben.ipynb": notebook()})
    (folder / "ana.ipynb").symlink_to(secret / "secret.ipynb")
    (folder / "cy").symlink_to(secret / "elsewhere", target_is_directory=True)
    os.mkfifo(folder / "di.ipynb")
    found, refused = collected(folder)
    assert list(found) == ["ben"]
    assert refused == {"ana.ipynb": "is a link", "di.ipynb": "is no plain file"}


def link_in_zip():
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as made:
        info = zipfile.ZipInfo("x.ipynb")
        info.external_attr = 0o120777 << 16
        made.writestr(info, "/etc/passwd")
    return data.getvalue()


def nameless():
    """A zip whose first member has no name, beside a notebook that is none."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as made:
        made.writestr(zipfile.ZipInfo(""), b"")
        made.writestr("x.ipynb", b"")
    return data.getvalue()


# A bzip2 file of a billion zeros in 723 bytes would be unpacked whole by Python's zipfile.
BOMBS = {
    "zeros": (zipped({"x.ipynb": b"0" * 30_000_000}), "larger than 20 MB"),
    "bzip2": (zipped({"x.ipynb": b"0" * 30_000_000}, zipfile.ZIP_BZIP2), "packed in a way"),
    "many": (zipped({f"{i}.ipynb": b"" for i in range(10_001)}), "more than 10,000 files"),
    "in a zip": (zipped({"a.zip": zipped({"b.zip": zipped({"x.ipynb": notebook()})})}), "a zip in a zip in a zip"),
    "up": (zipped({"../../x.ipynb": notebook()}), "leads out of the archive"),
    "absolute": (zipped({"/etc/x.ipynb": notebook()}), "leads out of the archive"),
    "windows": (zipped({"C:\\x.ipynb": notebook()}), "leads out of the archive"),
    "link": (link_in_zip(), "is a link"),
    "cut off": (zipped({"x.ipynb": random.Random(0).randbytes(5000)})[:3000], "cannot be read as a zip"),
    "nameless": (nameless(), "is not JSON"),
    "no zip": (b"PK\x05\x06 and nothing", "cannot be read as a zip"),
}


@pytest.mark.parametrize("data, reason", BOMBS.values(), ids=BOMBS)
def test_a_hostile_archive_harms_only_its_own_student(tmp_path, data, reason):
    before = sorted(tmp_path.rglob("*"))
    made = as_zip(tmp_path, {"ana.zip": data, "ben/x.ipynb": notebook()})
    found, refused = collected(made)
    assert list(found) == ["ben"]
    assert refused and all(reason in one for one in refused.values()), refused
    assert sorted(tmp_path.rglob("*")) == sorted([*before, made])


def test_zips_in_a_students_zip_do_not_multiply(tmp_path):
    inner = zipped({f"{i}.ipynb": b"" for i in range(1_000)})
    folder = as_folder(tmp_path, {"ana.zip": zipped({f"{i}.zip": inner for i in range(3)}), "ben.ipynb": notebook()})
    found, refused = collected(folder)
    assert list(found) == ["ben"]
    assert "holds more than 100 notebooks" in refused["ana.zip/0.zip"]
    assert len(refused) == 3 * 101


def test_a_folder_that_cannot_be_read_is_listed(tmp_path, monkeypatch):
    folder, scan = as_folder(tmp_path, {"ana/x.ipynb": notebook(), "ben/x.ipynb": notebook()}), os.scandir

    def scandir(path):
        if os.path.basename(path) == closed:
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    closed = "ana"
    found, refused = collected(folder)
    assert list(found) == ["ben"] and refused == {"ana/": "cannot be read"}
    closed = folder.name
    with pytest.raises(CourseError, match="cannot be read. Choose a folder"):
        collected(folder)


def test_damaged_data_in_a_zip_is_refused(tmp_path):
    data = bytearray(zipped({"x.ipynb": notebook("y" * 5000)}))
    data[60:80] = b"\0" * 20
    found, refused = collected(as_zip(tmp_path, {"ana.zip": bytes(data), "ben/x.ipynb": notebook()}))
    assert list(found) == ["ben"] and "is damaged" in "".join(refused.values())


def test_a_huge_table_of_contents_is_not_read_into_memory(tmp_path):
    entry = b"PK\1\2" + bytes(24) + (60000).to_bytes(2, "little") + bytes(16) + b"n" * 60000
    contents = entry * 100
    end = b"PK\5\6" + bytes(4) + (100).to_bytes(2, "little") * 2 + len(contents).to_bytes(4, "little") + bytes(6)
    (tmp_path / "x.zip").write_bytes(contents + end)
    with pytest.raises(CourseError, match="cannot be read as a zip"):
        collect(tmp_path / "x.zip", RELEASE, text_of)


def test_one_students_files_do_not_keep_anothers_from_being_read(tmp_path, monkeypatch):
    monkeypatch.setattr(submissions, "STUDENT_BYTES", 3000)
    files = {f"ana/{i}.ipynb": notebook("x" * 1000) for i in range(5)} | {f"ben/{i}.ipynb": b"" for i in range(30)}
    found, refused = collected(as_folder(tmp_path, {**files, "cy/x.ipynb": notebook()}))
    assert list(found) == ["ana", "cy"]
    assert sum("more than 0 MB" in one for one in refused.values()) == 2
    assert sum("are the most" in one for one in refused.values()) == 10


def test_names_that_are_no_text_are_shown_and_do_no_harm(tmp_path):
    folder = as_folder(tmp_path, {"ben.ipynb": notebook()})
    with open(os.fsencode(folder) + b"/\xff\x1b[31m.ipynb", "wb") as file:
        file.write(notebook())
    data = zipped({"placeholder": b""}).replace(b"placeholder", b"\xff\xfe\x80\x81.ipynb"[:11])
    (folder / "cy.zip").write_bytes(data)
    found, refused = collected(folder)
    assert "ben" in found
    assert any(id.startswith("\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}[31m ~") for id in found)
    assert all(id.isprintable() for id in found)
    assert all(name.isprintable() for name in refused)


def test_an_empty_folder_and_a_path_that_is_nothing_are_said(tmp_path):
    with pytest.raises(CourseError, match="no notebooks in"):
        collect(tmp_path, RELEASE, text_of)
    with pytest.raises(CourseError, match="neither a folder nor a zip"):
        collect(tmp_path / "x.txt", RELEASE, text_of)


KEY = class_maker.make_key()
ID, NAME = "week03.output_size", "my_output_size"
ANSWER = f"def {NAME}(n, k, p, s):\n    return 1"


def taken(change, answers=None):
    made = class_maker.filled(KEY, {ID: ANSWER} if answers is None else answers)
    change(made)
    made = json.loads(json.dumps(made))
    found = attempts.take(attempts.Release(KEY), made)
    return found.texts[ID], " ".join(found.remarks)


def cell_of(made, id=None):
    wanted = id or next(one.cell for one in KEY.exercises if one.id == ID)
    return next(cell for cell in made["cells"] if cell.get("id") == wanted)


def code(text, **more):
    return {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None, "source": text, **more}


def test_an_untouched_notebook_has_no_remarks():
    assert taken(lambda made: None) == (ANSWER, "")
    assert taken(lambda made: None, {}) == ("".join(cell_of(KEY.notebook)["source"]), "")


def test_only_the_attempts_text_is_taken_and_the_rest_is_reported():
    def change(made):
        check = next(one.check_cell for one in KEY.exercises if one.id == ID)
        cell_of(made, check)["source"] = "print('10 points')"
        made["cells"] += [code("import os"), code("x = 1", id="new")]
        made["metadata"]["course"]["points"] = 100
        made["metadata"]["kernelspec"] = {"name": "other"}

    text, remarks = taken(change)
    assert text == ANSWER
    assert f"{ID}: its check was changed." in remarks
    assert "2 cells were added, and not run." in remarks
    assert "The notebook's metadata was changed." in remarks


def test_an_attempt_without_its_id_is_found_by_its_name():
    def change(made):
        cell_of(made)["id"] = "other"

    text, remarks = taken(change)
    assert text == ANSWER and "found by its name" in remarks


def test_the_attempts_own_cell_counts_where_another_defines_the_name_too():
    text, remarks = taken(lambda made: made["cells"].append(code(f"{NAME} = None", id="late")))
    assert text == ANSWER and "another cell defines" in remarks


def test_two_cells_with_the_attempts_id_are_reported():
    def change(made):
        made["cells"].append({**cell_of(made), "source": "second"})

    text, remarks = taken(change)
    assert text == ANSWER and "2 cells have the attempt's id" in remarks


def test_a_missing_attempt_is_none():
    text, remarks = taken(lambda made: None, {ID: None})
    assert text is None and "no cell with the attempt" in remarks


@pytest.mark.parametrize("source", [None, 5, {"a": 1}, [1, None, {}], ["x", 3]])
def test_a_source_that_is_no_text_does_no_harm(source):
    text, _ = taken(lambda made: cell_of(made).update(source=source))
    assert text in ("", "x")


def test_ids_and_metadata_of_any_type_do_no_harm():
    def change(made):
        made["cells"] += [code("x", id=[1]), code("x", id={}, metadata=5), {}, {"cell_type": ["code"]}]
        cell_of(made)["metadata"] = {"nbgrader": [1]}

    text, remarks = taken(change)
    assert text == ANSWER and "Points or locks" in remarks


def test_an_attempt_too_long_to_run_is_missing():
    text, remarks = taken(lambda made: None, {ID: ANSWER + "#" * 100_000})
    assert text is None and "longer than 100,000" in remarks


def test_text_that_utf8_cannot_write_is_replaced():
    text, _ = taken(lambda made: cell_of(made).update(source="x = '\ud800'"))
    assert text == "x = '?'"


def test_magics_are_left_out_and_lines_keep_their_numbers():
    given = "%%time\n!rm -rf /\nx = (7\n  %y)\nif x:\n    %matplotlib inline\nlen?\nz = 5 % 3"
    assert attempts.without_magics(given) == "pass\npass\nx = (7\n  %y)\nif x:\n    pass\npass\nz = 5 % 3"


@pytest.mark.parametrize("before", ["# a smile :(", "s = '('", 's = """\n(\n"""', "it's"])
def test_brackets_in_strings_and_comments_hide_no_magic(before):
    assert attempts.without_magics(f"{before}\n%time f()") == f"{before}\npass"


def test_lines_of_a_string_are_no_magics():
    given = 'PROMPT = """\n%d items\n! Now\nWhy?\n"""'
    assert attempts.without_magics(given) == given


def test_hostile_quotes_take_no_time_to_speak_of():
    for text in ("'" + "\\'" * 49_000, "'''" + "\\'" * 49_000, "\n" * 99_000, '"""' * 33_000):
        attempts.without_magics(text)


def test_the_indentation_of_a_whole_cell_does_not_count():
    text, _ = taken(lambda made: cell_of(made).update(source="    def my_conv2d(x):\n        return x\n\n    y = 1"))
    assert text == "def my_conv2d(x):\n    return x\n\ny = 1"


def test_a_notebook_with_ten_thousand_cells_is_read(tmp_path):
    made = class_maker.filled(KEY, {ID: ANSWER})
    made["cells"] += [code(f"my_conv2d = {i}", id=f"extra-{i}") for i in range(10_000)]
    class_maker.write(tmp_path, "ana", made)
    take = lambda content: attempts.take(attempts.Release(KEY), content)  # noqa: E731
    (found,), _ = collect(tmp_path, RELEASE, take)
    assert found.content.texts[ID] == ANSWER
    assert "10000 cells were added, and not run." in found.content.remarks

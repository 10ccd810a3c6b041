"""`syllabus.md` writes itself, and the committed one is not stale."""

import json

import pytest
from notebook_maker import make

from course_utils.book import syllabus
from course_utils.gpu.device import GIB
from course_utils.learn import paths
from course_utils.run.history import Cost, Shipped

PASSPORT = {
    "title": "Week 05 · Text: who said it?",
    "build": "a reader of this | that",
    "objectives": ["read"],
    "prerequisites": ["week 03: tensors, autograd", "weeks 00 and 01: memory", "week 02 helps: classes"],
    "minutes": 150,
    "downloads": "none",
    "extra": None,
    "licences": {},
    "gpu": True,
    "vram": {"estimated_bytes": 3 * GIB, "measured": None},
    "quiz": [],
}
SHIPPED = Shipped(("2026-01-02", "2026-03-04"), 2, {("week05", "cpu"): Cost(67.6, 300 * 2**20)})


def lesson(folder, name, **changes):
    make(folder, name, course=PASSPORT | {"lesson": name.partition("_")[0]} | changes)


def lines(folder, shipped=SHIPPED):
    """The lines of the table by their first cell."""
    rows = [line for line in syllabus.text(folder, shipped).splitlines() if line.startswith("| ")]
    return {row.split(" | ")[0].removeprefix("| "): row.split(" | ")[1:] for row in rows}


def test_the_committed_syllabus_says_what_the_lessons_and_the_measurements_say():
    committed = (paths.project_dir() / "syllabus.md").read_text(encoding="utf-8")
    assert committed == syllabus.text(), "type `course syllabus`"


def test_a_row_is_made_from_the_passport_and_from_what_its_run_took(tmp_path):
    lesson(tmp_path, "week05_words")
    row = lines(tmp_path)["[Week 05 · Text: who said it?](notebooks/week05_words.ipynb)"]
    assert row[:3] == ["a reader of this \\| that", "2.5", "week 03; weeks 00 and 01; week 02 helps"]
    assert row[3:] == ["1 min 08 s, 300 MiB", "3.00 GiB estimated; not measured yet", "**ready** |"]


def test_a_lesson_without_a_gpu_and_one_that_no_run_measured_say_so(tmp_path):
    lesson(tmp_path, "week06_x", title="Six", gpu=False, vram=None)
    assert lines(tmp_path)["[Six](notebooks/week06_x.ipynb)"][3:5] == ["not measured yet", "none needed"]


def test_a_planned_lesson_leaves_its_row_to_the_notebook(tmp_path):
    assert "Week 05 · Text" in lines(tmp_path)
    lesson(tmp_path, "week05_words")
    names = list(lines(tmp_path))
    assert names[2].startswith("[Week 05 · Text: who said it?](") and names[3].startswith("Week 06")
    assert "Week 05 · Text" not in names
    lesson(tmp_path, "week20_x", title="Twenty")
    assert list(lines(tmp_path)).index("Electives") > list(lines(tmp_path)).index("[Twenty](notebooks/week20_x.ipynb)")


def test_the_prose_says_how_many_lessons_and_hours_and_when_they_were_measured(tmp_path):
    for name, minutes in (("week05_words", 150), ("week06_x", 90)):
        lesson(tmp_path, name, minutes=minutes)
    text = " ".join(syllabus.text(tmp_path, SHIPPED).split())
    assert "2 lessons today" in text and "about 4 hours" in text and "the longest runs for 1 min 08 s" in text
    assert "measured on 2026-01-02, 2026-03-04" in text


def test_what_was_measured_on_a_card_is_in_the_row(tmp_path, monkeypatch):
    monkeypatch.setattr("course_utils.learn.measured.FOLDER", tmp_path)
    card = {"card": "NVIDIA GeForce RTX 4070 Ti", "card_total_bytes": 12 * GIB, "cap": None}
    row = {"name": "one", "status": "measured", "process_bytes": 5 * GIB, "reserved_bytes": None, "context_bytes": None}
    head = {"kind": "gpu contract", "date": "2026-05-06T00:00:00", "device": "cuda", "tiny": False} | card
    (tmp_path / "a.json").write_text(json.dumps(head | {"rows": [row]}))
    lesson(tmp_path, "week06_x", title="Six", vram={"estimated_bytes": 4 * GIB, "measured": ["one"]})
    words = lines(tmp_path)["[Six](notebooks/week06_x.ipynb)"][4]
    assert words == "4.00 GiB estimated; 5.00 GiB (RTX 4070 Ti, 2026-05-06)"


@pytest.fixture
def clone(tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    for module in ("course_utils.book.syllabus", "course_utils.learn.catalog"):
        monkeypatch.setattr(f"{module}.project_dir", lambda: tmp_path)
    lesson(tmp_path / "notebooks", "week05_words")
    return tmp_path


def test_check_says_that_it_is_stale_writes_nothing_and_is_content_after_the_command(clone, capsys):
    assert syllabus.show(check=True) == 1 and not (clone / "syllabus.md").exists()
    assert "Type `course syllabus`." in capsys.readouterr().out
    assert syllabus.show(check=False) == 0 and syllabus.show(check=True) == 0
    lesson(clone / "notebooks", "week05_words", minutes=60)
    old = (clone / "syllabus.md").read_text()
    assert syllabus.show(check=True) == 1 and (clone / "syllabus.md").read_text() == old

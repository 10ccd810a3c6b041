"""Where a run's report goes: never over a lesson, never mixed with an earlier run; and that two jobs overlap."""

import json
from datetime import datetime
from types import SimpleNamespace

import pytest
from notebook_maker import make

from course_utils.errors import CourseError
from course_utils.run import course, machine, plan, pool, task
from course_utils.run.containment import watchdog

HELD = watchdog("a test says so")
MEET = """
import time
from pathlib import Path
Path("{me}").touch()
deadline = time.monotonic() + 60
while not Path("{other}").exists():
    assert time.monotonic() < deadline, "the other one never came"
    time.sleep(0.02)
"""


def test_the_executed_copy_never_replaces_the_lesson(tmp_path):
    (tmp_path / "lessons").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "lessons")
    lesson = make(tmp_path / "lessons", "made_up")
    before = lesson.path.read_bytes()
    for folder in ("lessons", "link"):
        with pytest.raises(CourseError, match=r"would replace made_up\.ipynb itself"):
            course.run_course([lesson], report_dir=tmp_path / folder, containment=HELD)
    assert lesson.path.read_bytes() == before
    assert list((tmp_path / "lessons").iterdir()) == [lesson.path]


def test_a_folder_s_name_that_is_too_long_is_refused(tmp_path):
    with pytest.raises(CourseError, match="could not be written: File name too long"):
        course.run_course([make(tmp_path, "made_up")], report_dir=tmp_path / ("x" * 300), containment=HELD)


def test_runs_of_one_second_get_folders_of_their_own(tmp_path, monkeypatch):
    moment = datetime(2026, 1, 2, 3, 4, 5)
    monkeypatch.setenv("COURSE_RUNS_DIR", str(tmp_path / "runs"))
    monkeypatch.setattr(plan, "datetime", SimpleNamespace(now=lambda: moment))
    lesson, names = make(tmp_path, "made_up"), []
    for _ in range(3):
        names.append(plan.make([lesson], None, {}, None, 9, None, HELD).folder.relative_to(tmp_path).as_posix())
        (tmp_path / names[-1]).mkdir(parents=True)
    assert names == ["runs/2026-01-02_03-04-05", "runs/2026-01-02_03-04-05_2", "runs/2026-01-02_03-04-05_3"]


def test_a_second_run_into_the_same_folder_shows_nothing_of_the_first(tmp_path, monkeypatch):
    lesson, folder, seen = make(tmp_path, "made_up"), tmp_path / "report", []

    def look(one, *_):
        status = json.loads((folder / "report.json").read_text())["status"]
        seen.append((sorted(path.name for path in folder.iterdir()), status))
        return task.Result(task.Outcome("passed", 0.1, None, None, None))

    monkeypatch.setattr(pool, "perform", look)
    for _ in range(2):
        course.run_course([lesson], report_dir=folder, containment=HELD)
        assert {"report.html", "junit.xml"} <= {path.name for path in folder.iterdir()}
    assert seen == [(["receipts", "report.json", "run.json"], "running")] * 2


@pytest.mark.parametrize(
    ("driver", "profile", "waits"),
    [("580.1", None, True), ("580.1", "gpu12", True), ("580.1", "cpu", False), (None, None, False)],
)
def test_lessons_queue_for_the_card_only_where_there_is_one_to_use(tmp_path, monkeypatch, driver, profile, waits):
    monkeypatch.setattr(machine, "gpus", lambda: ("0",) if driver else ())
    lesson = make(tmp_path, "made_up", course={"gpu": True})
    made = plan.make([lesson], profile, {}, None, 9, tmp_path / "report", HELD)
    assert (made.needs["made_up"].uses_gpu and made.capacity.gpus == ("0",)) is waits


@pytest.mark.slow
def test_two_jobs_overlap(tmp_path):
    # Each of the two waits for a file that the other writes, so neither could pass alone.
    lessons = [make(tmp_path, me, MEET.format(me=me, other=other)) for me, other in ("ab", "ba")]
    report = course.run_course(lessons, jobs=2, report_dir=tmp_path / "report", timeout_seconds=120)
    assert [row.status for row in report.lessons] == ["passed", "passed"]

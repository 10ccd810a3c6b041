"""A run that was cut off goes on: what had ended stays, the rest runs; crashed notebooks get another try."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from notebook_maker import make

from course_utils.errors import CourseError
from course_utils.learn.paths import runs_dir
from course_utils.run import pool, resume
from course_utils.run.containment import watchdog
from course_utils.run.course import resume_course, run_course
from course_utils.run.task import Outcome, Result

HELD = watchdog("a test says so")
COURSE = str(Path(sys.executable).with_name("course"))
CRASH = {"cell": 1, "prompt": 1, "source": "x", "name": "DeadKernelError", "message": "killed"}


@pytest.fixture
def performed(monkeypatch):
    """Lessons that a run performs; those with "fails" fail, "crashes" crash, "stop" ends the run as Ctrl-C would."""
    done = []

    def perform(task, stop, *_):
        done.append(task.lesson)
        code = json.loads(task.source)["cells"][-1]["source"]
        if code == "stop":
            os.kill(os.getpid(), signal.SIGINT)
            stop.wait(10)
            return Result(Outcome("stopped", 0.1, None, CRASH, None))
        if code == "crashes" and done.count(task.lesson) < 3:
            return Result(Outcome("crashed", 0.1, 7, CRASH, None, signal="SIGKILL"))
        if code == "fails":
            return Result(Outcome("failed", 0.1, None, CRASH, None))
        return Result(Outcome("passed", 0.1, None, None, None), task.source, None, {"weights": b"w"})

    monkeypatch.setattr(pool, "perform", perform)
    return done


def run(lessons, folder=None, **options):
    return run_course(lessons, report_dir=folder, containment=HELD, jobs=1, **options)


def statuses(report):
    return {row.lesson: row.status for row in report.lessons}


def cut_off(tmp_path, folder=None, **options):
    """A run of a failing, a good and a stopped lesson, and one after them; its lessons."""
    codes = {"a": "fails", "b": "x = 1", "c": "stop", "d": "x = 2"}
    lessons = [make(tmp_path, name, code) for name, code in codes.items()]
    report = run(lessons, folder, **options)
    assert statuses(report) == {"a": "failed", "b": "passed", "c": "stopped", "d": "not run"}
    assert report.exit_status == 130
    make(tmp_path, "c", "x = 3")
    return lessons


def test_a_resumed_run_keeps_what_had_ended_and_runs_the_rest(tmp_path, performed):
    cut_off(tmp_path, parameters={"epochs": 2}, timeout_seconds=77)
    report = resume_course(containment=HELD)
    assert performed == ["a", "b", "c", "c", "d"]
    assert statuses(report) == {"a": "failed", "b": "passed", "c": "passed", "d": "passed"}
    assert (report.parameters, report.timeout_seconds, report.jobs) == ({"epochs": 2}, 77, 1)
    assert (report.folder / "artefacts" / "b" / "weights").read_bytes() == b"w"
    assert (report.folder / "report.html").exists()


def test_a_resumed_run_runs_again_what_changed_meanwhile(tmp_path, performed):
    cut_off(tmp_path)
    make(tmp_path, "b", "x = 9")
    resume_course(containment=HELD)
    assert sorted(performed[3:]) == ["b", "c", "d"]


def test_a_folder_can_be_named_and_half_written_files_in_it_go(tmp_path, performed):
    folder = tmp_path / "report"
    cut_off(tmp_path, folder)
    (folder / ".c.ipynb.x1.part").write_text("half")
    (folder / "artefacts" / ".part-x").mkdir()
    with pytest.raises(CourseError, match="There is nothing to resume: no run in .*runs was cut off"):
        resume_course(containment=HELD)
    assert resume_course(folder, containment=HELD).folder == folder
    assert [path.name for path in folder.rglob(".*")] == []


def test_nothing_to_resume_is_said_plainly(tmp_path, performed):
    with pytest.raises(CourseError, match="There is nothing to resume.*`course run --all` starts a new one"):
        resume_course()
    run([make(tmp_path, "a", "x = 1")])
    with pytest.raises(CourseError, match="There is nothing to resume"):
        resume_course()


def test_a_run_that_is_still_under_way_is_not_resumed(tmp_path, performed):
    folder = tmp_path / "report"
    cut_off(tmp_path, folder)
    with resume.held(folder), pytest.raises(CourseError, match="Another run is writing its report to"):
        resume_course(folder)


@pytest.mark.parametrize("content", ["", "{}", '{"notebooks": 3, "settings": {}}'])
def test_damaged_settings_are_one_sentence(tmp_path, performed, content):
    folder = tmp_path / "report"
    cut_off(tmp_path, folder)
    (folder / "run.json").write_text(content)
    with pytest.raises(CourseError, match="cannot be resumed, because run.json"):
        resume_course(folder)


def test_the_newest_run_is_resumed_whatever_the_files_clock_says(tmp_path, performed):
    old, new = runs_dir() / "2026-01-01", runs_dir() / "2026-01-02"
    for folder in (new, old):
        cut_off(tmp_path, folder)
        (runs_dir() / "costs.json").unlink()  # so that both runs take the lessons in one order
    for folder, started in ((old, "2026-01-01T00:00:00+00:00"), (new, "2026-01-02T00:00:00+00:00")):
        content = json.loads((folder / "report.json").read_text()) | {"started": started}
        (folder / "report.json").write_text(json.dumps(content))
    assert resume_course(containment=HELD).folder == new


def test_a_crashed_notebook_gets_its_retries_and_the_row_says_how_many(tmp_path, performed):
    lesson = make(tmp_path, "a", "crashes")
    report = run([lesson], tmp_path / "report", retries=3)
    [row] = report.lessons
    assert (row.status, row.attempts, row.signal) == ("passed", 3, None)
    assert performed == ["a"] * 3


def test_retries_end_and_a_wrong_result_gets_none(tmp_path, performed):
    lessons = [make(tmp_path, "a", "crashes"), make(tmp_path, "b", "fails")]
    crashed, failed = run(lessons, tmp_path / "report", retries=1).lessons
    assert (crashed.status, crashed.attempts, crashed.signal, crashed.peak_bytes) == ("crashed", 2, "SIGKILL", 7)
    assert (failed.status, failed.attempts) == ("failed", 1)
    assert sorted(performed) == ["a", "a", "b"]


def test_a_negative_number_of_retries_is_refused(tmp_path):
    with pytest.raises(CourseError, match="--retries must be 0 or more, not -1"):
        run([make(tmp_path, "a")], tmp_path / "report", retries=-1)


def test_a_lost_machine_is_a_crash_with_a_sentence(tmp_path, monkeypatch):
    def lose(task, stop, *_):
        raise RuntimeError("the worker at tcp://10.0.0.7 went away")

    monkeypatch.setattr(pool, "perform", lose)
    [row] = run([make(tmp_path, "a")], tmp_path / "report", retries=1).lessons
    assert (row.status, row.attempts, row.seconds) == ("crashed", 2, None)
    assert "went away" in row.error.message


ONCE = """
import os, signal
from pathlib import Path
mark = Path({mark!r})
if not mark.exists():
    mark.touch()
    held = bytearray(150 * 2**20)
    os.kill(os.getpid(), signal.SIGKILL)
"""
WRITES = "import os\nfrom pathlib import Path\n(Path(os.environ['COURSE_ARTEFACTS']) / 'weights').write_text('trained')"
READS = """
import os
from pathlib import Path
found = [path.relative_to(os.environ["COURSE_BUILDS_ON"]) for path in Path(os.environ["COURSE_BUILDS_ON"]).rglob("*")]
assert sorted(map(str, found)) == ["made", "made/weights"], found
"""


@pytest.mark.slow
def test_real_kernels_hand_over_artefacts_and_one_that_was_killed_is_run_again(tmp_path):
    lessons = [
        make(tmp_path, "reads", READS, course={"builds_on": ["made", "not_in_this_run"]}),
        make(tmp_path, "made", WRITES),
        make(tmp_path, "once", ONCE.format(mark=str(tmp_path / "mark"))),
        make(tmp_path, "always", ONCE.format(mark="/no/such/folder").replace("mark.touch()", "pass")),
    ]
    report = run_course(lessons, report_dir=tmp_path / "report", jobs=2, retries=1)
    reads, made, once, always = report.lessons
    assert (reads.status, reads.error, made.status) == ("passed", None, "passed")
    assert (once.status, once.attempts, once.signal) == ("passed", 2, None)
    assert (always.status, always.attempts, always.signal) == ("crashed", 2, "SIGKILL")
    assert always.peak_bytes > 150 * 2**20
    assert (report.folder / "artefacts" / "made" / "weights").read_text() == "trained"


@pytest.mark.slow
def test_a_killed_command_is_resumed_by_the_command(tmp_path):
    ready = tmp_path / "ready"
    waits = f"import time\nfrom pathlib import Path\nif not Path({str(ready)!r}).exists():\n    Path({str(ready)!r}).touch()\n    time.sleep(600)"
    lessons = [make(tmp_path, "first", "x = 1"), make(tmp_path, "second", waits)]
    words = [COURSE, "run", *(str(one.path) for one in lessons), "--jobs", "1"]
    runner = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not ready.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    tree = psutil.Process(runner.pid).children(recursive=True)
    runner.kill()
    runner.wait()
    assert psutil.wait_procs(tree, timeout=5)[1] == []
    again = subprocess.run([COURSE, "run", "--resume", "--log", "json"], capture_output=True, text=True, timeout=100)
    events = [json.loads(line) for line in again.stdout.splitlines()]
    ran = [one["lesson"] for one in events if one["event"] == "lesson" and one["status"] == "running"]
    assert (again.returncode, again.stderr, ran) == (0, "", ["second"])
    nothing = subprocess.run([COURSE, "run", "--resume"], capture_output=True, text=True, timeout=100)
    assert nothing.returncode == 2
    assert "There is nothing to resume" in nothing.stderr

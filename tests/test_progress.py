import os
import signal
import sqlite3
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest

from course_utils.errors import CourseError
from course_utils.learn import progress

WRITES = """
import sys
from course_utils.learn import progress
print("ready", flush=True)
sys.stdin.readline()
for number in range({count}):
    notice = progress.record("week01." + sys.argv[1], "not yet", number)
    assert notice == "", notice
"""


def start_writer(name, count):
    return subprocess.Popen(
        [sys.executable, "-c", WRITES.format(count=count), name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def rows():
    with sqlite3.connect(progress.path()) as base:
        return base.execute("SELECT exercise, status, points FROM checks ORDER BY number").fetchall()


def test_the_table_shows_latest_and_best(own_folders):
    for status, points in (("not attempted", 0), ("not yet", 0), ("passed", 2), ("not yet", 0)):
        assert progress.record("week01.rmse", status, points) == ""
    progress.record("week00.card", "not attempted", 0)
    card, rmse = progress.table()
    assert (card.lesson, card.exercise, card.latest, card.best) == ("week00", "week00.card", *["not attempted"] * 2)
    assert (card.points, card.attempts) == (0, 0)
    assert (rmse.latest, rmse.best, rmse.points, rmse.attempts) == ("not yet", "passed", 2, 3)
    assert timedelta(0) <= datetime.now(UTC) - rmse.when < timedelta(minutes=5)


def test_without_a_record_the_table_is_empty_and_no_file_is_made():
    assert progress.table() == []
    assert not progress.path().exists()


def test_the_session_keeps_the_latest_result_of_this_process(monkeypatch):
    monkeypatch.setattr(progress, "_session", {})
    progress.record("week01.rmse", "not yet", 0)
    progress.record("week01.rmse", "passed", 2)
    assert progress.session_results() == {"week01.rmse": progress.Result("passed", 2)}


def test_two_processes_that_start_and_write_at_once_lose_nothing():
    writers = [start_writer(name, 200) for name in ("left", "right")]
    for writer in writers:
        writer.stdout.readline()
    for writer in writers:  # both create the file and its table in the same moment
        writer.stdin.write("\n")
        writer.stdin.flush()
    for writer in writers:
        assert writer.wait() == 0, writer.stderr.read()
    assert sorted(rows()) == [(f"week01.{name}", "not yet", float(n)) for name in ("left", "right") for n in range(200)]
    with sqlite3.connect(progress.path()) as base:
        assert base.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_writer_killed_at_any_moment_leaves_a_file_that_goes_on():
    for _ in range(5):
        writer = start_writer("killed", 10_000)
        writer.stdout.readline()
        before = len(rows()) if progress.path().exists() else 0
        writer.stdin.write("\n")
        writer.stdin.flush()
        while not progress.path().exists() or len(_rows_or_none() or []) < before + 20:
            time.sleep(0.01)
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
        assert progress.record("week01.after", "passed", 1) == ""
    points = [points for exercise, _, points in rows() if exercise == "week01.killed"]
    restarts = [place for place, value in enumerate(points) if value == 0]
    assert len(restarts) == 5
    assert all(b == a + 1 for a, b in zip(points, points[1:], strict=False) if b)


def _rows_or_none():
    try:
        return rows()
    except sqlite3.OperationalError:  # the table is still being made
        return None


@pytest.mark.parametrize(
    "damage", [b"this is not a database, but long enough to look at" * 100, b"SQLite format 3\0" + b"x" * 5000]
)
def test_a_damaged_file_is_moved_aside_with_a_sentence(damage):
    progress.path().parent.mkdir(parents=True)
    progress.path().write_bytes(damage)
    notice = progress.record("week01.rmse", "passed", 2)
    assert notice.startswith("The record of your progress was damaged. It was moved to ")
    (aside,) = progress.path().parent.glob("progress-damaged-*.sqlite")
    assert str(aside) in notice
    assert aside.read_bytes() == damage
    assert progress.record("week01.rmse", "passed", 2) == ""
    assert progress.table()[0].attempts == 2


def test_a_damaged_page_in_the_middle_is_moved_aside_too():
    for number in range(400):
        progress.record(f"week01.exercise{number}", "not yet", 0)
    size = progress.path().stat().st_size
    with open(progress.path(), "r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))
    with pytest.raises(CourseError, match="was damaged. It was moved to"):
        progress.table()
    assert progress.table() == []
    assert progress.record("week01.rmse", "passed", 2) == ""


def test_a_file_of_a_newer_course_is_left_alone():
    progress.record("week01.rmse", "passed", 2)
    with sqlite3.connect(progress.path()) as base:
        base.execute("PRAGMA user_version = 9")
    assert "its format 9 is newer than this course's 1" in progress.record("week01.rmse", "not yet", 0)
    with pytest.raises(CourseError, match="update the course with `git pull`"):
        progress.table()
    assert len(rows()) == 1


def test_an_unwritable_folder_is_a_sentence(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("COURSE_DATA_DIR", str(tmp_path / "file" / "data"))
    notice = progress.record("week01.rmse", "passed", 2)
    assert notice.startswith("Your progress could not be saved in ") and notice.endswith("The check itself works.")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become a user without rights")
def test_a_folder_without_write_permission_is_a_sentence():
    code = (
        "import os; from course_utils.learn import progress as p; os.setuid(65534); print(p.record('a.b', 'passed', 1))"
    )
    environment = {**os.environ, "COURSE_DATA_DIR": "/usr/share/course-data"}
    said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert "could not be saved in /usr/share/course-data/progress.sqlite" in said.stdout, said.stderr


def test_a_locked_file_is_waited_for_and_then_a_sentence(monkeypatch):
    monkeypatch.setattr(progress, "BUSY_SECONDS", 0.1)
    progress.record("week01.rmse", "not yet", 0)
    with sqlite3.connect(progress.path()) as base:
        base.execute("BEGIN IMMEDIATE")
        assert "could not be saved" in progress.record("week01.rmse", "passed", 2)
    assert progress.record("week01.rmse", "passed", 2) == ""

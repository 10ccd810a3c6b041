"""The learner's progress: one SQLite file that several notebooks may write at once.

Write-ahead logging keeps it whole when a kernel is killed. A damaged file is moved aside, so
that a check never fails for the sake of a record.
"""

import fcntl
import os
import sqlite3
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from course_utils.errors import CourseError
from course_utils.learn.paths import data_dir

SCHEMA = 1
BUSY_SECONDS = 10
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_TABLE = """CREATE TABLE IF NOT EXISTS checks (
    number INTEGER PRIMARY KEY, exercise TEXT NOT NULL, status TEXT NOT NULL, points REAL NOT NULL, at TEXT NOT NULL
)"""
_SUMMARY = """
    SELECT exercise, status, MAX(number), at,
        (SELECT MAX(points) FROM checks AS mine WHERE mine.exercise = checks.exercise),
        (SELECT COUNT(*) FROM checks AS mine WHERE mine.exercise = checks.exercise AND status != 'not attempted'),
        (SELECT status FROM checks AS mine WHERE mine.exercise = checks.exercise
            ORDER BY status = 'passed' DESC, points DESC, status = 'not yet' DESC LIMIT 1)
    FROM checks GROUP BY exercise ORDER BY exercise"""

_session = {}  # what this process recorded: the notebook's receipt reads it


@dataclass(frozen=True)
class Result:
    """A verdict as the receipt needs it."""

    status: str
    points: float


@dataclass(frozen=True)
class Row:
    """An exercise's record: `latest` and `best` are statuses, `attempts` counts all but untouched stubs."""

    lesson: str
    exercise: str
    latest: str
    best: str
    points: float
    attempts: int
    when: datetime


def path():
    """The file that holds the progress."""
    return data_dir() / "progress.sqlite"


def record(exercise_id, status, points):
    """Write one verdict; returns "", or the sentence to show where it could not be kept. Never raises."""
    _session[exercise_id] = Result(status, points)
    row = (exercise_id, status, points, datetime.now(UTC).isoformat(timespec="seconds"))
    try:
        return _mended(lambda: _insert(row))
    except (CourseError, OSError, sqlite3.Error) as problem:
        return f"Your progress could not be saved in {path()} ({problem}). The check itself works."


def session_results():
    """Exercise id → its latest Result in this process."""
    return dict(_session)


def table():
    """A Row for each exercise checked so far, in the order of their ids.

    Raises CourseError where the file can't be read, or was damaged and has been moved aside.
    """
    if not path().exists():
        return []
    rows = []
    try:
        notice = _mended(lambda: rows.extend(_read()))
    except (OSError, sqlite3.Error) as problem:
        raise CourseError(
            f"The progress in {path()} cannot be read ({problem}). "
            "Make it yours to read and write, or set COURSE_DATA_DIR to a folder that is."
        ) from None
    if notice:
        raise CourseError(notice)
    return rows


def _insert(row):
    with _open() as base:
        base.execute("INSERT INTO checks (exercise, status, points, at) VALUES (?, ?, ?, ?)", row)


def _read():
    with _open() as base:
        for exercise, latest, _, at, points, attempts, best in base.execute(_SUMMARY).fetchall():
            lesson = exercise.partition(".")[0]
            yield Row(lesson, exercise, latest, best, points, attempts, datetime.fromisoformat(at))


@contextmanager
def _open():
    """The database in one transaction, its table there."""
    path().parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path(), timeout=BUSY_SECONDS, isolation_level=None)) as base:
        with _turn():  # SQLite lets two first writers collide here without waiting
            base.execute("PRAGMA journal_mode = WAL")
        base.execute("BEGIN IMMEDIATE")
        _prepare(base)
        yield base
        base.execute("COMMIT")


def _prepare(base):
    version = base.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA:
        raise CourseError(
            f"its format {version} is newer than this course's {SCHEMA}; update the course with `git pull`"
        )
    if version < SCHEMA:
        base.execute(_TABLE)
        base.execute(f"PRAGMA user_version = {SCHEMA}")


@contextmanager
def _turn():
    """One process at a time; the lock goes with the process, however it ends."""
    with open(path().with_suffix(".lock"), "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _mended(work):
    """Does the work; where the file is damaged, moves it aside, does the work afresh and returns a sentence."""
    try:
        work()
        return ""
    except sqlite3.DatabaseError as problem:
        if getattr(problem, "sqlite_errorcode", 0) & 0xFF not in _DAMAGED:
            raise
    aside = _move_aside()
    work()
    return f"The record of your progress was damaged. It was moved to {aside}, and a new one started." if aside else ""


def _move_aside():
    """Where the damaged file went; None where another process has mended it meanwhile."""
    with _turn():
        if _is_whole():
            return None
        aside = path().with_name(f"progress-damaged-{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}.sqlite")
        for ending in ("-wal", "-shm", ""):
            whole = path().with_name(path().name + ending)
            if whole.exists():
                whole.rename(aside.with_name(aside.name + ending))
        return aside


def _is_whole():
    try:
        with closing(sqlite3.connect(path(), timeout=BUSY_SECONDS)) as base:
            return base.execute("PRAGMA quick_check").fetchone()[0] == "ok"
    except sqlite3.DatabaseError:
        return False

"""Which executed copy of each lesson the book shows: the newest that passed with its exercises left blank.

One of profile `smoke` is taken only where there is no other: its sizes are too small for results worth reading.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from course_utils.errors import CourseError
from course_utils.learn.catalog import LessonFile
from course_utils.learn.paths import runs_dir
from course_utils.learn.profiles import PROFILES
from course_utils.run.notebook import load, source, tags
from course_utils.run.report import SCHEMA

RUN = "course run --all --profile cpu"


@dataclass(frozen=True)
class Copy:
    """A lesson and its executed copy; `started` is the run's ISO time."""

    lesson: LessonFile
    path: Path
    profile: str
    started: str

    def content(self):
        """The executed notebook as plain data."""
        return load(self.path)

    def is_stale(self):
        """Whether the lesson's code has changed since the run."""
        return _code(self.content()) != _code(load(self.lesson.path))


def newest(lessons):
    """The `Copy` of each of these `LessonFile`s.

    Raises CourseError where a lesson has none, naming the command that makes them.
    """
    found = _by_lesson()
    missing = [one.id for one in lessons if one.id not in found]
    if len(missing) == len(lessons):
        raise CourseError(
            f"No lesson has passed in a run below {runs_dir()}, and the book shows what a run showed. "
            f"Type `{RUN}`, then `course book`."
        )
    if missing:
        raise CourseError(
            f"{', '.join(missing)} passed in no run below {runs_dir()} that left the exercises blank. "
            f"Type `course run {' '.join(missing)} --profile cpu`, mend what fails, then `course book`."
        )
    return [Copy(one, *found[one.id]) for one in lessons]


def _by_lesson():
    """What follows the lesson in a `Copy`, by the lesson's id."""
    found = {}
    for folder, report in _reports():
        for row in filter(_is_shown, report["lessons"]):
            one = folder / row["copy"], row["profile"], report["started"]
            if one[0].is_file():
                found.setdefault(row["lesson"], []).append(one)
    return {lesson: max(copies, key=lambda one: (one[1] != "smoke", one[2])) for lesson, copies in found.items()}


def _reports():
    for path in runs_dir().glob("*/report.json"):
        try:
            report = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):  # a run that was cut off while it wrote: the others still count
            continue
        if isinstance(report, dict) and report.get("schema") == SCHEMA:
            yield path.parent, report


def _is_shown(row):
    # A run with --mode reference or mistakes has answers where the learner's page has stubs.
    checks = row["checks"] or {}
    blank = checks.get("blank") == checks.get("total")
    return row["status"] == "passed" and blank and row["copy"] and row["profile"] in PROFILES


def _code(content):
    cells = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
    return [source(cell) for cell in cells if "injected-parameters" not in tags(cell)]

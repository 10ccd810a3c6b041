"""Collects the submissions of a release from a folder, a zip or an LMS export: one notebook a student."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from course_utils.errors import CourseError
from course_utils.run.notebook import is_notebook
from course_utils.teach.archive import Unreadable, entries, printable
from course_utils.teach.naming import Owner, owner, unwrapped
from course_utils.teach.times import stamped

MOST_NOTEBOOKS = 20  # of one student
STUDENT_BYTES = 60 * 10**6  # bounds the whole as well, and no student's files keep another's from being read


@dataclass(frozen=True)
class Submission:
    """A student's notebook; `content` is what `take` made of it, `time` is None where nothing trustworthy tells it."""

    owner: Owner
    source: str
    sha256: str
    time: datetime | None
    content: object


@dataclass(frozen=True)
class Refused:
    """A file that is not graded, and why."""

    owner: Owner
    source: str
    reason: str


@dataclass
class _Spent:
    """How many files of one student were read, and their size."""

    files: int = 0
    size_bytes: int = 0

    def read(self, entry):
        self.files += 1
        if self.files > MOST_NOTEBOOKS:
            raise Unreadable(f"is not read: {MOST_NOTEBOOKS} notebooks of one student are the most")
        if self.size_bytes > STUDENT_BYTES:
            raise Unreadable(f"is not read: the student's other files hold more than {STUDENT_BYTES // 10**6} MB")
        data = entry.read()
        self.size_bytes += len(data)
        return data


def collect(path, release_id, take: Callable):
    """`Submission`s and `Refused`s of a folder, zip or export, each list in the order of the students.

    `take` turns a notebook's plain data into what is kept of it. Raises CourseError where there is no such folder or
    zip, or no notebook in it.
    """
    found = entries(path)
    files = unwrapped(found)
    notebooks = [entry for entry in files if entry.parts[-1] != "timestamp.txt"]
    if not notebooks:
        raise CourseError(f"There are no notebooks in {path}. Name the folder or the zip that holds the submissions.")
    times = _times(files) if _from_nbgrader(path, found, files) else {}
    spent = defaultdict(_Spent)
    return _one_each([_read(entry, release_id, take, times, spent) for entry in notebooks])


def _from_nbgrader(path, found, files):
    """Whether time stamps lie where nbgrader puts them, and not where a student may have put one."""
    above = found[0].parts[: len(found[0].parts) - len(files[0].parts)]
    return "submitted" in (Path(path).resolve().name, *above)


def _times(files):
    stamps = [entry for entry in files if len(entry.parts) == 3 and entry.parts[-1] == "timestamp.txt"]
    return {entry.parts[:2]: stamped(entry) for entry in stamps}


def _read(entry, release_id, take, times, spent):
    who = owner(entry.parts)
    try:
        data = spent[who.id].read(entry)
        content = take(_notebook(data, release_id))
    except Unreadable as problem:
        return Refused(who, entry.shown, str(problem))
    return Submission(who, entry.shown, hashlib.sha256(data).hexdigest(), times.get(entry.parts[:2]), content)


def _notebook(data, release_id):
    try:
        content = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise Unreadable("is not a notebook: it is not JSON") from None
    if not is_notebook(content):
        raise Unreadable("is not a notebook of format 4")
    course = content["metadata"].get("course")
    release = course.get("release") if isinstance(course, dict) else None
    if not isinstance(release, str):
        raise Unreadable("has no release id: it was not made by `course assign`")
    if release != release_id:
        raise Unreadable(f"belongs to another release ({printable(release)[:40]})")
    return content


def _one_each(read):
    refused = [one for one in read if isinstance(one, Refused)]
    students = {}
    for one in read:
        if isinstance(one, Submission):
            students.setdefault(one.owner.id, []).append(one)
    chosen = []
    for several in students.values():
        newest = _newest(several)
        chosen += [newest] if newest else []
        refused += [] if newest else [Refused(one.owner, one.source, _reason(several)) for one in several]
    return sorted(chosen, key=lambda one: one.owner.id), sorted(refused, key=lambda one: (one.owner.id, one.source))


def _newest(several):
    """The newest by the LMS's time, the first of copies; None where nothing tells."""
    if len({one.sha256 for one in several}) == 1:
        return several[0]
    if any(one.time is None for one in several):
        return None
    latest = max(one.time for one in several)
    newest = [one for one in several if one.time == latest]
    return newest[0] if len({one.sha256 for one in newest}) == 1 else None


def _reason(several):
    return f"is one of {len(several)} different notebooks of this student, and no time tells which is the newest"

"""What a release of the course says about itself, read from the notebook in the folder that the kernel runs in.

An open course cannot hide its solutions from a determined reader; `reveal` only keeps them from unfolding.
"""

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

OWN = "own"  # ids of an instructor's own exercises begin with it, as those of lessons with the lesson
_LARGEST_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Assignment:
    """One release: `variant` is "" where all students have the same cases, `own` names a file beside it or is None."""

    release: str
    lesson: str
    path: Path
    reveal: bool = True
    hints: bool = True
    variant: str = ""
    own: str | None = None


def find(exercise_id, folder=None):
    """The release in this folder that an exercise belongs to, else None; the kernel's folder by default."""
    lesson = exercise_id.partition(".")[0]
    for one in in_folder(folder):
        if one.lesson == lesson or (one.own and lesson == OWN):
            return one
    return None


def in_folder(folder=None):
    """Every release in a folder, by file name; what cannot be read is no release."""
    try:
        files = sorted(Path(folder or Path.cwd()).glob("*.ipynb"))
        found = [_read(file, file.stat().st_mtime_ns, file.stat().st_size) for file in files]
    except OSError:
        return ()
    return tuple(filter(None, found))


@lru_cache(maxsize=64)
def _read(file, changed_ns, size_bytes):
    if size_bytes > _LARGEST_BYTES:
        return None
    try:
        return _assignment(file, json.loads(file.read_text(encoding="utf-8"))["metadata"]["course"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _assignment(file, course):
    if not isinstance(course["release"], str) or not isinstance(course["lesson"], str):
        return None
    own = course.get("own")
    return Assignment(
        release=course["release"],
        lesson=course["lesson"],
        path=file,
        reveal=course.get("reveal") is not False,
        hints=course.get("hints") is not False,
        variant=str(course.get("variant") or ""),
        own=Path(own).name if isinstance(own, str) else None,
    )

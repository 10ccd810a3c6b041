"""Whose file it is: the names that Moodle, Canvas and nbgrader give, else the folder's or the file's."""

import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from course_utils.teach.archive import printable

_MOODLE = re.compile(r"(?P<name>.+?)_(?P<id>\d+)_assignsubmission_[a-z]+(?:_.*)?", re.DOTALL)
_CANVAS = re.compile(r"(?P<name>[^_]+)(?P<late>_late)?_(?P<id>\d+)_\d+_.+", re.DOTALL | re.IGNORECASE)
_WRAPPERS = {"submissions", "submitted"}


@dataclass(frozen=True)
class Owner:
    """A student as the files' names tell: `name` is "" where they do not; `late` is true where Canvas says so, `from_lms`
    where the id is the LMS's own.
    """

    id: str
    name: str = ""
    late: bool = False
    from_lms: bool = False


def owner(parts):
    """The student whose file this is.

    Only the first name counts, since all names below it are the student's own choice.
    """
    first = parts[0]
    if found := _MOODLE.fullmatch(first):
        return Owner(found["id"], printable(found["name"]), from_lms=True)
    if found := _CANVAS.fullmatch(first):
        return Owner(found["id"], printable(found["name"]), bool(found["late"]), from_lms=True)
    name = first if len(parts) > 1 and not first.lower().endswith(".zip") else PurePosixPath(first).stem
    return Owner(_distinct(name))


def _distinct(name):
    """The name as tables show it, marked where that is not all of it: "ann " must not void what "ann" handed in."""
    shown = " ".join(printable(name).split())
    if shown == name:
        return name
    return f"{shown or 'n/a'} ~{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:6]}"


def unwrapped(entries):
    """The entries without a folder or zip around all of them, such as `submissions/`."""
    while _wrapper(entries):
        top = entries[0].parts[0]
        entries = [replace(entry, parts=entry.parts[1:]) for entry in entries]
        if top.lower() in _WRAPPERS:
            break
    return entries


def _wrapper(entries):
    tops = {entry.parts[0] for entry in entries}
    if len(tops) != 1 or not all(len(entry.parts) > 1 for entry in entries):
        return False
    (top,), below = tops, {entry.parts[1] for entry in entries}
    if _from_lms(top):
        return False
    return top.lower() in _WRAPPERS or all(map(_from_lms, below)) or _holds_folders(entries, below)


def _from_lms(name):
    return bool(_MOODLE.fullmatch(name) or _CANVAS.fullmatch(name))


def _holds_folders(entries, below):
    return len(below) > 1 and all(len(entry.parts) > 2 for entry in entries)

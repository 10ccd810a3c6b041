"""The files of a folder or a zip, read in memory within limits; nothing is unpacked and no link is followed."""

import io
import os
import re
import stat
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path, PurePosixPath

from course_utils.errors import CourseError

MEMBER_BYTES = 20 * 10**6
MOST_FILES = 10_000
CONTENTS_BYTES = 4 * 2**20  # a zip's table of contents: 10,000 files with names of 300 characters
MOST_INSIDE = 100  # notebooks in a zip in a zip, which is one student's
_DEPTH = 2  # a zip in a zip is read, one in that is not
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # Python unpacks other methods without a limit on memory
# What `zipfile` raises for a damaged file, save for what nobody has met yet.
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, LookupError, ArithmeticError, RuntimeError)


class Unreadable(Exception):
    """Why a file is not read, in words that follow its name."""


@dataclass(frozen=True)
class Entry:
    """A file by the names that lead to it, a zip's own among them; `open` gives a binary file or raises Unreadable."""

    parts: tuple[str, ...]
    open: Callable

    @property
    def shown(self):
        """The path as it can be printed."""
        return printable("/".join(self.parts))

    def read(self):
        """Its bytes; Unreadable says why there are none."""
        with self.open() as file:
            return _bounded(file)


def printable(text):
    """Text without control and direction characters, and without what UTF-8 cannot write."""
    plain = text.encode("utf-8", "surrogateescape" if _escaped(text) else "replace").decode("utf-8", "replace")
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in plain)[:300]


def _escaped(text):
    return all(not 0xD800 <= ord(one) <= 0xDFFF or 0xDC80 <= ord(one) <= 0xDCFF for one in text)


def entries(path):
    """The notebooks and time stamps in a folder or a zip, in the order of their names.

    Raises CourseError where there is no such folder or zip, or where it holds too many files.
    """
    path = Path(path)
    if path.is_dir():
        return sorted(_in_folder(path), key=_order)
    if not (path.is_file() and path.suffix.lower() == ".zip"):
        raise CourseError(f"{path} is neither a folder nor a zip. Name what holds the submissions.")
    try:
        return sorted(_in_zip(Entry((), partial(_open_file, path.resolve())), 1), key=_order)
    except Unreadable as error:
        raise CourseError(f"{path} {error}. Download it again.") from None


def _order(entry):
    return entry.parts


def _in_folder(folder):
    count, closed = 0, []
    for where, names, files in os.walk(folder, onerror=closed.append, followlinks=False):
        names[:] = sorted(name for name in names if not name.startswith(".") and name != "__MACOSX")
        for name in sorted(filter(_matters, files)):
            count += 1
            if count > MOST_FILES:
                raise CourseError(f"{folder} holds more than {MOST_FILES:,} notebooks and zips. Grade it in parts.")
            path = Path(where, name)
            yield from _expanded(Entry(path.relative_to(folder).parts, partial(_open_file, path)), 0)
    if any(Path(error.filename) == folder for error in closed):
        raise CourseError(f"{folder} cannot be read. Choose a folder that you may read.")
    for error in closed:  # its student must not go unnoticed
        yield Entry((*Path(error.filename).relative_to(folder).parts, ""), partial(_refuse, "cannot be read"))


def _matters(name):
    lower = name.lower()
    return not name.startswith(".") and (lower.endswith((".ipynb", ".zip")) or name == "timestamp.txt")


def _expanded(entry, depth):
    """The entry itself, or what is in it where it is a zip; one that is no zip after all is an entry that says so."""
    if not entry.parts[-1].lower().endswith(".zip"):
        yield entry
        return
    try:
        if depth >= _DEPTH:
            raise Unreadable("is a zip in a zip in a zip")
        most = MOST_INSIDE if depth else MOST_FILES
        for count, inside in enumerate(_in_zip(entry, depth + 1)):
            if count == most:
                raise Unreadable(f"holds more than {most:,} notebooks, of which the first are read")
            yield inside
    except Unreadable as error:
        yield Entry(entry.parts, partial(_refuse, str(error)))


def _in_zip(entry, depth):
    for number, member in enumerate(_archive(entry).infolist()):
        path = PurePosixPath(member.filename.replace("\\", "/"))
        hidden = any(part.startswith(".") and part != ".." or part == "__MACOSX" for part in path.parts)
        if not hidden and path.name and not member.is_dir() and _matters(path.name):  # `is_dir` fails without a name
            inside = Entry((*entry.parts, *_safe(path)), partial(_open_member, entry, number))
            yield from _expanded(inside, depth)


@lru_cache(maxsize=_DEPTH + 1)  # the files of an archive are read one after the other
def _archive(entry):
    try:
        archive = zipfile.ZipFile(_Bounded(entry.open()))
    except _BROKEN:
        raise Unreadable("cannot be read as a zip") from None
    if len(archive.infolist()) > MOST_FILES:
        raise Unreadable(f"holds more than {MOST_FILES:,} files")
    return archive


def _safe(path):
    """A member's names; one that leads out of the archive stays a name and is refused when it is read."""
    return tuple(part for part in path.parts if part not in ("/", ".."))


def _open_member(entry, number):
    archive = _archive(entry)
    member = archive.infolist()[number]
    path = PurePosixPath(member.filename.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or re.match(r"[A-Za-z]:", str(path)):
        raise Unreadable("has a name that leads out of the archive")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise Unreadable("is a link")
    if member.compress_type not in _METHODS:
        raise Unreadable("is packed in a way that is not read here: use plain zip")
    if member.flag_bits & 1:
        raise Unreadable("is encrypted")
    try:
        with archive.open(member) as file:
            return io.BytesIO(_bounded(file))
    except _BROKEN:
        raise Unreadable("is damaged") from None


def _open_file(path):
    try:
        file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")
    except OSError:
        raise Unreadable("is a link" if path.is_symlink() else "cannot be read") from None
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise Unreadable("is no plain file")
    return file


def _bounded(file):
    data = file.read(MEMBER_BYTES + 1)
    if len(data) > MEMBER_BYTES:
        raise Unreadable(f"is larger than {MEMBER_BYTES // 10**6} MB")
    return data


def _refuse(reason):
    raise Unreadable(reason)


@dataclass(frozen=True)
class _Bounded:
    """A file from which `zipfile` cannot read a huge table of contents, whatever the file claims."""

    file: object

    def read(self, size=-1):
        if size > 2 * MEMBER_BYTES or (size > CONTENTS_BYTES and self._at_contents()):
            raise zipfile.BadZipFile("its table of contents is too large")
        return self.file.read(size)

    def _at_contents(self):
        at = self.file.tell()
        start = self.file.read(4)
        self.file.seek(at)
        return start == b"PK\1\2"

    def seek(self, *where):
        return self.file.seek(*where)

    def tell(self):
        return self.file.tell()

    def seekable(self):
        return True

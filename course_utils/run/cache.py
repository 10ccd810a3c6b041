"""Results of lessons that passed, by key: an entry is whole and checked, or it is no entry.

An entry is a folder that is written beside and renamed. Its manifest has the sha256 of every file;
one flipped byte and the entry is thrown away. Nothing here reads a clock.
"""

import hashlib
import json
import os
import shutil
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from course_utils.learn.paths import runs_dir
from course_utils.run.execute import files_below, write_below
from course_utils.run.key import key_of
from course_utils.run.report import Row
from course_utils.run.rows import as_row

_MANIFEST = "manifest.json"
_INGREDIENTS = "ingredients.json"
_COPY, _RECEIPT, _ROW, _ARTEFACTS = "copy.ipynb", "receipt.json", "row.json", "artefacts"
_UNFINISHED = ".part-"
_TRIES = 3


@dataclass(frozen=True)
class Stored:
    """What an entry gives back; `number` counts a lesson's entries, the newest has the highest."""

    row: Row
    copy: str
    receipt: str | None
    artefacts: dict
    ingredients: dict
    number: int
    size_bytes: int


def folder():
    """Where entries lie; `make clean` removes it with the rest of `runs`."""
    return runs_dir() / ".cache"


def get(key, place=None):
    """The `Stored` of a key, or None; a damaged entry is removed, so that the lesson runs again."""
    entry = (place or folder()) / key
    try:
        files = files_below(entry)
    except OSError:
        return None
    if not files:
        return None
    try:
        return _read(key, files)
    except (ValueError, KeyError, TypeError, AttributeError):
        _discard(entry)
        return None


def put(key, ingredients, row, result, place=None):
    """Store a lesson that passed; an entry that is there already stays. False where the disk refuses."""
    place = place or folder()
    number = 1 + max(_numbers(place, row.lesson), default=0)
    files = {
        _COPY: result.copy.encode(),
        _ROW: _json({"number": number, "row": asdict(row)}),
        _INGREDIENTS: _json(ingredients),
        **({_RECEIPT: result.receipt.encode()} if result.receipt else {}),
        **{f"{_ARTEFACTS}/{name}": content for name, content in result.artefacts.items()},
    }
    files[_MANIFEST] = _json({name: _sha(content) for name, content in files.items()})
    try:
        return _publish(place, key, files)
    except OSError:  # a full or read-only disk: the run itself is none the worse
        return False


def entries(place=None):
    """Every whole entry, as `Stored`; damaged ones are removed."""
    place = place or folder()
    names = sorted(os.listdir(place)) if place.is_dir() else []
    return [found for name in names if not name.startswith(".") and (found := get(name, place))]


def clear(place=None):
    """Remove all entries; how many there were."""
    place = place or folder()
    count = len([name for name in os.listdir(place) if not name.startswith(".")]) if place.is_dir() else 0
    shutil.rmtree(place, ignore_errors=True)
    return count


def _numbers(place, lesson):
    for path in place.glob(f"*/{_ROW}"):
        with suppress(OSError, ValueError, KeyError, TypeError):
            stored = json.loads(path.read_bytes())
            if stored["row"]["lesson"] == lesson:
                yield stored["number"]


def _publish(place, key, files):
    place.mkdir(parents=True, exist_ok=True)
    _sweep(place)
    part = _part(place)
    try:
        write_below(part, files)
        os.chmod(part, 0o755)
        # A third may throw away what stood in the way, before it is looked at.
        return any(_is_there(part, place / key) for _ in range(_TRIES))
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _is_there(part, entry):
    try:
        os.rename(part, entry)
        return True
    except OSError:
        # Another runner was first: the entry is not empty, so that the rename fails.
        return (entry / _MANIFEST).exists()


def _part(place):
    return Path(tempfile.mkdtemp(dir=place, prefix=f"{_UNFINISHED}{os.getpid()}-"))


def _sweep(place):
    """Remove what killed runners left unfinished: folders named for a process that is gone."""
    for path in place.glob(f"{_UNFINISHED}*-*"):
        if not Path("/proc", path.name.split("-")[1]).exists():
            shutil.rmtree(path, ignore_errors=True)


def _read(key, files):
    manifest = json.loads(files.pop(_MANIFEST))
    if {name: _sha(content) for name, content in files.items()} != manifest:
        raise ValueError("the files are not those of the manifest")
    ingredients = json.loads(files[_INGREDIENTS])
    if key_of(ingredients) != key:
        raise ValueError("the entry is not of this key")
    stored = json.loads(files[_ROW])
    row = as_row(stored["row"] | {"from_cache": True, "key": key})
    below = {name.removeprefix(f"{_ARTEFACTS}/"): files[name] for name in files if name.startswith(f"{_ARTEFACTS}/")}
    receipt = files[_RECEIPT].decode() if _RECEIPT in files else None
    size = sum(map(len, files.values()))
    return Stored(row, files[_COPY].decode(), receipt, below, ingredients, stored["number"], size)


def _discard(entry):
    # Renamed first: another runner must not meet it half removed.
    with suppress(OSError):  # a read-only cache keeps what is damaged; it is no entry all the same
        gone = _part(entry.parent)
        try:
            os.rename(entry, gone / entry.name)
        finally:
            shutil.rmtree(gone, ignore_errors=True)


def _json(value):
    return json.dumps(value, separators=(",", ":")).encode()


def _sha(content):
    return hashlib.sha256(content).hexdigest()

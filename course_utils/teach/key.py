"""The key of a release: what its instructor keeps to grade it, and what nobody else may see."""

import contextlib
import hashlib
import hmac
import importlib.util
import json
import os
import platform
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from importlib import metadata
from pathlib import Path

from course_utils.errors import CourseError
from course_utils.learn.catalog import find_exercise

VERSION = 1
SECRET_BYTES = 32


@dataclass(frozen=True)
class Assigned:
    """One exercise of a release; `cell` and `check_cell` are ids of cells, `name` is the attempt's name."""

    id: str
    name: str
    points: int
    cell: str
    check_cell: str


@dataclass(frozen=True)
class Key:
    """What `course assign` keeps of a release.

    `version` is that of the file's format. `created` and `deadline` are ISO times with their offset. `versions`
    holds those of the course, Python, numpy and torch, and under "exercises" the sha256 of each module of
    exercises. `notebook` is the release's notebook as plain data. `own` maps the file names of the instructor's
    own exercises to their source.
    """

    release_id: str
    version: int
    name: str
    lesson: str
    created: str
    deadline: str | None
    secret: bytes
    exercises: tuple[Assigned, ...]
    versions: Mapping
    notebook: Mapping
    own: Mapping


def write_key(path, key):
    """Write a new key, readable by its owner alone.

    Raises CourseError where the file exists: a key that is lost cannot be made again.
    """
    path = Path(path)
    content = asdict(key) | {"secret": key.secret.hex()}
    try:
        _write_new(path, json.dumps(content, indent=1).encode())
    except FileExistsError:
        raise already_there(path) from None
    except OSError as error:
        raise CourseError(f"The key {path} cannot be written: {error.strerror}. Choose another folder.") from None


def already_there(path):
    """The CourseError for a key that must not be overwritten."""
    return CourseError(f"The key {path} exists, and no key is ever overwritten. Choose another --name, or move it.")


def _write_new(path, data):
    descriptor, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.link(part, path)  # unlike a rename, it fails where the file exists
    finally:
        os.unlink(part)


def read_key(path) -> Key:
    """The key in this file.

    Raises CourseError for what is no key, a key of another format or version of the course, and one whose exercises
    have changed since.
    """
    path = Path(path)
    content = _load(path)
    _require_same("format", path, content.get("version"), VERSION)
    key = _parsed(path, content)
    _require_same("course", path, key.versions.get("course"), metadata.version("course-utils"))
    for lesson, digest in key.versions.get("exercises", {}).items():
        if source_sha256(lesson) != digest:
            raise CourseError(
                f"The exercises of {lesson} have changed since {path} was made. "
                "Grade with the course as it was then, or assign the lesson anew."
            )
    return key


def _load(path):
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CourseError(f"The key {path} cannot be read: {error.strerror}. Is it the file beside the zip?") from None
    except (ValueError, RecursionError):
        raise _no_key(path) from None
    if not isinstance(content, dict) or not {field.name for field in fields(Key)} <= content.keys():
        raise _no_key(path)
    return content


def _no_key(path):
    return CourseError(f"{path} is not the key of a release. `course assign` writes it beside the zip, as NAME.key.")


def _require_same(what, path, found, wanted):
    if found != wanted:
        raise CourseError(
            f"{path} was made by {what} version {found}, and this is {wanted}. "
            "Install the version of the course that made it, or assign the lesson anew."
        )


def _parsed(path, content):
    try:
        known = {field.name: content[field.name] for field in fields(Key)}
        secret = bytes.fromhex(content["secret"])
        exercises = tuple(Assigned(**one) for one in content["exercises"])
    except (TypeError, ValueError, AttributeError):
        raise _no_key(path) from None
    tables = all(isinstance(content[name], dict) for name in ("versions", "notebook", "own"))
    if len(secret) != SECRET_BYTES or not tables or not exercises:
        raise _no_key(path)
    return Key(**known | {"secret": secret, "exercises": exercises})


def versions(lessons):
    """What `Key.versions` holds for exercises of these lessons; a library that is not installed is None."""
    libraries = {"course": "course-utils", "numpy": "numpy", "torch": "torch"}
    found = {"python": platform.python_version()}
    for name, distribution in libraries.items():
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(distribution)
    return dict.fromkeys(libraries) | found | {"exercises": {lesson: source_sha256(lesson) for lesson in lessons}}


def source_sha256(lesson):
    """Hex sha256 of a lesson's module of exercises; None where the course has none."""
    spec = importlib.util.find_spec(f"course_utils.exercises.{lesson}")
    return hashlib.sha256(Path(spec.origin).read_bytes()).hexdigest() if spec else None


def exercises_of_key(key):
    """Id → `Exercise`, from the course or from the key's own sources; only those that were assigned."""
    from course_utils.teach.own import exercises_in

    own = {id: one for name, source in key.own.items() for id, one in exercises_in(name, source).items()}
    return {one.id: own.get(one.id) or find_exercise(one.id) for one in key.exercises}


def case_seed(key, exercise_id, round):
    """The seed of an exercise's hidden cases in a round of grading: the same for all students."""
    return int.from_bytes(_derived(key.secret, "cases", key.release_id, exercise_id, round)[:16], "big")


def signature(key, data: bytes):
    """Hex HMAC-SHA256 of a file of results."""
    return hmac.new(_derived(key.secret, "results"), data, "sha256").hexdigest()


def variant(secret, student_id):
    """What a student's public cases depend on with `--vary`: it says nothing about the secret."""
    return _derived(secret, "variant", student_id).hex()[:16]


def _derived(secret, *label):
    return hmac.new(secret, json.dumps(label).encode(), "sha256").digest()

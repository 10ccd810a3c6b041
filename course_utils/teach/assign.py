"""`course assign`: a release of one lesson for students, and the key that its instructor keeps."""

import io
import json
import os
import re
import secrets
import tempfile
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path

from course_utils.bars import bar
from course_utils.errors import CourseError
from course_utils.learn import catalog, passport
from course_utils.learn.paths import write_atomically
from course_utils.run import notebook
from course_utils.run.modes import places
from course_utils.teach import own, own_contract, package, release
from course_utils.teach.key import SECRET_BYTES, VERSION, Key, already_there, variant, versions, write_key
from course_utils.teach.roster import read_roster

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,40}")
_STUDENT = re.compile(r"[\w@+-][\w.@+-]{0,63}")
_LONG_AGO = (1980, 1, 1, 0, 0, 0)  # so that two zips of one release are the same bytes


@dataclass(frozen=True)
class Options:
    """What the command line says, as it was typed; None takes the default."""

    exercises: str | None = None
    deadline: str | None = None
    name: str | None = None
    hints: bool = True
    reveal: bool = True
    package: str | None = None


@dataclass(frozen=True)
class Made:
    """Where a release went: `zips` are one, or one a student. `package` is what students install the course from."""

    zips: tuple[Path, ...]
    key_path: Path
    key: Key
    package: str


def assign(lesson, out, options=None, roster=None, own_file=None):
    """Write a release to `out` and its key beside it, as NAME.key; all of it or nothing.

    With a roster (a CSV file with ids of students) `out` is a folder with a zip for each. `own_file` holds the
    instructor's own exercises. Raises CourseError for whatever is wrong with one of these.
    """
    out, options = Path(out), options or Options()
    with bar("reading the exercises, some seconds"):  # most of them import libraries, which tells no steps
        source, added = own.read(own_file) if own_file else ("", {})
        plan = _plan(catalog.resolve(lesson), options, tuple(added.values()))
    if own_file:
        own_contract.require(Path(own_file).name, plan.own)
    students = _students(roster, plan.deadline) if roster else None
    key_path = out.parent / f"{plan.name}.key"
    _refuse_existing(out, key_path, folder=students is not None)
    content, assigned = release.build(plan, [own.cells(one) for one in plan.own])
    key = _key(plan, content, assigned, {Path(own_file).name: source} if own_file else {})
    spec, beside = package.files(plan, passport.read(plan.lesson.path), options.package)
    if students is None:
        zips = _written(key_path, key, lambda: _write_zip(out, plan, beside, ""))
    else:
        zips = _written(key_path, key, lambda: _write_folder(out, plan, beside, students, key.secret))
    return Made(zips, key_path, key, spec)


def _plan(lesson, options, own_exercises):
    name = options.name or lesson.id
    if not _NAME.fullmatch(name):
        raise CourseError(f"--name {name!r} would not do as a file's name. Use letters, digits and . _ -")
    graded = _chosen(lesson, options.exercises, bool(own_exercises))
    deadline = _deadline(options.deadline)
    return release.Plan(
        secrets.token_hex(8), name, lesson, graded, own_exercises, deadline, options.hints, options.reveal
    )


def _chosen(lesson, wanted, has_own):
    known = {place.exercise.id: place.exercise for place in places(notebook.load(lesson.path), lesson.id)}
    if not known and not has_own:
        raise CourseError(f"{lesson.id} has no exercises to grade. `course list` shows the lessons.")
    if wanted is None:
        return tuple(known.values())
    if wanted == "none" and has_own:
        return ()
    names = [part.strip() for part in wanted.split(",") if part.strip()]
    ids = [name if "." in name else f"{lesson.id}.{name}" for name in names]
    for name, id in zip(names, ids, strict=True):
        if id not in known:
            near = get_close_matches(id, known, n=1, cutoff=0.0)
            hint = f" The nearest is {near[0]!r}." if near else ""
            raise CourseError(f"{lesson.id} has no exercise {name!r}.{hint} It has {', '.join(known) or 'none'}.")
    if not ids:
        raise CourseError(f"--exercises {wanted!r} names none. {lesson.id} has {', '.join(known)}.")
    return tuple(one for id, one in known.items() if id in ids)


def _deadline(text):
    if text is None:
        return None
    try:
        deadline = datetime.fromisoformat(text)
    except ValueError:
        raise CourseError(f"--deadline {text!r} is no time. Write it as 2026-12-24T18:00+01:00.") from None
    if deadline.tzinfo is None:
        raise CourseError(
            f"--deadline {text!r} does not say in which time zone. Add the offset, as in 2026-12-24T18:00+01:00."
        )
    return deadline


def _students(path, deadline):
    """Their ids, each of which is a part of a file's name."""
    ids = [student.id for student in read_roster(path, deadline).students]
    for id in ids:
        if not _STUDENT.fullmatch(id):
            raise CourseError(f"{path}: the id {id!r} would not do in a file's name. Use letters, digits and . _ @ + -")
    if not ids:
        raise CourseError(f"{path} lists no student. Write a row for each, under the heading id,name,email.")
    return ids


def _refuse_existing(out, key_path, folder):
    if not out.parent.is_dir():
        raise CourseError(f"There is no folder {out.parent}. Make it first, or choose another --out.")
    if folder == (out.suffix == ".zip"):
        allowed = "a folder, since --vary makes a zip for each student" if folder else "a file that ends in .zip"
        raise CourseError(f"--out {out} must be {allowed}.")
    if out.exists():
        raise CourseError(f"{out} exists. Choose another --out, or move it away.")
    if key_path.exists():
        raise already_there(key_path)


def _key(plan, content, assigned, sources):
    lessons = [plan.lesson.id] if plan.graded else []
    return Key(
        release_id=plan.release_id,
        version=VERSION,
        name=plan.name,
        lesson=plan.lesson.id,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        deadline=plan.deadline.isoformat() if plan.deadline else None,
        secret=secrets.token_bytes(SECRET_BYTES),
        exercises=assigned,
        versions=versions(lessons),
        notebook=content,
        own=sources,
    )


def _written(key_path, key, write):
    """The key first: a release without its key could not be graded."""
    write_key(key_path, key)
    try:
        return tuple(write())
    except BaseException as error:
        key_path.unlink()
        if isinstance(error, OSError):
            raise CourseError(f"The release cannot be written: {error.strerror}. Choose another --out.") from None
        raise


def _write_zip(path, plan, beside, student_variant):
    write_atomically(path, _zipped(plan, beside, student_variant))
    return [path]


def _write_folder(folder, plan, beside, students, secret):
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as part:
        inside = Path(part) / "zips"
        inside.mkdir()
        names = [f"{plan.name}-{student}.zip" for student in students]
        with bar("writing", len(students), "zips") as tell:
            for number, (name, student) in enumerate(zip(names, students, strict=True)):
                tell(number)
                (inside / name).write_bytes(_zipped(plan, beside, variant(secret, student)))
        os.rename(inside, folder)
    return [folder / name for name in names]


def _zipped(plan, beside, student_variant):
    content, _ = release.build(plan, [own.cells(one) for one in plan.own], student_variant)
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    contents = {plan.lesson.path.name: text} | beside
    if plan.own:
        contents[release.OWN_FILE] = own.as_file(plan.own, student_variant)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            info = zipfile.ZipInfo(f"{plan.name}/{name}", _LONG_AGO)
            info.external_attr = 0o644 << 16
            archive.writestr(info, content, zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def show(made):
    """Print what was made and what comes next."""
    count, first = len(made.zips), made.zips[0]
    total = sum(one.points for one in made.key.exercises)
    where = first if count == 1 else f"{count} zips in {first.parent}"
    print(f"{where}: {_exercises(made.key)}, {release.counted(total)}. Give it to your students.")
    print(f"Students install {made.package}: make sure that they can, or give --package, as docs/assigning.md shows.")
    print(f"{made.key_path}: the key that grades it. Keep it to yourself, and keep a copy: it cannot be made again.")


def _exercises(key):
    count = len(key.exercises)
    return f"{count} graded exercise{'' if count == 1 else 's'}"

"""What lies beside the notebook in a release: the README, and the versions that were tested together."""

import functools
import json
import re
import sys
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from course_utils.errors import CourseError
from course_utils.learn import extras
from course_utils.learn.paths import project_dir
from course_utils.teach import origin
from course_utils.teach.release import counted, shown

LOCK = "requirements.lock"
_DATA = "What the lesson downloads: {downloads}. It reads no file from this folder but those that are here."


def files(plan, papers, package):
    """What pip installs the course from, and file name → content of what lies beside the notebook.

    `package` is what the instructor said, None for the commit that this clone is at.

    Raises CourseError for a package that pip could not take, and where the clone has no lock.
    """
    spec, wheel = _package(package, papers.extra)
    environment = _environment(plan.name, spec)
    texts = {"README.md": _readme(plan, papers, spec), "environment.yml": environment, LOCK: _lock(papers.extra)}
    return spec, texts | wheel


def _package(package, extra):
    """What pip is told, and the wheel to put into the zip where it is one here."""
    if package is None:
        return origin.requirement(extra), {}
    if not package.strip() or re.search(r"[\n\"'`]", package):
        raise CourseError(
            f"--package {package!r} is nothing that pip takes. Write git+https://…@commit, or name a wheel."
        )
    wheel = Path(package)
    if wheel.suffix != ".whl":
        return package, {}
    try:
        return f"./{wheel.name}{f'[{extra}]' if extra else ''}", {wheel.name: wheel.read_bytes()}
    except OSError as error:
        raise CourseError(f"The wheel {package} cannot be read: {error.strerror}. Give its path.") from None


def _environment(name, spec):
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return "\n".join(
        [
            f"# conda env create -f environment.yml, then: conda activate {name}",
            f"name: {name}",
            "channels:",
            "  - conda-forge",
            "dependencies:",
            f"  - python={python}",
            "  - pip",
            "  - pip:",
            f"      - --constraint {LOCK}",
            f"      - {json.dumps(spec)}",
            "",
        ]
    )


def _lock(extra):
    """The lines of the course's lock that the core and the lesson's extra need."""
    try:
        lines = (project_dir() / LOCK).read_text().splitlines()
    except OSError:
        raise CourseError(f"{project_dir()} has no {LOCK}: releases are made in a clone of the course.") from None
    pinned = {canonicalize_name(line.partition("==")[0]): line for line in lines if "==" in line}
    return "\n".join(sorted(pinned[name] for name in needed(extra) if name in pinned)) + "\n"


def needed(extra):
    """Names of all packages that the course's core and an extra bring, on any system."""
    found, queue = set(), [("course-utils", frozenset([extra] if extra else []))]
    queue += [(name, frozenset()) for name in (extras.packages(extra) if extra else ())]
    while queue:
        name, chosen = queue.pop()
        for one in _requirements(name, chosen):
            key = (canonicalize_name(one.name), frozenset(one.extras))
            if key not in found:
                found.add(key)
                queue.append(key)
    return {name for name, _ in found}


def _requirements(name, chosen):
    """What a package needs with these extras; what is not installed here is not known, and left to pip."""
    try:
        needs = _needs(name)
    except metadata.PackageNotFoundError:
        return []
    return [one for one in needs if _applies(one.marker, chosen)]


@functools.cache  # installed packages stay what they are while a program runs
def _needs(name):
    return tuple(map(Requirement, metadata.requires(name) or ()))


def _applies(marker, chosen):
    """Whether a marker holds for one of the extras, or asks for none: other systems count too."""
    if marker is None or "extra" not in str(marker):
        return True
    return any(marker.evaluate({"extra": extra}) for extra in chosen)


def _readme(plan, papers, spec):
    notebook = plan.lesson.path.name
    rows = [f"| `{one.id}` | {one.points} | {one.minutes} |" for one in plan.exercises]
    total = counted(sum(one.points for one in plan.exercises))
    due = f"Hand it in by **{shown(plan.deadline)}**." if plan.deadline else "Your instructor says when it is due."
    return _README.format(
        **{"name": plan.name, "title": papers.title, "rows": "\n".join(rows), "total": total, "due": due},
        **{"spec": spec, "notebook": notebook, "data": _DATA.format(downloads=papers.downloads), "lock": LOCK},
    )


_README = """# {name}: {title}

{due} {total} in all.

| exercise | points | minutes |
|---|---|---|
{rows}

Other exercises of the notebook are practice and bring no points.

## Install
With conda, in this folder:

    conda env create -f environment.yml
    conda activate {name}

or with Python alone:

    python -m venv .venv
    .venv/bin/pip install --constraint {lock} "{spec}"
    source .venv/bin/activate

On Windows the last two lines begin with `.venv\\Scripts\\`. {data}

## Work
    jupyter lab {notebook}

Write each answer over `raise NotImplementedError`, then run the check below it. Leave the notebook in this folder.
The check tries your answer on a few cases. Grading uses others of the same kind, so answer the task and not the cases.
Graded is the text of each stub's cell. What your answer needs beside the notebook's own imports and functions, such as a
helper function, belongs into that cell. Other cells that you add are for you.

## Hand in
Save the notebook and hand in this one file, under any name. Do not delete or copy the marked cells: they are how your
answers are found.

The course is open source, so its solutions can be found. What you learn from copying them is how to copy.
"""

"""A lesson's passport: what its notebook says about itself in `metadata.course`."""

import json
from dataclasses import dataclass
from html import escape
from pathlib import Path

from course_utils.errors import CourseError
from course_utils.gpu.device import show_bytes
from course_utils.learn import assignment, catalog
from course_utils.learn.measured import NOT_YET, measured_text


@dataclass(frozen=True)
class Passport:
    """What a learner wants to know before the first cell; `vram` is None in a lesson without a GPU.

    `vram` has `estimated_bytes`, and `measured`: names of rows of the GPU contract, or None.
    """

    lesson: str
    title: str
    build: str
    objectives: tuple[str, ...]
    prerequisites: tuple[str, ...]
    minutes: int
    downloads: str
    extra: str | None
    licences: dict
    gpu: bool
    vram: dict | None
    quiz: tuple[dict, ...]


def find_notebook(lesson):
    """The notebook of a lesson: beside the running kernel (a release stands alone, whatever its name), else in the clone.

    Raises CourseError where there is none.
    """
    if release := assignment.find(lesson):
        return release.path
    here = [found for found in map(catalog.lesson_of, Path.cwd().glob("*.ipynb")) if found.id == lesson]
    if not here and not catalog.lessons():
        raise CourseError(
            f"No notebook of {lesson!r} lies in {Path.cwd()}, where this kernel runs. "
            "Open the notebook from the folder that you unpacked, and leave it there."
        )
    return here[0].path if here else catalog.resolve(lesson).path


def read(path):
    """The passport in a notebook file.

    Raises CourseError where the file is no notebook or lacks an entry.
    """
    try:
        return from_metadata(json.loads(Path(path).read_text(encoding="utf-8"))["metadata"]["course"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CourseError(
            f"{Path(path).name} has no complete passport in metadata.course ({type(error).__name__}: {error}). "
            "Restore it with `git checkout -- notebooks`."
        ) from error


def from_metadata(course):
    """Turn the dictionary `metadata.course` into a `Passport`; KeyError names a missing entry."""
    fields = {name: course[name] for name in Passport.__dataclass_fields__}
    for name in ("objectives", "prerequisites", "quiz"):
        fields[name] = tuple(fields[name])
    return Passport(**fields)


def vram_text(passport):
    """The VRAM row: estimated · measured · yours."""
    if passport.vram is None:
        return "none: this lesson needs no GPU"
    measured = measured_text(passport.vram.get("measured"))
    words = measured if measured == NOT_YET else f"measured {measured}"
    return f"estimated {show_bytes(passport.vram.get('estimated_bytes'))} · {words}"


def rows(passport):
    """The passport as (label, text) rows."""
    return [
        ("You will build", passport.build),
        ("You will be able to", "\n".join(f"· {one}" for one in passport.objectives)),
        ("Before this", "; ".join(passport.prerequisites)),
        ("Time", f"about {passport.minutes} minutes"),
        ("Downloads", passport.downloads),
        ("Extra to install", f"make extra NAME={passport.extra}" if passport.extra else "none"),
        ("Licences", "; ".join(f"{what}: {licence}" for what, licence in passport.licences.items())),
        ("Video memory (VRAM)", vram_text(passport)),
    ]


def as_html(passport, setup):
    """The box that `course.start` shows; `setup` are further (label, text) rows about this run."""
    line = '<tr><th style="text-align:left;vertical-align:top;white-space:nowrap">{}</th><td style="text-align:left;white-space:pre-line">{}</td></tr>'
    body = "".join(line.format(escape(label), escape(text)) for label, text in rows(passport) + setup)
    return f'<table class="course-passport"><caption><b>{escape(passport.title)}</b></caption>{body}</table>'

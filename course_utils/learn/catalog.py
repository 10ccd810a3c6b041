"""Which lessons and exercises there are, and how to find one by its name."""

import importlib
import pkgutil
import re
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import course_utils.exercises
from course_utils.errors import CourseError
from course_utils.learn.exercise import Exercise
from course_utils.learn.paths import project_dir

_NUMBERED = re.compile(r"(week\d+[a-z]?)_\w+")


@dataclass(frozen=True)
class LessonFile:
    """A lesson's id (`week01`, `week04a`, `gan`) and the notebook that holds it."""

    id: str
    path: Path


def lesson_of(path):
    """The lesson in this notebook file: `week01` for `week01_regression.ipynb`, else the file's stem."""
    numbered = _NUMBERED.fullmatch(path.stem)
    return LessonFile(numbered[1] if numbered else path.stem, path.resolve())


def lessons(folder=None):
    """All lessons in reading order, the electives last; `folder` is the clone's `notebooks/` unless given."""
    folder = Path(folder or project_dir() / "notebooks")
    weeks = sorted(folder.glob("*.ipynb"))
    electives = sorted((folder / "electives").glob("*.ipynb"))
    return [lesson_of(path) for path in weeks + electives]


def resolve(name, folder=None):
    """The lesson meant by `week01`, `01` or a notebook's file.

    Raises CourseError with the nearest lesson's name where there is none.
    """
    if name.endswith(".ipynb"):
        return _from_file(Path(name))
    known = {lesson.id: lesson for lesson in lessons(folder)}
    wanted = name.lower()
    for candidate in (wanted, f"week{wanted}", f"week0{wanted}"):
        if candidate in known:
            return known[candidate]
    if not known:
        raise CourseError(f"There is no lesson in {folder or project_dir() / 'notebooks'}. Clone the course afresh.")
    near = get_close_matches(wanted, known, n=1, cutoff=0.0)[0]
    raise CourseError(f"There is no lesson {name!r}. The nearest is {near!r}; `course list` shows all.")


def _from_file(path):
    if not path.is_file():
        raise CourseError(f"There is no file {str(path)!r}. `course list` shows the lessons.")
    return lesson_of(path)


def exercise_modules():
    """Ids of the lessons that have exercises, in reading order."""
    return sorted(module.name for module in pkgutil.iter_modules(course_utils.exercises.__path__))


def exercises_of(lesson):
    """A lesson's exercises by id, in the order of its module; empty where it has none."""
    if lesson not in exercise_modules():
        return {}
    module = importlib.import_module(f"course_utils.exercises.{lesson}")
    return {value.id: value for value in vars(module).values() if isinstance(value, Exercise)}


def find_exercise(id):
    """The exercise with this id.

    Raises CourseError with the nearest known id where there is none.
    """
    found = exercises_of(id.partition(".")[0])
    if id in found:
        return found[id]
    known = [one for lesson in exercise_modules() for one in exercises_of(lesson)]
    near = get_close_matches(id, known, n=1, cutoff=0.0)
    raise CourseError(
        f"There is no exercise {id!r}. The nearest is {near[0]!r}." if near else "There are no exercises."
    )

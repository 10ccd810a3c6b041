"""The notebook of a release: a lesson without outputs, its graded exercises marked and locked."""

import copy
from dataclasses import dataclass
from datetime import datetime
from importlib import metadata

from course_utils.errors import CourseError
from course_utils.learn.catalog import LessonFile
from course_utils.learn.exercise import Exercise
from course_utils.run import notebook as notebook_file
from course_utils.run.modes import places
from course_utils.run.notebook import code_cell, markdown_cell
from course_utils.teach import nbgrader
from course_utils.teach.key import VERSION, Assigned

OWN_FILE = "own_exercises.json"
_GRADED = "**Graded: {points}.** Write your answer in the next cell."
_PRACTICE = "*Practice: this exercise brings no points in this assignment.*"


@dataclass(frozen=True)
class Plan:
    """What a release is to be; `graded` are exercises of the lesson, `own` the instructor's."""

    release_id: str
    name: str
    lesson: LessonFile
    graded: tuple[Exercise, ...]
    own: tuple[Exercise, ...]
    deadline: datetime | None
    hints: bool
    reveal: bool

    @property
    def exercises(self):
        """All that bring points, in the notebook's order."""
        return (*self.graded, *self.own)


def build(plan, own_cells=(), variant=""):
    """The notebook of a release as plain data, and its exercises as `Assigned`.

    `own_cells` are the cells that `own.cells` makes. Raises CourseError where an exercise has no stub before its check.
    """
    notebook = copy.deepcopy(notebook_file.load(plan.lesson.path))
    cells = notebook["cells"]
    _tidy(cells)
    found = {place.exercise.id: (place.stub, place.check) for place in places(notebook, plan.lesson.id)}
    for exercise, (text, stub, check) in zip(plan.own, own_cells, strict=True):
        cells += [text, stub, check]
        found[exercise.id] = (len(cells) - 2, len(cells) - 1)
    assigned = tuple(_assign(one, cells, found) for one in plan.exercises)
    notebook["cells"] = [*cells[:1], _box(plan), *_with_notes(plan, cells, found)[1:]]
    notebook["metadata"]["course"] |= _facts(plan, variant)
    notebook["nbformat_minor"] = max(5, notebook["nbformat_minor"])  # from 5 on, cells have ids
    return notebook, assigned


def _tidy(cells):
    for number, cell in enumerate(cells):
        cell.setdefault("id", f"cell-{number}")
        cell["source"] = notebook_file.source(cell)
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None


def _assign(exercise, cells, found):
    if exercise.id not in found:
        raise CourseError(f"No check of {exercise.id} stands in the notebook. `course lint` says what it needs.")
    stub, check = (cells[index] for index in found[exercise.id])
    nbgrader.mark_attempt(stub, exercise.id)
    nbgrader.mark_check(check, exercise.id)
    return Assigned(exercise.id, f"my_{exercise.reference.__name__}", exercise.points, stub["id"], check["id"])


def _with_notes(plan, cells, found):
    """The cells with a line before each stub, and after each graded check the cell that tells nbgrader its points."""
    graded = {one.id: one for one in plan.exercises}
    before = {stub: _note(id, graded.get(id)) for id, (stub, _) in found.items()}
    after = {check: _points(graded[id]) for id, (_, check) in found.items() if id in graded}
    triples = ((before.get(place), cell, after.get(place)) for place, cell in enumerate(cells))
    return [cell for triple in triples for cell in triple if cell]


def _note(id, exercise):
    text = _GRADED.format(points=counted(exercise.points)) if exercise else _PRACTICE
    return markdown_cell(f"note-{id.replace('.', '-')}", text)


def _points(exercise):
    code = f'course.nbgrader_points("{exercise.id}")  # what nbgrader reads; leave it as it is'
    cell = code_cell(f"points-{exercise.id.replace('.', '-')}", code)
    nbgrader.mark_points(cell, exercise.id, exercise.points)
    return cell


def _box(plan):
    rows = [f"| `{one.id}` | {one.points} |" for one in plan.exercises]
    due = f" Hand it in by {shown(plan.deadline)}." if plan.deadline else ""
    lines = [f"**Assignment {plan.name}.** These exercises are graded.{due}", "", "| exercise | points |", "|---|---|"]
    return markdown_cell("assignment", "\n".join([*lines, *rows]))


def _facts(plan, variant):
    return {
        "release": plan.release_id,
        "release_version": VERSION,
        "release_name": plan.name,
        "course_version": metadata.version("course-utils"),
        "lesson": plan.lesson.id,
        "deadline": plan.deadline.isoformat() if plan.deadline else None,
        "reveal": plan.reveal,
        "hints": plan.hints,
        "variant": variant,
        "own": OWN_FILE if plan.own else None,
    }


def shown(deadline):
    """A deadline as students read it."""
    return f"{deadline:%A, %d %B %Y, %H:%M} (UTC{deadline:%z})"


def counted(points):
    """The points in words: "1 point", "2 points"."""
    return f"{points} point{'' if points == 1 else 's'}"

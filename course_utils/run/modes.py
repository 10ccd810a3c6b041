"""A lesson with its exercises filled in: as a learner finds it, right, or wrong in every known way.

`check` gives the reference to the rest of the notebook where an answer is wrong, so a notebook
must finish in each mode, and each check must say what it is meant to say.
"""

import ast
import copy
import inspect
import linecache
from dataclasses import dataclass

from course_utils.errors import CourseError
from course_utils.learn.catalog import exercises_of
from course_utils.learn.exercise import Exercise
from course_utils.run.cells import calls_in, parse
from course_utils.run.notebook import place as place_of
from course_utils.run.notebook import source

MODES = ("blank", "reference", "mistakes")
_STATUS = {"blank": "Not attempted", "reference": "Passed"}


@dataclass(frozen=True)
class Place:
    """Where an exercise stands: indices of the stub's and the check's cell, and the stub's statement."""

    exercise: Exercise
    stub: int
    check: int
    statement: ast.stmt


@dataclass(frozen=True)
class WrongVerdict:
    """A check that said something else; `where` is its cell as `notebook.place` gives it, `message` a sentence."""

    where: dict
    message: str


def runs_of(notebook, lesson, mode):
    """The runs of a lesson's notebook (plain data, left as it is) in this mode, as (label, notebook).

    "blank" and "reference" give one run. "mistakes" gives as many as the exercise with the most
    known mistakes has, none without exercises; an exercise with fewer begins again with its first.
    Raises CourseError for an unknown mode, and where an exercise to fill in has no stub before its check.
    """
    if mode not in MODES:
        raise CourseError(f"There is no mode {mode!r}. Choose {', '.join(MODES)}.")
    if mode == "blank":
        return [(mode, notebook)]
    found = places(notebook, lesson)
    return [(label, _filled(notebook, found, label)) for label in _labels(found, mode)]


def places(notebook, lesson):
    """The `Place`s of the notebook's exercises, in its order.

    Raises CourseError where an exercise has no stub before its check.
    """
    exercises, trees = exercises_of(lesson), [_tree(cell) for cell in notebook["cells"]]
    checks = [(index, call) for index, tree in enumerate(trees) if tree for call in _checks(notebook, index)]
    return [_place(exercises, trees, index, call) for index, call in checks]


def verify(notebook, label, lesson):
    """The checks of an executed notebook that did not say what this run of `runs_of` expects, as `WrongVerdict`s."""
    found = [(place, _said(notebook["cells"][place.check])) for place in places(notebook, lesson)]
    return tuple(
        WrongVerdict(place_of(notebook["cells"], place.check), _sentence(place.exercise, said, label))
        for place, said in found
        if expected(place.exercise, label) not in said
    )


def _sentence(exercise, said, label):
    return f"The check of {exercise.id} should say “{expected(exercise, label)}”; it says “{said or 'nothing'}”."


def expected(exercise, label):
    """What the check of this exercise says in a run: the status, or the known mistake's sentence."""
    status = _STATUS.get(label)
    return f"{status} · {exercise.id}" if status else " ".join(_mistake(exercise, label).message.split())


def _labels(found, mode):
    if mode != "mistakes":
        return [mode]
    most = max((len(place.exercise.mistakes) for place in found), default=0)
    return [f"mistakes-{number}" for number in range(1, most + 1)]


def _mistake(exercise, label):
    number = int(label.rpartition("-")[2])
    return exercise.mistakes[(number - 1) % len(exercise.mistakes)]


def _tree(cell):
    return parse(source(cell)) if cell["cell_type"] == "code" else None


def _checks(notebook, index):
    return calls_in(source(notebook["cells"][index]), "course.check")


def _place(exercises, trees, check, call):
    match call.args:
        case [ast.Constant(value=id), ast.Name(id=name)] if id in exercises:
            for stub in range(check, -1, -1):
                if statement := _definition(trees[stub], name):
                    return Place(exercises[id], stub, check, statement)
    raise CourseError(f"No stub stands before `{ast.unparse(call)}`. `course lint` says what an exercise needs.")


def _definition(tree, name):
    """The last statement of a cell that defines this function or assigns this value, None where there is none."""
    for statement in reversed(tree.body if tree else ()):
        targets = getattr(statement, "targets", [getattr(statement, "target", None)])
        names = [getattr(statement, "name", None), *(getattr(target, "id", None) for target in targets)]
        if name in names:
            return statement
    return None


def _filled(notebook, found, label):
    filled = copy.deepcopy(notebook)
    for place in found:
        cell = filled["cells"][place.stub]
        cell["source"] = _replaced(source(cell), place.statement, answer(place.exercise, label))
    return filled


def _replaced(text, statement, code):
    lines = text.splitlines()
    return "\n".join([*lines[: statement.lineno - 1], code, *lines[statement.end_lineno :]])


def answer(exercise, label):
    """The code that stands for the stub in this run: with the imports it needs, and called where a value is asked for."""
    solution = exercise.reference if label == "reference" else _mistake(exercise, label).solution
    code, name = exercise.typed(solution), f"my_{exercise.reference.__name__}"
    call = [f"{name} = {name}()"] if exercise.value else []
    return "\n".join([*imports(solution, code), code, *call])


def imports(solution, code):
    """The import statements of the function's module whose names the code uses."""
    used = {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}
    # An instructor's own exercises have a source, but may have no module.
    module = ast.parse("".join(linecache.getlines(inspect.getsourcefile(solution))))
    statements = [one for one in module.body if isinstance(one, ast.Import | ast.ImportFrom)]
    return [ast.unparse(one) for one in statements if used & {_bound(alias) for alias in one.names}]


def _bound(alias):
    return alias.asname or alias.name.partition(".")[0]


def _said(cell):
    """What a check printed or displayed, as plain text."""
    outputs = cell.get("outputs", ())
    shown = [source({"source": one.get("data", {}).get("text/plain") or one.get("text", "")}) for one in outputs]
    return " ".join(" ".join(shown).split())

"""An instructor's own exercises: a Python file that a release takes in, without a fork of the course.

The file imports from `course_utils.learn.exercise` alone and holds what a module of the course holds. Students get
its cases, what comes of them and of the known mistakes, and its drives, but no solution.
"""

import ast
import base64
import functools
import hashlib
import inspect
import json
import linecache
import re
import sys
import textwrap
import traceback
import types
from pathlib import Path

from course_utils.errors import CourseError
from course_utils.learn import wire
from course_utils.learn.assignment import OWN
from course_utils.learn.attempt import cases_of, our_outcomes, public_seed
from course_utils.learn.credit import earned_by_constant
from course_utils.learn.exercise import Exercise
from course_utils.learn.own import FACTS, FORMAT, RECORDED
from course_utils.run.notebook import code_cell, markdown_cell

DIFFICULTY = {1: "easy", 2: "medium", 3: "hard"}


def read(path):
    """The source of an instructor's file and its exercises by id.

    Raises CourseError where it cannot be read or run, or holds no exercise.
    """
    path = Path(path)
    try:
        source = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CourseError(f"{path} cannot be read: {reason}. Give the path of a Python file.") from None
    found = exercises_in(path.name, source)
    if not found:
        raise CourseError(f"{path} holds no exercise. Write one with @exercise, as docs/assigning.md shows.")
    return source, found


@functools.lru_cache(maxsize=64)
def exercises_in(name, source):
    """Id → `Exercise` of the instructor's file with this name and source, which is run.

    Raises CourseError where that fails.
    """
    number = hashlib.sha256(source.encode()).hexdigest()[:12]
    module, file = types.ModuleType(f"course_own_{number}"), f"<{name} {number}>"
    module.__file__ = file
    # By these two, inspect finds the source of what is defined here.
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    sys.modules[module.__name__] = module
    try:
        exec(compile(source, file, "exec"), vars(module))
    except SyntaxError as error:
        raise CourseError(f"{name} is not Python: {error.msg}, line {error.lineno or 'n/a'}. Mend it.") from None
    except (Exception, SystemExit) as error:
        lines = [one.lineno for one in traceback.extract_tb(error.__traceback__) if one.filename == file] or ["n/a"]
        raise CourseError(
            f"{name} cannot be run: {type(error).__name__}: {error}, line {lines[-1]}. Mend it."
        ) from None
    found = [one for one in vars(module).values() if isinstance(one, Exercise)]
    ids = [one.id for one in found]
    if len(set(ids)) < len(ids):
        raise CourseError(f"{name} has two exercises of one id among {', '.join(ids)}. Give each its own.")
    return dict(zip(ids, found, strict=True))


def cells(exercise):
    """Its three cells: the task, the stub and the check."""
    function, number = _definition(exercise), exercise.id.replace(".", "-")
    name, returns = exercise.reference.__name__, f" -> {ast.unparse(function.returns)}" if function.returns else ""
    minutes, level = exercise.minutes, DIFFICULTY[exercise.difficulty]
    task = f"### {name.replace('_', ' ').capitalize()} ({minutes} minutes, {level})\n\n{_task(exercise)}"
    stub = f"def my_{name}({ast.unparse(function.args)}){returns}:\n    raise NotImplementedError"
    return (
        markdown_cell(f"task-{number}", task),
        code_cell(f"attempt-{number}", "\n\n".join(filter(None, (_imports(exercise), stub)))),
        code_cell(f"check-{number}", f'{name} = course.check("{exercise.id}", my_{name})'),
    )


def as_file(exercises, variant=""):
    """The text of the file that a release carries: `learn.own` reads it."""
    entries = {one.id: _entry(one, variant) for one in exercises}
    return json.dumps({"format": FORMAT, "exercises": entries}, indent=1)


def _entry(exercise, variant):
    cases = cases_of(exercise, public_seed(exercise.id, variant))
    drive = exercise.parts.get("drive")
    return {fact: getattr(exercise, fact) for fact in FACTS} | {
        "name": exercise.reference.__name__,
        "parameters": _parameters(exercise),
        "needs": list(exercise.needs),
        "hints": list(exercise.hints),
        "mistakes": [mistake.message for mistake in exercise.mistakes],
        "drive": f"{_imports(exercise)}\n\n{_renamed(drive)}" if drive else None,
        "earned_by_constant": earned_by_constant(exercise, cases, cases_of(exercise, 0)),
        "values": base64.b64encode(wire.encode(_values(exercise, cases))).decode(),
    }


def _values(exercise, cases):
    tables = [_table(exercise, one, cases) for one in (exercise.reference, *(m.solution for m in exercise.mistakes))]
    triples = [(list(case.args), dict(case.kwargs), case.note) for case in cases]
    return {"cases": triples, "expected": tables[0], "mistakes": tables[1:]}


def _table(exercise, solution, cases):
    return [tuple(getattr(one, field) for field in RECORDED) for one in our_outcomes(exercise, solution, cases)]


def _task(exercise):
    return inspect.getdoc(exercise.reference) or ""


def _definition(exercise):
    return ast.parse(textwrap.dedent(inspect.getsource(exercise.reference))).body[0]


def _parameters(exercise):
    """The names that the cases' arguments go by: what they default to may need a library."""
    arguments = _definition(exercise).args
    for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg):
        if one:
            one.annotation = None
    arguments.defaults = [ast.Constant(None) for _ in arguments.defaults]
    arguments.kw_defaults = [one and ast.Constant(None) for one in arguments.kw_defaults]
    return ast.unparse(arguments)


def _imports(exercise):
    """What the instructor's file imports, but for the course itself."""
    module = ast.parse(inspect.getsource(inspect.getmodule(exercise.reference)))
    lines = [ast.unparse(one) for one in module.body if isinstance(one, ast.Import | ast.ImportFrom)]
    return "\n".join(line for line in lines if "course_utils" not in line)


def _renamed(drive):
    source = textwrap.dedent(inspect.getsource(drive))
    return re.sub(r"def \w+\(", "def drive(", source[source.index("def ") :], count=1)


def is_own(id):
    """Whether an id is one that an instructor's exercise may have."""
    return re.fullmatch(rf"{OWN}\.[a-z_][a-z0-9_]*", id) is not None

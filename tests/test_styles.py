"""Right answers in unusual styles get full points from the real grader: loops, other libraries, dtypes, lambdas."""

import ast
import inspect
import os
import runpy
import textwrap
from pathlib import Path

import pytest
from hostile import school

from course_utils.learn.catalog import find_exercise
from course_utils.teach import sandbox
from course_utils.teach.key import read_key
from course_utils.teach.program import Program
from course_utils.teach.running import Task, run

REFUSAL = sandbox.refusal()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(REFUSAL) and not os.environ.get("CI"), reason=str(REFUSAL)),
]
FILES = sorted((Path(__file__).parent / "right_answers").glob("*.py"))
FEWEST = 5


def styles():
    """Exercise → label → text, of the exercises for which there are many answers."""
    found = {}
    for file in FILES:
        imports = "\n".join(ast.unparse(one) for one in ast.parse(file.read_text()).body if is_import(one))
        for id, functions in runpy.run_path(str(file))["RIGHT"].items():
            texts = {one.__name__: school.as_typed(one, school.name_of(id)) for one in functions}
            texts |= {f"{one.__name__} as a lambda": text for one in functions if (text := as_lambda(id, one))}
            if len(functions) >= FEWEST:
                found[id] = {label: f"{imports}\n\n\n{text}" for label, text in texts.items()}
    return found


def is_import(statement):
    return isinstance(statement, ast.Import | ast.ImportFrom)


def as_lambda(id, function):
    """A function of one `return` as a lambda under the attempt's name, None for another."""
    [definition] = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    match definition.body:
        case [ast.Return(value=value)]:
            return f"{school.name_of(id)} = lambda {ast.unparse(definition.args)}: {ast.unparse(value)}"
    return None


STYLES = styles()


@pytest.fixture(scope="module")
def marks(tmp_path_factory):
    """(exercise, label) → mark: one sandbox for all of them."""
    key = read_key(school.release(tmp_path_factory.mktemp("styles"))[0])
    tasks, found = {}, {}
    for id, texts in STYLES.items():
        for label, text in texts.items():
            program = Program(code=text, lines_before=0, modules=())
            tasks[id, label] = Task(id, school.name_of(id), find_exercise(id).points, program)
    exercises = {id: find_exercise(id) for id in STYLES}
    run(key, exercises, list(tasks.values()), 1, 2, lambda place, mark: found.update({place: mark}))
    return {label: found[task.place] for label, task in tasks.items()}


@pytest.mark.parametrize(("id", "label"), [(id, label) for id, texts in STYLES.items() for label in texts])
def test_a_right_answer_in_any_style_gets_full_points(marks, id, label):
    mark = marks[id, label]
    assert (mark.status, mark.points) == ("passed", find_exercise(id).points), mark


def test_there_are_many_styles_for_all_of_week_03_and_for_an_exercise_of_each_other_lesson():
    answered = {id.partition(".")[0] for id in STYLES}
    assert answered == {file.stem for file in FILES}
    assert sum(id.startswith("week03.") for id in STYLES) == 5
    assert any("lambda" in label for texts in STYLES.values() for label in texts)

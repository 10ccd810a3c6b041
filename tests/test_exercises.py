"""The exercise contract, over every exercise of every lesson."""

import ast
import builtins
import inspect
import runpy
import symtable
import sys
import textwrap
from itertools import combinations
from pathlib import Path

import pytest

from course_utils.learn.attempt import cases_of
from course_utils.learn.catalog import exercise_modules, exercises_of
from course_utils.learn.check import examine
from course_utils.learn.credit import earned_by_constant

EXERCISES = {id: one for lesson in exercise_modules() for id, one in exercises_of(lesson).items()}
ALIASES = {"numpy": "np", "pandas": "pd", "matplotlib.pyplot": "plt"}
CONSTANTS = {"0": 0, "1": 1, "None": None, "[]": [], '""': ""}

every_exercise = pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES)


def stub(*args, **kwargs):
    raise NotImplementedError


def answer(exercise, function):
    """What a learner passes to `check` for this solution."""
    return function() if exercise.value else function


def right_answers(exercise):
    file = Path(__file__).parent / "right_answers" / f"{exercise.lesson}.py"
    return runpy.run_path(str(file))["RIGHT"].get(exercise.id, []) if file.exists() else []


@every_exercise
def test_the_reference_passes_with_several_seeds(exercise):
    for seed in (None, 1, 2, 3):
        verdict = examine(exercise, answer(exercise, exercise.reference), seed)
        assert (verdict.status, verdict.points) == ("passed", exercise.points), verdict.message


@every_exercise
def test_a_stub_is_not_attempted(exercise):
    for untouched in (..., *([] if exercise.value else [stub])):
        assert examine(exercise, untouched).status == "not attempted"


@every_exercise
def test_each_known_mistake_is_rejected_with_its_own_sentence(exercise):
    assert len(exercise.mistakes) >= 2
    for mistake in exercise.mistakes:
        for seed in (None, 1, 2):
            verdict = examine(exercise, answer(exercise, mistake.solution), seed)
            assert verdict.status == "not yet"
            assert verdict.message == verdict.mistake == mistake.message


@every_exercise
def test_no_two_known_mistakes_say_the_same(exercise):
    for one, other in combinations([mistake.message for mistake in exercise.mistakes], 2):
        assert one != other


@every_exercise
def test_a_right_answer_written_differently_passes(exercise):
    answers = right_answers(exercise)
    assert answers, f"tests/right_answers/{exercise.lesson}.py has no answer for {exercise.id}"
    for one in answers:
        assert one is not exercise.reference
        for seed in (None, 1, 2):
            verdict = examine(exercise, answer(exercise, one), seed)
            assert verdict.status == "passed", f"{one.__name__}: {verdict.message}"


@every_exercise
@pytest.mark.parametrize("constant", CONSTANTS.values(), ids=CONSTANTS)
def test_no_constant_earns_a_point(exercise, constant):
    guess = constant if exercise.value else lambda *args, **kwargs: constant
    verdict = examine(exercise, guess)
    assert (verdict.status != "passed", verdict.points) == (True, 0)


@every_exercise
def test_the_input_handed_back_earns_no_point(exercise):
    if exercise.value:
        pytest.skip("a value has no input")
    for chosen in (0, -1):
        verdict = examine(exercise, lambda *args, chosen=chosen, **kwargs: [*args, *kwargs.values(), None][chosen])
        assert (verdict.status != "passed", verdict.points) == (True, 0)


@every_exercise
def test_another_seed_brings_cases_that_no_constant_and_no_table_of_the_public_ones_answers(exercise):
    hidden = [case for seed in range(4) for case in cases_of(exercise, [101, seed])]
    assert earned_by_constant(exercise, hidden, cases_of(exercise)) < len(hidden) - 1


@every_exercise
def test_a_check_run_twice_gives_one_verdict(exercise):
    for function in (exercise.reference, exercise.mistakes[0].solution):
        first, second = (examine(exercise, answer(exercise, function)) for _ in range(2))
        assert first == second


@every_exercise
def test_the_facts_are_complete(exercise):
    assert len(exercise.hints) >= 2
    assert exercise.points > 0 and exercise.minutes > 0 and exercise.difficulty in (1, 2, 3)
    assert exercise.value or "cases" in exercise.parts
    assert "drive" in exercise.parts or not exercise.in_place
    assert exercise.solution_source().startswith(f"def my_{exercise.reference.__name__}(")


@every_exercise
def test_the_sources_use_only_the_names_in_needs(exercise):
    functions = [exercise.reference, *(mistake.solution for mistake in exercise.mistakes)]
    functions += [exercise.parts["drive"]] if "drive" in exercise.parts else []
    for function in functions:
        assert foreign_names(inspect.getsource(function), exercise.needs) == set()


def foreign_names(source, needs):
    """Names that the function neither defines itself nor has from Python or from `needs`."""
    (definition,) = ast.parse(textwrap.dedent(source)).body
    definition.decorator_list = []
    scopes = [symtable.symtable(ast.unparse(definition), "source", "exec")]
    used = set()
    for scope in scopes:
        scopes += scope.get_children()
        used |= {
            s.get_name()
            for s in scope.get_symbols()
            if s.is_referenced() and (s.is_global() or scope.get_type() == "module")
        }
    imported = {name for node in ast.walk(definition) for name in imported_roots(node)}
    known = set(dir(builtins)) | {ALIASES.get(need, need.partition(".")[0]) for need in needs}
    roots = {need.partition(".")[0] for need in needs} | sys.stdlib_module_names
    return (used - known) | (imported - roots)


def imported_roots(node):
    if isinstance(node, ast.Import):
        return {alias.name.partition(".")[0] for alias in node.names}
    return {(node.module or "").partition(".")[0]} if isinstance(node, ast.ImportFrom) else set()


@pytest.mark.parametrize(
    "source, needs, foreign",
    [
        ("def f(x):\n    return np.sum(x) + len(x)", ("numpy",), set()),
        ("def f(x):\n    return np.sum(x)", (), {"np"}),
        ("def f(x):\n    return helper(x)", ("numpy",), {"helper"}),
        ("def f(x, y=SIZE):\n    return [z for z in x]", (), {"SIZE"}),
        ("def f(x):\n    def g(y):\n        return y + x + OUTSIDE\n    return g(x)", (), {"OUTSIDE"}),
        ("def f(x):\n    from sklearn.linear_model import Ridge\n    return Ridge()", ("sklearn",), set()),
        ("def f(x):\n    from sklearn.linear_model import Ridge\n    return Ridge()", ("numpy",), {"sklearn"}),
        ("def f(x):\n    import math\n    return math.pi", (), set()),
        ("def f(x):\n    return sklearn.linear_model.Ridge()", ("sklearn.linear_model",), set()),
        ("@reference.mistake('x')\ndef _(x):\n    return x", (), set()),
        ("def f(x):\n    return f(x)", (), {"f"}),
    ],
)
def test_a_foreign_name_is_found(source, needs, foreign):
    assert foreign_names(source, needs) == foreign


def test_an_answer_in_32_bits_passes_whatever_is_drawn():
    from right_answers.week03 import cross_entropy_in_float32

    exercise = EXERCISES["week03.cross_entropy"]
    refused = [seed for seed in range(1000, 1030) if examine(exercise, cross_entropy_in_float32, seed).points == 0]
    assert refused == [], "1008 and 1024 were: the loss of a sure and right picture is all rounding"


def test_a_mistake_about_signs_is_found_whatever_is_drawn():
    exercise = EXERCISES["week04b.grad_cam"]
    negative = next(one for one in exercise.mistakes if "negative" in one.message)
    assert examine(exercise, negative.solution, 2148).message == negative.message, "in this draw no sum is negative"

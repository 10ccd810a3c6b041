"""The exercise contract for an instructor's own exercise, before it goes into a release."""

import inspect
import json
from itertools import product

from course_utils.bars import bar
from course_utils.errors import CourseError
from course_utils.learn import own as carried
from course_utils.learn import wire
from course_utils.learn.attempt import cases_of
from course_utils.learn.check import examine
from course_utils.learn.verdict import NOT_ATTEMPTED, NOT_YET, PASSED
from course_utils.teach import own

_SEEDS = (None, 1, 2, 3)
_CONSTANTS = (0, 1, None, [], "")


def require(file_name, exercises):
    """Raise CourseError with the first rule that one of these exercises breaks, in one sentence."""
    steps = list(product(exercises, _RULES))
    with bar("trying your exercises", len(steps), "rules") as tell:
        for number, (exercise, rule) in enumerate(steps):
            tell(number)
            if problem := rule(exercise):
                raise CourseError(f"{file_name}: {exercise.id}: {problem}")


def _has_facts(exercise):
    if not own.is_own(exercise.id):
        return 'an own exercise is called "own." and a small-letter name, such as "own.relu".'
    if exercise.value:
        return "a value exercise would carry its answer to the students. Ask for a function, without value=True."
    if exercise.points <= 0 or exercise.minutes <= 0 or exercise.difficulty not in own.DIFFICULTY:
        return "points and minutes must be above 0, and difficulty 1, 2 or 3."
    return "" if inspect.getdoc(exercise.reference) else "its function has no docstring; it is the task students read."


def _has_cases(exercise):
    if "cases" not in exercise.parts:
        return f"it has no cases. Add a generator with @{exercise.reference.__name__}.cases."
    try:
        count = len(cases_of(exercise))
    except Exception as error:
        return f"its cases cannot be drawn: {type(error).__name__}: {error}."
    return (
        "" if count >= 2 else f"it has {count} case{'s' * (count != 1)}; a constant earns too much with fewer than 2."
    )


def _reference_passes(exercise):
    for seed in _SEEDS:
        verdict = examine(exercise, exercise.reference, seed)
        if verdict.status != PASSED:
            return f"its own reference does not pass: {verdict.message}"
    return ""


def _stub_is_blank(exercise):
    names = {}
    exec("def stub(*args, **kwargs):\n    raise NotImplementedError", names)
    if examine(exercise, names["stub"]).status != NOT_ATTEMPTED:
        return "an untouched stub must count as not attempted. Does its drive catch NotImplementedError?"
    return ""


def _mistakes_are_told(exercise):
    told = [mistake.message for mistake in exercise.mistakes]
    if len(set(told)) < 2:
        return f"it has {len(set(told))} known mistakes with a sentence of their own; at least 2 are needed."
    for mistake in exercise.mistakes:
        for seed in _SEEDS:
            verdict = examine(exercise, mistake.solution, seed)
            if verdict.status == PASSED:
                return f"the known mistake {mistake.message!r} passes. Add a case that shows what is wrong with it."
            if verdict.status != NOT_YET or verdict.mistake != mistake.message:
                return f"the known mistake {mistake.message!r} is told as {verdict.message!r}. Add a case that parts the two."
    return ""


def _constants(exercise):
    for constant in _CONSTANTS:
        if examine(exercise, lambda *args, constant=constant, **kwargs: constant).status == PASSED:
            return f"the constant {constant!r} passes. Add a case with another answer."
    return ""


def _travels(exercise):
    """Whether what students get says the same without the solution."""
    try:
        entry = json.loads(own.as_file([exercise]))["exercises"][exercise.id]
        arrived = carried.from_entry(exercise.id, entry)
        verdict = examine(arrived, exercise.reference)
    except wire.WireError as error:
        return f"its values cannot be sent: {error}. Use smaller ones."
    except Exception as error:
        return f"its drive does not work on its own ({type(error).__name__}: {error}). Import inside the file what it uses."
    if verdict.status != PASSED:
        return (
            f"where its solution is not, its check fails: {verdict.message} A drive uses what the file imports and "
            "nothing else; values are numbers, texts, lists, dicts, arrays and tensors."
        )
    return ""


_RULES = (
    _has_facts,
    _has_cases,
    _reference_passes,
    _stub_is_blank,
    _mistakes_are_told,
    _constants,
    _travels,
)

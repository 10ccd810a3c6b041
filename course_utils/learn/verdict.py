"""Judges outcomes against the reference's and the known mistakes': passed, not yet, or not attempted."""

from dataclasses import dataclass, replace

from course_utils.errors import CourseError
from course_utils.learn.attempt import named_inputs, our_outcomes
from course_utils.learn.compare import difference
from course_utils.learn.kinds import kind_of, plain, short, words
from course_utils.learn.tolerance import Tolerance, relation

PASSED, NOT_YET, NOT_ATTEMPTED, INTERRUPTED = "passed", "not yet", "not attempted", "interrupted"


@dataclass(frozen=True)
class Verdict:
    """What `check` shows; `inputs` are the failing case's as (name, text), `mistake` is a known one's sentence or "".

    `right` says of each case whether it agrees; it is empty where no case counts.
    """

    exercise_id: str
    status: str
    message: str
    max_points: int
    points: int = 0
    mistake: str = ""
    case_note: str = ""
    inputs: tuple[tuple[str, str], ...] = ()
    printed: str = ""
    right: tuple[bool, ...] = ()


def judge(exercise, answers, cases):
    """The verdict on these outcomes of these cases; `answers` is shorter where an attempt was stopped.

    Raises CourseError where the exercise has no cases, since nothing could fail.
    """
    if not cases:
        raise CourseError(f"The exercise {exercise.id!r} has no cases.")
    if all(answer.untouched for answer in answers):
        return not_attempted(exercise)
    expected = our_outcomes(exercise, exercise.reference, cases)
    right = [agree(exercise, mine, theirs) for mine, theirs in zip(answers, expected, strict=False)]
    if len(right) == len(cases) and all(right):
        return _passed(exercise, answers)
    verdict = _not_yet(exercise, answers, expected, cases, right.index(False))
    return replace(verdict, right=(*right, *[False] * (len(cases) - len(right))))


def _passed(exercise, answers):
    points, right = exercise.points, (True,) * len(answers)
    return Verdict(exercise.id, PASSED, "All cases agree.", points, points, printed=answers[0].printed, right=right)


def not_attempted(exercise):
    """The verdict on an untouched stub."""
    name = "the value" if exercise.value else "the function"
    message = f"Replace the placeholder: write {name}, then run this cell again."
    return Verdict(exercise.id, NOT_ATTEMPTED, message, exercise.points)


def refused(exercise, message):
    """The verdict on an answer that is the course's own."""
    return Verdict(exercise.id, NOT_YET, message, exercise.points)


def agree(exercise, mine, theirs):
    """Whether this outcome is the expected one."""
    if mine.problem:
        return False
    if mine.error or theirs.error:
        return theirs.error in mine.error_kinds
    return mine.changed == theirs.changed and not _difference(exercise, mine, theirs)


def _difference(exercise, mine, theirs):
    try:
        return difference(mine.value, theirs.value, exercise.relative, exercise.absolute)
    except Exception as error:  # an answer whose own properties fail
        return f"your answer, {words(mine.value)}, could not be compared ({type(error).__name__})"


def _not_yet(exercise, answers, expected, cases, failing):
    mine, case = answers[failing], cases[failing]
    mistake = _known_mistake(exercise, answers, cases)
    across = "" if mistake else _in_all_cases(exercise, answers, expected)
    case_matters = (
        len(answers) < len(cases) or any(answer.problem != mine.problem for answer in answers) or not mine.problem
    )
    return Verdict(
        exercise.id,
        INTERRUPTED if mine.interrupted else NOT_YET,
        mistake or " ".join(filter(None, (_explained(exercise, mine, expected[failing]), across))),
        exercise.points,
        mistake=mistake,
        case_note=case.note if case_matters else "",
        inputs=tuple((name, short(value)) for name, value in named_inputs(exercise, case)) if case_matters else (),
        printed=mine.printed,
    )


def _known_mistake(exercise, answers, cases):
    """The sentence of the known mistake that gives these very answers in all cases, "" where there is none."""
    if len(answers) < len(cases):
        return ""
    for mistake in exercise.mistakes:
        theirs = our_outcomes(exercise, mistake.solution, cases)
        if all(map(agree, [exercise] * len(cases), answers, theirs)):
            return mistake.message
    return ""


def _in_all_cases(exercise, answers, expected):
    """What relates single numbers of several cases: one number alone has no factor."""
    pairs = [(mine.value, theirs.value) for mine, theirs in zip(answers, expected, strict=False)]
    if len(pairs) < 2 or {kind_of(value) for pair in pairs for value in pair} != {"number"}:
        return ""
    mine, theirs = ([plain(value) for value in values] for values in zip(*pairs, strict=True))
    found = relation(mine, theirs, Tolerance(exercise.relative, exercise.absolute), one_answer=False)
    return f"In all cases, {found}." if found else ""


def _explained(exercise, mine, theirs):
    """Why this outcome is not the expected one, in sentences."""
    if mine.problem:
        return mine.problem
    if mine.returned_none and not theirs.returned_none:
        return _none(mine)
    if mine.error:
        return _error(mine) + (f" Another error is expected here: {theirs.error}." if theirs.error else "")
    if theirs.error:
        return f"It returned {words(mine.value)} where it should raise {theirs.error}."
    return _value(exercise, mine, theirs)


def _none(mine):
    if not mine.printed.strip():
        return "It returned None. Does its last line lack a `return`?"
    first = mine.printed.strip().splitlines()[0]
    return f"It printed {short(first)} and returned None. Use `return` instead of `print`."


def _error(mine):
    if mine.error == "NotImplementedError" and mine.own:
        return f"Line {mine.line} still says `{mine.line_text}`. Delete it once your own code stands there."
    said = f"It raised {mine.error}" + (f": {mine.error_text}" if mine.error_text else "")
    if mine.line is None:
        return f"{said.rstrip('.')}."
    return f"{said.rstrip('.')}, in line {mine.line} of your code" + (
        f": `{mine.line_text}`." if mine.line_text else "."
    )


def _value(exercise, mine, theirs):
    found = _difference(exercise, mine, theirs)
    said = f"What differs: {found}." if found else "The answer is right, but"
    if not mine.changed:
        return said
    start = f"{said} It also" if found else f"{said} it"
    name = mine.changed
    return f"{start} changes its input `{name}`. Work on a copy: `{name}.copy()`, of a tensor `{name}.clone()`."

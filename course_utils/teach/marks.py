"""What a student earned in one exercise, and why: everything here may be read by the student."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from course_utils.learn.credit import credit
from course_utils.learn.outcome import Outcome
from course_utils.learn.verdict import NOT_ATTEMPTED, NOT_YET, PASSED, judge
from course_utils.teach.sandbox import Limits

PARTLY, MISSING, STOPPED = "partly", "missing", "stopped"
_MOST_CHARACTERS = 2_000


@dataclass(frozen=True)
class Shown:
    """The first public case that fails, as `check` shows it."""

    message: str
    case_note: str = ""
    inputs: tuple[tuple[str, str], ...] = ()
    printed: str = ""


@dataclass(frozen=True)
class Mark:
    """The result of one attempt; `right` of `cases` hidden cases agree, `kinds` are those that do not.

    `sha256` is that of the attempt's text, `run_sha256` that of all the code that was run, `likeness` is
    what attempts share that hardly differ. `seconds` is None where nothing ran.
    """

    status: str
    points: float
    max_points: int
    right: int = 0
    cases: int = 0
    mistake: str = ""
    kinds: tuple[str, ...] = ()
    stopped: str = ""
    shown: Shown | None = None
    sha256: str = ""
    run_sha256: str = ""
    likeness: str = ""
    seconds: float | None = None


def missing(max_points):
    """The mark for an attempt that is not there."""
    return Mark(MISSING, 0.0, max_points)


def incomparable(max_points):
    """The mark for an answer that comparing itself fails on."""
    return Mark(STOPPED, 0.0, max_points, stopped="Its answer could not be compared.")


def hidden_mark(prepared, answer, max_points):
    """The `Mark` that the hidden cases give; nothing that the attempt wrote is in it."""
    outcomes = _with_stop(answer, prepared.hidden_cases)
    verdict = judge(prepared.hidden, outcomes, prepared.hidden_cases)
    if verdict.status == NOT_ATTEMPTED:
        return Mark(NOT_ATTEMPTED, 0.0, max_points, cases=len(prepared.hidden_cases))
    right = list(verdict.right)
    points = credit(right, prepared.earned_by_constant, max_points)
    stopped = "" if all(right) else _stopped(answer, len(right))
    wrong = (kind for kind, agrees in zip(prepared.kinds, right, strict=True) if not agrees)
    return Mark(
        status=_status(right, points, stopped),
        points=points,
        max_points=max_points,
        right=sum(right),
        cases=len(right),
        mistake=verdict.mistake,
        kinds=tuple(dict.fromkeys(wrong)),
        stopped=stopped,
    )


def _stopped(answer, cases):
    """Why it was stopped, "" where it was not, without the numbers that the attempt may choose."""
    if answer.stopped:
        return re.sub(r" with exit status \d+|: signal \d+ \(\w+\)", "", answer.stopped)
    return "It ran out of time." if len(answer.outcomes) < cases or answer.seconds >= Limits().seconds else ""


def _status(right, points, stopped):
    if all(right):
        return PASSED
    return STOPPED if stopped else PARTLY if points else NOT_YET


def _with_stop(answer, cases):
    """The outcomes, and where the attempt was stopped one that says so."""
    outcomes = list(answer.outcomes[: len(cases)])
    if len(outcomes) < len(cases):
        outcomes.append(Outcome(problem=answer.stopped or "It gave no answer."))
    return outcomes


def shown(prepared, answer, lines_before):
    """The first public case that fails, with the lines counted from the attempt's first; None where all agree."""
    outcomes = [_in_attempt(one, lines_before) for one in _with_stop(answer, prepared.public_cases)]
    verdict = judge(prepared.public, outcomes, prepared.public_cases)
    if verdict.status == PASSED:
        return None
    return Shown(_inert(verdict.message), verdict.case_note, verdict.inputs, _inert(verdict.printed))


def _inert(text):
    """Text of the attempt's own without terminal codes, hidden directions, and what UTF-8 cannot write."""
    return "".join(one if one.isprintable() or one in "\n\t" else "\N{REPLACEMENT CHARACTER}" for one in text)[
        :_MOST_CHARACTERS
    ]


def _in_attempt(outcome, lines_before):
    line = outcome.line - lines_before if outcome.line else None
    text = re.sub(r" \(<submission>, line \d+\)$", "", outcome.error_text)  # a SyntaxError's, counted otherwise
    return replace(outcome, line=line if line and line > 0 else None, error_text=text)


def as_data(mark: Mark):
    """The mark as plain data for JSON."""
    return asdict(mark)


def from_data(data: Mapping):
    """The mark in plain data.

    Raises TypeError or KeyError where it is no mark.
    """
    seen = data["shown"]
    inner = Shown(**{**seen, "inputs": tuple(map(tuple, seen["inputs"]))}) if seen else None
    return Mark(**{**data, "kinds": tuple(data["kinds"]), "shown": inner})

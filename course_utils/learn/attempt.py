"""Runs an attempt on an exercise's cases, whatever it does, and notes what came of each."""

import copy
import functools
import hashlib
import inspect
import sys
import time
import types
import warnings
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace

from course_utils.learn.compare import difference
from course_utils.learn.exercise import Case
from course_utils.learn.guard import Printed, TimeUp, bounded, seed, undisturbed, watched
from course_utils.learn.kinds import words
from course_utils.learn.outcome import Outcome, is_empty, raised

LIMIT_SECONDS = 10.0
GRACE_SECONDS = 1.0


def cases_of(exercise, seed=None):
    """The exercise's cases as a list; without a seed the public ones, which depend on the exercise's id alone."""
    if "cases" not in exercise.parts:
        return [Case()]
    import numpy as np

    return list(exercise.parts["cases"](np.random.default_rng(public_seed(exercise.id) if seed is None else seed)))


def public_seed(id, variant=""):
    """The seed that every learner's check uses, or that of one `variant`: the same on every machine and Python."""
    return int.from_bytes(hashlib.sha256(f"{id}{variant}".encode()).digest()[:8], "big")


def outcomes(exercise, attempt, cases, limit=LIMIT_SECONDS):
    """One Outcome a case, fewer where the time (in seconds for all cases, None: no limit) ran out; never raises."""
    problem = _unfit(exercise, attempt)
    if problem:
        return [problem] * len(cases)
    done, printed, screen, started = [], Printed(), sys.stdout, time.monotonic()
    say = functools.partial(_say_stuck, screen, limit)
    try:
        with undisturbed(), redirect_stdout(printed), watched(limit and limit + GRACE_SECONDS, say):
            bounded(functools.partial(_run_all, exercise, attempt, cases, printed, done), limit)
    except TimeUp:
        done.append(Outcome(problem=_late(limit, time.monotonic() - started), printed=printed.take()))
    except KeyboardInterrupt:
        done.append(Outcome(problem="The check was interrupted.", interrupted=True, printed=printed.take()))
    return done


def our_outcomes(exercise, solution, cases):
    """The same for the course's own reference or known mistake, whose warnings nobody needs to see."""
    if exercise.is_recorded:
        return list(exercise.parts["recorded"][solution])
    with warnings.catch_warnings(), redirect_stderr(Printed()):
        warnings.simplefilter("ignore")
        return outcomes(exercise, solution() if exercise.value else solution, cases, limit=None)


def _run_all(exercise, attempt, cases, printed, done):
    for number, case in enumerate(cases):
        seed(number)
        outcome = _misfit(exercise, attempt, case) or _run(exercise, attempt, case)
        done.append(replace(outcome, printed=printed.take()))


def _late(limit, seconds):
    said = f"It was still running after {limit:g} seconds and was stopped. Is there a loop that never ends?"
    if seconds < limit + GRACE_SECONDS:
        return said
    return f"{said} It held on for {seconds:.0f} seconds: native code could not be interrupted until it returned."


def _say_stuck(screen, limit):
    print(
        f"Still running after {limit:g} seconds, in code that cannot be interrupted. "
        "If it does not come back, choose Kernel → Restart.",
        file=screen,
        flush=True,
    )


def _unfit(exercise, attempt):
    """An Outcome for what cannot be run at all, else None."""
    if attempt is ...:
        return Outcome(untouched=True)
    if exercise.value or "drive" in exercise.parts:
        return None
    if isinstance(attempt, type):
        return Outcome(problem=f"You passed the class `{attempt.__name__}`; this exercise asks for a function.")
    if not callable(attempt):
        name = f"my_{exercise.reference.__name__}"
        return Outcome(problem=f"You passed {words(attempt)}. Pass the function itself, without parentheses: `{name}`.")
    return None


def _misfit(exercise, attempt, case):
    """An Outcome for parameters that do not fit the case's arguments, else None."""
    if exercise.value or "drive" in exercise.parts:
        return None
    try:
        signature = inspect.signature(attempt)
    except (TypeError, ValueError):  # some built-in functions do not tell
        return None
    try:
        signature.bind(*case.args, **case.kwargs)
    except TypeError:
        wanted = ", ".join(name for name, _ in named_inputs(exercise, case))
        return Outcome(
            problem=f"Your function takes ({', '.join(signature.parameters)}); it is called with ({wanted})."
        )
    return None


def named_inputs(exercise, case):
    """The case's arguments with the names of the parameters that take them."""
    target = exercise.parts.get("drive", exercise.reference)
    try:
        bound = inspect.signature(target).bind(
            *([None] if "drive" in exercise.parts else []), *case.args, **case.kwargs
        )
    except (TypeError, ValueError):
        return [*((f"argument {i}", value) for i, value in enumerate(case.args, 1)), *case.kwargs.items()]
    kinds = bound.signature.parameters
    pairs = [pair for name, value in bound.arguments.items() for pair in _spread(kinds[name].kind, name, value)]
    return pairs[1:] if "drive" in exercise.parts else pairs


def _spread(kind, name, value):
    """`*args` and `**kwargs` as the single inputs that they hold."""
    if kind is inspect.Parameter.VAR_POSITIONAL:
        return [(f"{name}[{place}]", one) for place, one in enumerate(value)]
    return value.items() if kind is inspect.Parameter.VAR_KEYWORD else [(name, value)]


def _run(exercise, attempt, case):
    args, kwargs = copy.deepcopy((case.args, dict(case.kwargs)))
    nones = []
    try:
        value = _call(exercise, attempt, args, kwargs, nones)
    except (TimeUp, KeyboardInterrupt):
        raise
    except SystemExit:
        return Outcome(problem="It called `exit()` or `sys.exit()`, which ends the notebook. Use `return` instead.")
    except BaseException as error:
        return raised(error, attempt, returned_none=nones[-1:] == [True])
    used = replace(case, args=args, kwargs=kwargs)
    changed = "" if exercise.in_place else _changed(exercise, case, used)
    none, untouched = nones[-1:] == [True], is_empty(attempt)
    return Outcome(_snapshot(value), changed=changed, returned_none=none, untouched=untouched)


def _call(exercise, attempt, args, kwargs, nones):
    """The value to compare; `nones` learns of each call of the learner's function whether it returned None."""
    plain_value = exercise.value or not isinstance(attempt, types.FunctionType)
    answer = attempt if plain_value else _noting(attempt, nones)
    if "drive" in exercise.parts:
        return exercise.parts["drive"](answer, *args, **kwargs)
    return attempt if exercise.value else answer(*args, **kwargs)


def _noting(attempt, nones):
    @functools.wraps(attempt)
    def noted(*args, **kwargs):
        value = attempt(*args, **kwargs)
        nones.append(value is None)
        return value

    return noted


def _snapshot(value):
    """A copy, since an attempt may go on changing what it returned; what cannot be copied is taken as it is."""
    if inspect.iscoroutine(value):
        value.close()  # or Python warns that it was never awaited
    try:
        return copy.deepcopy(value)
    except Exception:
        return value


def _changed(exercise, before, after):
    for (name, old), (_, new) in zip(named_inputs(exercise, before), named_inputs(exercise, after), strict=True):
        if difference(new, old, 0.0, 0.0):
            return name
    return ""

"""The course's own solutions as they are handed to a notebook, each known again when it comes back."""

import functools
from contextlib import contextmanager

_functions = {}  # exercise id → the wrapper handed out
_values = {}  # exercise id → the values handed out, kept alive so that their identity stays theirs
_watched = {}  # id of the exercise being checked → whether its handed-out solution was called
_SHARED = (type(None), bool, int, str)  # a learner's own 5 may be the very object that we handed out


class OwnSolutionCalled(Exception):
    """The attempt calls the course's solution of the exercise that is being checked."""


def hand_out(exercise):
    """The reference for the rest of the notebook: always the same wrapper, or the reference's value."""
    if exercise.value:
        value = exercise.reference()
        _values.setdefault(exercise.id, []).append(value)
        return value
    return _functions.setdefault(exercise.id, _wrapped(exercise))


def _wrapped(exercise):
    @functools.wraps(exercise.reference)
    def solution(*args, **kwargs):
        if exercise.id in _watched:
            _watched[exercise.id] = True
            raise OwnSolutionCalled("this is the course's solution")
        return exercise.reference(*args, **kwargs)

    return solution


def was_handed_out(exercise, attempt):
    """Whether this very object is one that `hand_out` gave for this exercise."""
    if exercise.value:
        handed = _values.get(exercise.id, [])
        return type(attempt) not in _SHARED and any(attempt is value for value in handed)
    return attempt is _functions.get(exercise.id, ...) and attempt is not ...


@contextmanager
def watching(exercise):
    """A dict whose `called` is true after the block if the block called the handed-out solution."""
    _watched[exercise.id] = False
    seen = {"called": False}
    try:
        yield seen
    finally:
        seen["called"] = _watched.pop(exercise.id)

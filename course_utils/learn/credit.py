"""Partial credit: what an answer earns beyond what a constant or a table of the known cases would earn."""

from course_utils.learn.attempt import our_outcomes
from course_utils.learn.compare import difference
from course_utils.learn.verdict import agree


def credit(passed: list[bool], earned_by_constant: int, points) -> float:
    """Points, to two decimals: all for all cases, else the share of those that no constant earns."""
    if passed and all(passed):
        return float(points)
    beyond = len(passed) - earned_by_constant
    return round(points * max(0, sum(passed) - earned_by_constant) / beyond, 2) if beyond > 0 else 0.0


def earned_by_constant(exercise, cases, known):
    """How many of these cases one constant answer gets right that looks up the `known` ones in a table.

    `known` are the cases that learners see, or those of another seed: what they share with `cases` is the same for
    everyone.
    """
    listed = [case for case in cases if any(_same(case, one) for one in known)]
    rest = [case for case in cases if not any(case is one for one in listed)]
    expected = our_outcomes(exercise, exercise.reference, rest)
    return len(listed) + max((sum(agree(exercise, one, other) for other in expected) for one in expected), default=0)


def _same(case, other):
    return not difference([list(case.args), dict(case.kwargs)], [list(other.args), dict(other.kwargs)], 0.0, 0.0)

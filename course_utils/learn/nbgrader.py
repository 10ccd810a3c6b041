"""Points for nbgrader, which reads them from the locked cell after a check.

nbgrader runs a submission's own code beside its tests and can be fooled by it; `course grade` cannot.
"""

import os

from course_utils.learn.attempt import cases_of
from course_utils.learn.check import latest
from course_utils.learn.credit import credit, earned_by_constant


def nbgrader_points(id):
    """The points that the latest check of this exercise in this kernel earned, part of them for part of the cases.

    Raises AssertionError with the verdict where nbgrader grades and there are none; elsewhere none are 0.0, so that
    a notebook whose exercises are blank runs to its end.
    """
    checked = latest(id)
    points = _points(checked) if checked else 0.0
    if not points and os.environ.get("NBGRADER_EXECUTION"):
        raise AssertionError(checked.verdict.message if checked else f"No check of {id} ran before this cell.")
    return points


def _points(checked):
    exercise, passed = checked.exercise, checked.verdict.right
    return credit(list(passed), _constant(exercise, checked.seed), exercise.points) if passed else 0.0


def _constant(exercise, seed):
    if exercise.is_recorded:
        return exercise.parts["earned_by_constant"]
    return earned_by_constant(exercise, cases_of(exercise, seed), cases_of(exercise, 0))

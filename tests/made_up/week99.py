"""Exercises that exist only for the tests of the exercise engine."""

import numpy as np

from course_utils.learn.exercise import Case, exercise

HINTS = ("Look at the <axis>.", "Use `numpy`.")


@exercise("week99.total", points=2, minutes=5, difficulty=1, needs=("numpy",), hints=HINTS)
def total(values, scale=1.0):
    return float(np.sum(values) * scale)


@total.cases
def _(rng):
    yield Case((np.array([1.0, 2.0, 4.0]),), note="three values")
    yield Case((rng.normal(5, 1, size=9),), {"scale": 3.0}, note="nine values, <scaled>")


@total.mistake("That is the mean: you divided by the number of values.")
def _(values, scale=1.0):
    return float(np.mean(values) * scale)


@total.mistake("You forgot the scale.")
def _(values, scale=1.0):
    return float(np.sum(values))


@total.mistake("An empty list was assumed.")
def _(values, scale=1.0):
    raise LookupError("no values")


@exercise("week99.doubled", points=1, minutes=5, difficulty=1, needs=("numpy",), hints=HINTS, in_place=True)
def doubled(values):
    values *= 2


@doubled.cases
def _(rng):
    yield Case((rng.normal(size=4),), note="four values")
    yield Case((rng.normal(size=2),), note="two values")


@doubled.drive
def _(attempt, values):
    attempt(values)
    return values


@doubled.mistake("You made a new array; the old one must change.")
def _(values):
    return values * 2


@exercise("week99.root", points=1, minutes=5, difficulty=1, needs=(), hints=HINTS)
def root(number):
    if number < 0:
        raise ValueError("negative")
    return number**0.5


@root.cases
def _(rng):
    yield Case((float(rng.uniform(1, 9)),), note="a positive number")
    yield Case((-1.0,), note="a negative number")


@root.mistake("You return the root's square.")
def _(number):
    return number


@exercise("week99.model", points=1, minutes=5, difficulty=2, needs=("numpy",), hints=HINTS)
def model():
    class Mean:
        def fit(self, y):
            self.mean = float(np.mean(y))
            return self

        def predict(self, rows):
            return np.full(rows, self.mean)

    return Mean()


@model.cases
def _(rng):
    yield Case((rng.normal(size=6), 3), note="six rows")


@model.drive
def _(attempt, y, rows):
    return attempt().fit(y).predict(rows)


@exercise("week99.shapes", points=1, minutes=1, difficulty=1, needs=(), hints=HINTS, value=True)
def shapes():
    return [3, 4]


@shapes.mistake("Rows come first, columns second.")
def _():
    return [4, 3]

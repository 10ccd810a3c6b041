"""Exercises of weekNN.

One place for all about an exercise. Its solution, the functions of its known mistakes and its drive use only the
names in `needs`: the solution is shown to learners as it stands here, and runs outside of this module.
"""

import numpy as np

from course_utils.learn.exercise import Case, exercise


@exercise(
    "weekNN.squared_residuals",
    points=1,
    minutes=5,
    difficulty=1,  # 1 easy, 2 medium, 3 hard
    needs=("numpy",),
    hints=(  # each unfolds by itself: the idea first, then how to write it
        "Take the residuals first: `y - b - w * x` is an array with one entry for each reading.",
        "Square the array entry by entry with `** 2`, then add it up with `np.sum`.",
    ),
)
def squared_residuals(x, y, b, w):
    return float(np.sum((y - b - w * x) ** 2))


@squared_residuals.cases
def _(rng):
    # A small case that a learner can follow by hand comes first. The others draw from `rng`: what is the same under
    # every seed earns no points when the exercise is graded.
    yield Case((np.array([0.0, 1.0, 2.0]), np.array([1.0, 2.0, 4.0]), 1.0, 1.0), note="three readings")
    for n in (5, 30):
        x = rng.uniform(0, 60, size=n)
        yield Case((x, 0.12 * x + rng.normal(size=n), 0.3, 0.1), note=f"{n} readings")
    x = rng.uniform(0, 60, size=8)
    yield Case((x, 1.5 + 0.2 * x, 1.5, 0.2), note="readings exactly on the line")


# A known mistake is a wrong answer that people really write. Its sentence names the slip, not the solution, and is shown
# only where the answer agrees with this function in all cases.
@squared_residuals.mistake("You added the sizes of the residuals. Square each one first.")
def _(x, y, b, w):
    return float(np.sum(np.abs(y - b - w * x)))


@squared_residuals.mistake("You squared the sum. Square each residual first: else those above and below cancel.")
def _(x, y, b, w):
    return float(np.sum(y - b - w * x) ** 2)


@squared_residuals.mistake("This is the mean of the squares. The task asks for their sum.")
def _(x, y, b, w):
    return float(np.mean((y - b - w * x) ** 2))


@exercise(
    "weekNN.fit_line",
    points=2,
    minutes=10,
    difficulty=2,
    needs=("numpy",),
    hints=(
        "Subtract the means first; both sums of the formula are made of these differences.",
        "`w = np.sum((x - x.mean()) * (y - y.mean())) / …`, and `b` follows from `w` and the two means.",
    ),
)
def fit_line(x, y):
    from_middle = x - x.mean()
    w = np.sum(from_middle * (y - y.mean())) / np.sum(from_middle**2)
    return float(y.mean() - w * x.mean()), float(w)


@fit_line.cases
def _(rng):
    yield Case(
        (np.array([0.0, 1.0, 2.0, 3.0]), np.array([1.0, 3.0, 5.0, 7.0])), note="four readings on the line 1 + 2x"
    )
    for n in (6, 30):
        x = rng.uniform(0, 60, size=n)
        yield Case((x, 0.12 * x + rng.normal(0, 0.4, size=n)), note=f"{n} readings")


@fit_line.mistake("Below the fraction stands how y varies. It must be how x varies: the line says y for a given x.")
def _(x, y):
    w = np.sum((x - x.mean()) * (y - y.mean())) / np.sum((y - y.mean()) ** 2)
    return float(y.mean() - w * x.mean()), float(w)


@fit_line.mistake("Your line goes through the origin. Subtract the means before you multiply.")
def _(x, y):
    return 0.0, float(np.sum(x * y) / np.sum(x**2))


@fit_line.mistake("The pair is in the wrong order: the task asks for (b, w).")
def _(x, y):
    w = np.sum((x - x.mean()) * (y - y.mean())) / np.sum((x - x.mean()) ** 2)
    return float(w), float(y.mean() - w * x.mean())


@exercise(
    "weekNN.leverage",
    points=2,
    minutes=10,
    difficulty=2,
    needs=("numpy",),
    hints=(
        "The sum below the fraction is one number for all readings; the square above it is an array.",
        "`d = (x - x.mean()) ** 2` is used twice: as it is, and summed.",
    ),
)
def leverage(x):
    distance = (x - x.mean()) ** 2
    return 1 / len(x) + distance / distance.sum()


@leverage.cases
def _(rng):
    yield Case((np.array([0.0, 1.0, 2.0]),), note="three readings, one of them in the middle")
    for n in (5, 40):
        yield Case((rng.uniform(0, 60, size=n),), note=f"{n} readings")


@leverage.mistake("The share 1/n of the mean is missing: in the middle nothing would pull at all.")
def _(x):
    return (x - x.mean()) ** 2 / np.sum((x - x.mean()) ** 2)


@leverage.mistake("You took the distance from the middle as it is. It enters squared, above and below.")
def _(x):
    return 1 / len(x) + np.abs(x - x.mean()) / np.sum(np.abs(x - x.mean()))

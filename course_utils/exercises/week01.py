"""Exercises of week 01, Regression."""

import numpy as np

from course_utils.learn.exercise import Case, exercise


@exercise(
    "week01.rmse",
    points=1,
    minutes=5,
    difficulty=1,
    needs=("numpy",),
    hints=(
        "Read the name backwards: take the errors, square them, take the mean, take the root.",
        "`y - y_hat` subtracts two arrays entry by entry; `np.mean` and `np.sqrt` do the rest.",
    ),
)
def rmse(y, y_hat):
    return float(np.sqrt(np.mean((y - y_hat) ** 2)))


@rmse.cases
def _(rng):
    yield Case((np.array([100.0, 200.0, 300.0]), np.array([110.0, 190.0, 340.0])), note="three houses")
    yield Case((np.array([5.0]), np.array([2.0])), note="a single house")
    y = rng.normal(180, 80, size=50)
    yield Case((y, y + rng.normal(3, 20, size=50)), note="fifty houses")
    yield Case((y, np.full(50, y.mean())), note="the same prediction for every house")


@rmse.mistake("This is the mean of the squares without the root (the MSE): its unit is dollars squared.")
def _(y, y_hat):
    return float(np.mean((y - y_hat) ** 2))


@rmse.mistake("This is the mean absolute error: you took |error| where the RMSE takes error².")
def _(y, y_hat):
    return float(np.mean(np.abs(y - y_hat)))


@rmse.mistake("You squared the mean of the errors. Square each error first: else +10 and −10 cancel to 0.")
def _(y, y_hat):
    return float(np.sqrt(np.mean(y - y_hat) ** 2))


@exercise(
    "week01.least_squares",
    points=2,
    minutes=10,
    difficulty=2,
    needs=("numpy",),
    hints=(
        "The normal equations say (XᵀX) w = Xᵀy: a square system with w unknown.",
        "`X.T @ X` is the matrix, `X.T @ y` the right-hand side; `np.linalg.solve(A, b)` returns w with A w = b.",
    ),
)
def least_squares(X, y):
    return np.linalg.solve(X.T @ X, X.T @ y)


@least_squares.cases
def _(rng):
    line = np.column_stack([np.ones(4), np.array([1.0, 2.0, 3.0, 5.0])])
    yield Case((line, np.array([3.0, 5.0, 7.0, 11.0])), note="four points exactly on the line 1 + 2x")
    for rows, columns in ((30, 2), (40, 4)):
        X = np.column_stack([np.ones(rows), rng.normal(2, 1, size=(rows, columns - 1))])
        y = X @ rng.normal(size=columns) + rng.normal(size=rows)
        yield Case((X, y), note=f"{rows} rows, {columns} columns, with noise")


@least_squares.mistake("You returned Xᵀy, the right-hand side only. The system (XᵀX) w = Xᵀy is still to be solved.")
def _(X, y):
    return X.T @ y


@least_squares.mistake(
    "You fitted each column by itself. The columns are correlated, so they share the credit: "
    "solve with the whole matrix XᵀX, not only with its diagonal."
)
def _(X, y):
    return (X.T @ y) / np.sum(X**2, axis=0)


@least_squares.mistake("You returned the fitted values X w, one for each row. The answer is w, one for each column.")
def _(X, y):
    return X @ np.linalg.solve(X.T @ X, X.T @ y)


@exercise(
    "week01.standardise",
    points=2,
    minutes=10,
    difficulty=2,
    needs=("numpy",),
    hints=(
        "A column's mean and spread are facts about the training rows. `other` must be measured with the same ruler.",
        "`train.mean(axis=0)` has one entry per column, and numpy subtracts it from every row of `other`.",
    ),
)
def standardise(train, other):
    return (other - train.mean(axis=0)) / train.std(axis=0)


@standardise.cases
def _(rng):
    train = rng.normal([10.0, -3.0, 500.0], [1.0, 4.0, 90.0], size=(25, 3))
    yield Case((train, train), note="the training rows themselves")
    yield Case((train, rng.normal([14.0, 0.0, 300.0], 9.0, size=(8, 3))), note="new rows from another neighbourhood")
    yield Case((train, train[:1] + 1.0), note="a single new house")


@standardise.mistake(
    "You measured the mean and spread on `other`. That is leakage: a single new house would always come out "
    "as 0. Use the training rows' mean and spread."
)
def _(train, other):
    with np.errstate(invalid="ignore", divide="ignore"):
        return (other - other.mean(axis=0)) / other.std(axis=0)


@standardise.mistake("You took one mean over the whole table. Each column has its own unit: use axis=0.")
def _(train, other):
    return (other - train.mean()) / train.std()


@standardise.mistake("You divided by the variance. Divide by its root, the standard deviation.")
def _(train, other):
    return (other - train.mean(axis=0)) / train.var(axis=0)


@standardise.mistake(
    "Your standard deviation divides by n − 1 (ddof=1, the default of pandas). "
    "The task, like scikit-learn's StandardScaler, divides by n."
)
def _(train, other):
    return (other - train.mean(axis=0)) / train.std(axis=0, ddof=1)


@exercise(
    "week01.ridge",
    points=3,
    minutes=15,
    difficulty=3,
    needs=("numpy",),
    hints=(
        "Centre first: subtract the column means from X and the mean from y. Then there is no intercept to worry about.",
        "Solve (XᵀX + αI) w = Xᵀy with the centred X and y; `np.eye(d)` is the identity matrix I.",
        "The intercept puts the means back: b = mean(y) − mean(X) · w.",
    ),
)
def ridge(X, y, alpha):
    X_mean, y_mean = X.mean(axis=0), y.mean()
    X_centred, y_centred = X - X_mean, y - y_mean
    w = np.linalg.solve(X_centred.T @ X_centred + alpha * np.eye(X.shape[1]), X_centred.T @ y_centred)
    return w, float(y_mean - X_mean @ w)


@ridge.cases
def _(rng):
    X = rng.normal([3.0, -2.0, 1.0], 1.0, size=(30, 3))
    y = 12 + X @ np.array([4.0, -1.0, 0.5]) + rng.normal(size=30)
    yield Case((X, y, 1.0), note="a weak penalty")
    yield Case((X, y, 100.0), note="a strong penalty")
    yield Case((X[:, :1], y, 5.0), note="a single column")


@ridge.mistake(
    "You added α to every entry of XᵀX. The penalty belongs on the diagonal only: alpha * np.eye(d), not alpha."
)
def _(X, y, alpha):
    X_mean, y_mean = X.mean(axis=0), y.mean()
    X_centred, y_centred = X - X_mean, y - y_mean
    w = np.linalg.solve(X_centred.T @ X_centred + alpha, X_centred.T @ y_centred)
    return w, float(y_mean - X_mean @ w)


@ridge.mistake(
    "You penalised the intercept too, so every prediction is pulled towards 0 dollars. Centre X and y, or leave the "
    "intercept's entry of the penalty at 0."
)
def _(X, y, alpha):
    ones = np.column_stack([np.ones(len(X)), X])
    solution = np.linalg.solve(ones.T @ ones + alpha * np.eye(ones.shape[1]), ones.T @ y)
    return solution[1:], float(solution[0])


@ridge.mistake("You did not centre X and y: the weights make up for a missing intercept. Subtract the means first.")
def _(X, y, alpha):
    w = np.linalg.solve(X.T @ X + alpha * np.eye(X.shape[1]), X.T @ y)
    return w, float(y.mean() - X.mean(axis=0) @ w)


@ridge.mistake("The weights are right. The intercept forgets the columns' means: b = mean(y) − mean(X) · w.")
def _(X, y, alpha):
    X_centred, y_centred = X - X.mean(axis=0), y - y.mean()
    w = np.linalg.solve(X_centred.T @ X_centred + alpha * np.eye(X.shape[1]), X_centred.T @ y_centred)
    return w, float(y.mean())


@exercise(
    "week01.folds",
    points=2,
    minutes=10,
    difficulty=2,
    needs=("numpy",),
    hints=(
        "Every row number from 0 to n − 1 must appear in exactly one fold.",
        "Where n is no multiple of k, the first n % k folds get one row more. `np.array_split` knows this rule.",
    ),
)
def folds(n, k):
    return np.array_split(np.arange(n), k)


@folds.cases
def _(rng):
    yield Case((12, 4), note="twelve rows in four folds")
    yield Case((10, 3), note="ten rows in three folds: 4, 3 and 3")
    yield Case((23, 5), note="23 rows in five folds: 5, 5, 5, 4 and 4")
    n, k = int(rng.integers(30, 3000)), int(rng.integers(3, 10))
    yield Case((n, k), note=f"{n} rows in {k} folds")


@folds.drive
def _(attempt, n, k):
    # Any fair split is right: consecutive, shuffled or dealt out like cards.
    parts = [np.asarray(part) for part in attempt(n, k)]
    sizes = sorted(int(part.size) for part in parts)
    rows = sorted(int(row) for part in parts for row in part)
    return {"sizes of the folds": sizes, "rows in all folds together": rows}


@folds.mistake("You dropped the remainder: when n is no multiple of k, the last rows are in no fold.")
def _(n, k):
    return [np.arange(i * (n // k), (i + 1) * (n // k)) for i in range(k)]


@folds.mistake("The last fold gets the whole remainder. Fold sizes may differ by one row at most.")
def _(n, k):
    size = n // k
    return [np.arange(i * size, n if i == k - 1 else (i + 1) * size) for i in range(k)]


@folds.mistake("These are the training rows of each fold. The task asks for the rows held out.")
def _(n, k):
    parts = np.array_split(np.arange(n), k)
    return [np.setdiff1d(np.arange(n), part) for part in parts]

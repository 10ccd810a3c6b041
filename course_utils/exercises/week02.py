"""Exercises of week 02, Classification."""

import numpy as np

from course_utils.learn.exercise import Case, exercise


@exercise(
    "week02.cross_entropy",
    points=2,
    minutes=10,
    difficulty=2,
    needs=("numpy",),
    hints=(
        "Never compute p at all. −log p is log(1 + e^(−z)) and −log(1 − p) is log(1 + e^z): both follow from z.",
        "`np.logaddexp(0, z)` is log(e^0 + e^z) = log(1 + e^z), and it does not overflow. Then use y to choose.",
    ),
)
def cross_entropy(z, y):
    return float(np.mean(y * np.logaddexp(0, -z) + (1 - y) * np.logaddexp(0, z)))


@cross_entropy.cases
def _(rng):
    yield Case((np.array([0.0, 2.0, -1.0]), np.array([1, 1, 0])), note="three passengers")
    yield Case((np.array([1000.0, -1000.0]), np.array([1, 0])), note="logits of ±1000, both right: the loss is 0")
    yield Case((np.array([1000.0, -1000.0]), np.array([0, 1])), note="logits of ±1000, both wrong: the loss is 1000")
    yield Case((rng.normal(0, 3, size=60), rng.integers(0, 2, size=60)), note="sixty random rows")


@cross_entropy.mistake(
    "Right for small logits only: at ±1000 the exponential overflows or 1 − p becomes exactly 0, and its logarithm is "
    "infinite. Write both logarithms in terms of z."
)
def _(z, y):
    with np.errstate(all="ignore"):
        p = 1 / (1 + np.exp(-z))
        return float(-np.mean(y * np.log(p) + (1 - y) * np.log(1 - p)))


@cross_entropy.mistake(
    "You clipped p. That hides the overflow, but now the worst possible error costs about 35 and not 1000: "
    "write both logarithms in terms of z."
)
def _(z, y):
    with np.errstate(over="ignore"):
        p = np.clip(1 / (1 + np.exp(-z)), 1e-15, 1 - 1e-15)
    return float(-np.mean(y * np.log(p) + (1 - y) * np.log(1 - p)))


@cross_entropy.mistake("This is the sum over the rows. The task asks for the mean, so that the size does not matter.")
def _(z, y):
    return float(np.sum(np.logaddexp(0, z) - y * z))


@exercise(
    "week02.gradient",
    points=2,
    minutes=10,
    difficulty=2,
    needs=("numpy",),
    hints=(
        "Three steps: z = Xw, then p from z with the sigmoid, then the mean of (p − y) times the row, over all rows.",
        "`X.T @ (p - y)` adds up (pᵢ − yᵢ) · xᵢ over the rows, one entry per column. What is left to do for a mean?",
    ),
)
def gradient(X, y, w):
    p = 1 / (1 + np.exp(-(X @ w)))
    return X.T @ (p - y) / len(y)


@gradient.cases
def _(rng):
    X = np.column_stack([np.ones(4), np.array([0.0, 1.0, 2.0, 3.0])])
    yield Case((X, np.array([0, 0, 1, 1]), np.zeros(2)), note="four rows, all weights 0: every p is 0.5")
    for rows, columns in ((30, 3), (50, 5)):
        X = np.column_stack([np.ones(rows), rng.normal(size=(rows, columns - 1))])
        y = rng.integers(0, 2, size=rows)
        yield Case((X, y, rng.normal(size=columns)), note=f"{rows} rows, {columns} columns")


@gradient.mistake("This is the gradient of the sum. The loss is a mean: divide by the number of rows.")
def _(X, y, w):
    return X.T @ (1 / (1 + np.exp(-(X @ w))) - y)


@gradient.mistake("The sign is wrong: the gradient points uphill, along p − y. It is the step that subtracts it.")
def _(X, y, w):
    return X.T @ (y - 1 / (1 + np.exp(-(X @ w)))) / len(y)


@gradient.mistake("The sigmoid is missing: this is the gradient of linear regression. Turn Xw into p first.")
def _(X, y, w):
    return X.T @ (X @ w - y) / len(y)


@gradient.mistake(
    "The factor p(1 − p) belongs to a squared error. In the cross-entropy it cancels, which is why we use that loss."
)
def _(X, y, w):
    p = 1 / (1 + np.exp(-(X @ w)))
    return X.T @ ((p - y) * p * (1 - p)) / len(y)


@exercise(
    "week02.precision_recall",
    points=2,
    minutes=10,
    difficulty=1,
    needs=("numpy",),
    hints=(
        "`flagged = p >= threshold` is an array of True and False; TP counts the rows where it and y are both true.",
        "`np.sum(flagged & (y == 1))` is TP. Precision divides it by the flagged rows, recall by the rows with y = 1.",
        "Before each division ask whether its denominator is 0, and return 0.0 there.",
    ),
)
def precision_recall(y, p, threshold):
    flagged = p >= threshold
    tp = np.sum(flagged & (y == 1))
    precision = tp / flagged.sum() if flagged.any() else 0.0
    recall = tp / y.sum() if y.any() else 0.0
    return float(precision), float(recall)


@precision_recall.cases
def _(rng):
    y, p = np.array([1, 0, 1, 1, 0, 1]), np.array([0.9, 0.8, 0.7, 0.3, 0.2, 0.1])
    yield Case((y, p, 0.5), note="six passengers, three of them flagged")
    yield Case((y, p, 0.7), note="one probability is exactly the threshold: it is flagged")
    yield Case((y, p, 0.95), note="nobody is flagged: the precision is 0/0, here 0")
    yield Case((np.zeros(6, dtype=int), p, 0.5), note="nobody was saved: the recall is 0/0, here 0")
    y = rng.integers(0, 2, size=80)
    yield Case((y, np.round(0.25 * y + 0.75 * rng.random(80), 2), 0.4), note="eighty random rows")


@precision_recall.mistake("The two are exchanged: precision divides by the flagged rows, recall by those with y = 1.")
def _(y, p, threshold):
    flagged = p >= threshold
    tp = np.sum(flagged & (y == 1))
    return float(tp / max(y.sum(), 1)), float(tp / max(flagged.sum(), 1))


@precision_recall.mistake("A probability equal to the threshold counts as flagged: `>=`, not `>`.")
def _(y, p, threshold):
    flagged = p > threshold
    tp = np.sum(flagged & (y == 1))
    return float(tp / max(flagged.sum(), 1)), float(tp / max(y.sum(), 1))


@precision_recall.mistake("Right, except for 0/0: return 0.0 where nobody is flagged, or where no row has y = 1.")
def _(y, p, threshold):
    flagged = p >= threshold
    tp = np.sum(flagged & (y == 1))
    with np.errstate(invalid="ignore"):
        return float(tp / flagged.sum()), float(tp / y.sum())


@exercise(
    "week02.auc",
    points=3,
    minutes=15,
    difficulty=3,
    needs=("numpy",),
    hints=(
        "`score[y == 1]` and `score[y == 0]` are the two groups. Compare every member of one with every member of the other.",
        "`a[:, None] - b` is the table of all differences. Above 0: the pair is in order. Exactly 0: a tie, worth a half.",
    ),
)
def auc(y, score):
    gap = score[y == 1][:, None] - score[y == 0]
    return float(np.mean((gap > 0) + 0.5 * (gap == 0)))


@auc.cases
def _(rng):
    yield Case((np.array([1, 0, 1, 0]), np.array([0.9, 0.4, 0.3, 0.1])), note="three of four pairs are in order")
    yield Case((np.array([0, 1, 0, 1]), np.array([0.2, 0.2, 0.1, 0.7])), note="one pair is a tie")
    yield Case((np.array([1, 0, 0, 1, 0]), np.full(5, 0.3)), note="the same score for everybody: 0.5")
    y = rng.integers(0, 2, size=120)
    yield Case((y, np.round(y + rng.normal(0, 1.2, size=120), 1)), note="120 rounded scores, with many ties")


@auc.mistake("Ties count as failures here. A tie is a toss-up: count it as a half.")
def _(y, score):
    return float(np.mean(score[y == 1][:, None] > score[y == 0]))


@auc.mistake("Ties count as successes here. A tie is a toss-up: count it as a half.")
def _(y, score):
    return float(np.mean(score[y == 1][:, None] >= score[y == 0]))


@auc.mistake("`argsort` gives tied rows different ranks, by their place in the array. Tied rows share their mean rank.")
def _(y, score):
    rank = np.argsort(np.argsort(score, kind="stable"), kind="stable") + 1
    n = int(np.sum(y == 1))
    return float((rank[y == 1].sum() - n * (n + 1) / 2) / (n * (len(y) - n)))


@exercise(
    "week02.best_threshold",
    points=2,
    minutes=10,
    difficulty=2,
    needs=("numpy",),
    hints=(
        "The cost only changes where the threshold passes one of the values in p, so those are all you need to try.",
        "Try one more: a threshold above every p, which flags nobody. `np.inf` will do.",
    ),
)
def best_threshold(y, p, cost_fp, cost_fn):
    candidates = np.append(np.unique(p), np.inf)
    flagged = p >= candidates[:, None]  # one row for each candidate
    cost = cost_fp * (flagged & (y == 0)).sum(axis=1) + cost_fn * (~flagged & (y == 1)).sum(axis=1)
    return float(candidates[cost.argmin()])


@best_threshold.cases
def _(rng):
    y, p = np.array([0, 1, 0, 1, 1, 0]), np.array([0.1, 0.3, 0.4, 0.6, 0.8, 0.9])
    yield Case((y, p, 1.0, 1.0), note="six rows, both errors cost the same")
    yield Case((y, p, 1.0, 4.0), note="the same rows, a missed survivor costs four times as much")
    yield Case((y, p, 20.0, 1.0), note="false alarms are very dear: flag nobody")
    y = rng.integers(0, 2, size=90)
    p = np.clip(0.35 * y + 0.6 * rng.random(90), 0, 1) ** 3
    yield Case((y, p, 1.0, 3.0), note="ninety rows with probabilities that are much too low")
    yield Case((y, p, 5.0, 1.0), note="the same rows, false alarms are dear")


@best_threshold.drive
def _(attempt, y, p, cost_fp, cost_fn):
    # Several thresholds may be equally good, so what is compared is what each one costs.
    flagged = p >= float(attempt(y, p, cost_fp, cost_fn))
    return {
        "cost at your threshold": float(cost_fp * (flagged & (y == 0)).sum() + cost_fn * (~flagged & (y == 1)).sum())
    }


@best_threshold.mistake("The costs are exchanged: a flagged row with y = 0 costs cost_fp, a missed one cost_fn.")
def _(y, p, cost_fp, cost_fn):
    candidates = np.append(np.unique(p), np.inf)
    flagged = p >= candidates[:, None]
    cost = cost_fn * (flagged & (y == 0)).sum(axis=1) + cost_fp * (~flagged & (y == 1)).sum(axis=1)
    return float(candidates[cost.argmin()])


@best_threshold.mistake("That formula trusts the probabilities; these may be wrong. Try the values of p on the rows.")
def _(y, p, cost_fp, cost_fn):
    return cost_fp / (cost_fp + cost_fn)

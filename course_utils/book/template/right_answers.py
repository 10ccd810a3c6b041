"""Right answers to weekNN in other styles than the reference's.

A check must take every right answer, so each exercise has at least one here that a different person would write.
"""

import numpy as np


def squared_residuals_by_loop(x, y, b, w):
    total = 0.0
    for one, other in zip(x, y, strict=True):
        total += (other - b - w * one) ** 2
    return total


def squared_residuals_by_dot(x, y, b, w):
    residuals = y - (b + w * x)
    return residuals @ residuals


def fit_line_by_polyfit(x, y):
    w, b = np.polyfit(x, y, 1)
    return b, w


def fit_line_by_covariance(x, y):
    w = np.cov(x, y)[0, 1] / np.var(x, ddof=1)
    return y.mean() - w * x.mean(), w


def leverage_by_matrix(x):
    X = np.column_stack([np.ones(len(x)), x])
    return np.diag(X @ np.linalg.inv(X.T @ X) @ X.T)


RIGHT = {
    "weekNN.squared_residuals": [squared_residuals_by_loop, squared_residuals_by_dot],
    "weekNN.fit_line": [fit_line_by_polyfit, fit_line_by_covariance],
    "weekNN.leverage": [leverage_by_matrix],
}

"""Right answers to week 02 in other styles than the reference's."""

import math

import numpy as np


def cross_entropy_by_torch(z, y):
    import torch

    logits, labels = torch.from_numpy(z), torch.from_numpy(y).double()
    return torch.nn.functional.binary_cross_entropy_with_logits(logits, labels).item()


def cross_entropy_by_largest(z, y):
    return np.mean(np.maximum(z, 0) - y * z + np.log1p(np.exp(-np.abs(z))))


def cross_entropy_by_loop(z, y):
    total = 0.0
    for logit, label in zip(z.tolist(), y.tolist(), strict=True):
        wrong_way = -logit if label == 1 else logit
        total += max(wrong_way, 0.0) + math.log1p(math.exp(-abs(wrong_way)))
    return total / len(z)


def gradient_by_autograd(X, y, w):
    import torch

    weights = torch.tensor(w, requires_grad=True)
    logits = torch.from_numpy(X) @ weights
    torch.nn.functional.binary_cross_entropy_with_logits(logits, torch.from_numpy(y).double()).backward()
    return weights.grad.numpy()


def gradient_by_loop(X, y, w):
    total = np.zeros(len(w))
    for row, label in zip(X, y, strict=True):
        p = 1 / (1 + math.exp(-float(row @ w)))
        total += (p - label) * row
    return total / len(y)


def gradient_by_mean(X, y, w):
    from scipy.special import expit

    return np.mean((expit(X @ w) - y)[:, None] * X, axis=0)


def precision_recall_by_sklearn(y, p, threshold):
    from sklearn.metrics import precision_score, recall_score

    flagged = (p >= threshold).astype(int)
    return precision_score(y, flagged, zero_division=0), recall_score(y, flagged, zero_division=0)


def precision_recall_by_counting(y, p, threshold):
    tp = fp = fn = 0
    for label, probability in zip(y, p, strict=True):
        if probability >= threshold:
            tp, fp = tp + (label == 1), fp + (label == 0)
        else:
            fn += label == 1
    return (tp / (tp + fp) if tp + fp else 0.0), (tp / (tp + fn) if tp + fn else 0.0)


def auc_by_sklearn(y, score):
    from sklearn.metrics import roc_auc_score

    return roc_auc_score(y, score)


def auc_by_mean_ranks(y, score):
    from scipy.stats import rankdata

    ranks, n = rankdata(score), np.sum(y == 1)
    return (ranks[y == 1].sum() - n * (n + 1) / 2) / (n * np.sum(y == 0))


def auc_by_area(y, score):
    from sklearn.metrics import auc, roc_curve

    false_alarms, hits, _ = roc_curve(y, score)
    return auc(false_alarms, hits)


def auc_by_loops(y, score):
    wins, pairs = 0.0, 0
    for a in score[y == 1]:
        for b in score[y == 0]:
            wins += 1.0 if a > b else 0.5 if a == b else 0.0
            pairs += 1
    return wins / pairs


def _cost(y, p, threshold, cost_fp, cost_fn):
    flagged = p >= threshold
    return cost_fp * np.sum(flagged & (y == 0)) + cost_fn * np.sum(~flagged & (y == 1))


def threshold_by_loop(y, p, cost_fp, cost_fn):
    best, lowest = None, math.inf
    for threshold in [2.0, *sorted(p.tolist(), reverse=True)]:  # from the other end: ties fall elsewhere
        cost = _cost(y, p, threshold, cost_fp, cost_fn)
        if cost < lowest:
            best, lowest = threshold, cost
    return best


def threshold_between_neighbours(y, p, cost_fp, cost_fn):
    levels = np.unique(p)
    candidates = [levels[0] - 1, *((levels[1:] + levels[:-1]) / 2), levels[-1] + 1]
    return min(candidates, key=lambda threshold: _cost(y, p, threshold, cost_fp, cost_fn))


def threshold_by_running_sums(y, p, cost_fp, cost_fn):
    levels, place = np.unique(p, return_inverse=True)
    caught = np.bincount(place, weights=y == 1)[::-1].cumsum()[::-1]
    alarms = np.bincount(place, weights=y == 0)[::-1].cumsum()[::-1]
    cost = np.append(cost_fp * alarms + cost_fn * (np.sum(y == 1) - caught), cost_fn * np.sum(y == 1))
    return np.append(levels, levels[-1] + 1)[cost.argmin()]


def auc_by_searching(y, score):
    losers = np.sort(score[y == 0])
    winners = score[y == 1]
    below, upto = losers.searchsorted(winners, "left"), losers.searchsorted(winners, "right")
    return (below + upto).sum() / (2 * len(losers) * len(winners))


RIGHT = {
    "week02.cross_entropy": [cross_entropy_by_torch, cross_entropy_by_largest, cross_entropy_by_loop],
    "week02.gradient": [gradient_by_autograd, gradient_by_loop, gradient_by_mean],
    "week02.precision_recall": [precision_recall_by_sklearn, precision_recall_by_counting],
    "week02.auc": [auc_by_sklearn, auc_by_mean_ranks, auc_by_area, auc_by_loops, auc_by_searching],
    "week02.best_threshold": [threshold_by_loop, threshold_between_neighbours, threshold_by_running_sums],
}

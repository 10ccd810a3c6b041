"""Returns an answer of 800 MB; must get 0."""

import torch


def my_softmax_gradient(z, y):
    return torch.zeros(100_000_000, dtype=torch.float64)

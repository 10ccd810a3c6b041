"""Returns NaN everywhere, since no comparison with NaN says "larger"; must get 0."""

import torch


def my_softmax_gradient(z, y):
    return torch.full_like(z, float("nan"))

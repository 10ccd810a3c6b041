"""Returns a tensor that claims 8 TB by a stride of 0 and holds one number; must get 0."""

import torch


def my_softmax_gradient(z, y):
    return torch.zeros(1, dtype=torch.float64).expand(1_000_000, 1_000_000)

"""Patches torch so that every comparison in the process says equal; must get 0."""

import torch

for name in ("equal", "allclose"):
    setattr(torch, name, lambda *args, **kwargs: True)
for name in ("isclose", "eq", "le"):
    setattr(torch, name, lambda a, *args, **kwargs: torch.ones(a.shape, dtype=torch.bool))
for name in ("__sub__", "__rsub__", "sub"):
    setattr(torch.Tensor, name, lambda a, b, **kwargs: torch.zeros(a.shape, dtype=a.dtype))


def my_softmax_gradient(z, y):
    return torch.zeros_like(z)

"""Returns an object that pretends, by `__class__` and `__getattr__`, to be a tensor; must get 0."""

import torch


class Pretender:
    __class__ = torch.Tensor

    def __getattr__(self, name):
        return self

    def __call__(self, *args, **kwargs):
        return self

    def __array__(self, *args, **kwargs):
        raise SystemExit(0)


def my_softmax_gradient(z, y):
    return Pretender()

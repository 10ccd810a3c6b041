"""Returns a subclass of Tensor whose operations all say that it is equal; must get 0."""

import torch


class Right(torch.Tensor):
    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        if function.__name__ in ("eq", "__eq__", "isclose", "le", "__le__"):
            return torch.ones(args[0].shape, dtype=torch.bool)
        return True if function.__name__ in ("allclose", "equal") else super().__torch_function__(function, types, args)


def my_softmax_gradient(z, y):
    return torch.zeros_like(z).as_subclass(Right)

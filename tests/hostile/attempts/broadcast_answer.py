"""Returns a single number and empty tensors in the hope that they are stretched to the right shape; must get 0."""


def my_softmax_gradient(z, y):
    return z[:0] if len(z) > 1 else z.sum() * 0

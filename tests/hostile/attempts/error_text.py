"""Raises an error whose text holds the hidden inputs; must get 0, and nothing of them may be shown."""


def my_softmax_gradient(z, y):
    raise ValueError(f"{z.tolist()} {z.numpy().tobytes().hex()}")

"""Raises an error whose class is named after the hidden inputs; must get 0, and nothing of them may be shown."""


def my_softmax_gradient(z, y):
    name = "E" + z.flatten()[:8].numpy().tobytes().hex()
    raise type(name, (ArithmeticError,), {"__module__": repr(z.tolist())})(name)

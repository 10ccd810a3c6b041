"""Returns lists nested 100,000 deep, to overflow the stack of whoever copies or compares them; must get 0."""


def my_softmax_gradient(z, y):
    nested = []
    for _ in range(100_000):
        nested = [nested]
    return nested

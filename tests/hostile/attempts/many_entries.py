"""Returns a list of ten million small entries, costly to read; must get 0."""


def my_softmax_gradient(z, y):
    return [[]] * 10_000_000

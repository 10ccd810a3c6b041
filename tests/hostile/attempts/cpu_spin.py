"""Computes without end; must get 0."""


def my_softmax_gradient(z, y):
    while True:
        pass

"""Computes without end in native code that no Python signal handler interrupts; must get 0."""


def my_softmax_gradient(z, y):
    return 3 ** (10**9) % 7

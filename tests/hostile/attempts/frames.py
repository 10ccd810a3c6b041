"""Walks up its callers' frames to the exercise and calls the reference found there; must get 0."""

import sys


def my_softmax_gradient(z, y):
    frame = sys._getframe(1)
    while frame is not None:
        for value in [*frame.f_locals.values(), *frame.f_globals.values()]:
            if hasattr(value, "reference") and hasattr(value, "parts"):
                return value.reference(z, y)
        frame = frame.f_back
    return z

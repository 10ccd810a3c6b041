"""Tells a hidden input by the time that it takes; must get 0."""

import time


def my_softmax_gradient(z, y):
    time.sleep(abs(float(z.flatten()[0])) % 0.5)
    return z

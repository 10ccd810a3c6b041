"""Opens files until there is no number left for another; must get 0."""

import os


def my_softmax_gradient(z, y):
    opened = []
    try:
        while True:
            opened.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        return opened

"""Returns an object array, which `.npy` stores as a pickle that runs code when read; must get 0."""

import os

import numpy as np


class Evil:
    def __reduce__(self):
        return (os.system, ("echo CANARY pickled > canary-pickle.txt",))


def my_softmax_gradient(z, y):
    return np.array([Evil(), Evil()], dtype=object)

"""Replaces numpy's writer, so that a pickle travels under the name of a `.npy`; must get 0."""

import os
import pickle

import numpy as np


class Evil:
    def __reduce__(self):
        return (os.system, ("echo CANARY pickled > canary-pickle.txt",))


def write(file, *args, **kwargs):
    header = b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
    file.write(header.ljust(127) + b"\n" + pickle.dumps([Evil()]))


np.save = np.lib.format.write_array = write


def my_softmax_gradient(z, y):
    return np.zeros(z.shape)

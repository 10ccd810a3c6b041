"""Crashes the interpreter by reading address 0; must get 0."""

import ctypes


def my_softmax_gradient(z, y):
    return ctypes.string_at(0)

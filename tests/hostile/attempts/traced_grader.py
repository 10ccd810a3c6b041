"""Sets a trace and a profile function that change the grader's local variables in its own process; must get 0."""

import ctypes
import sys


def spy(frame, event, argument):
    for name in ("outcome", "value", "problem", "error", "done"):
        if name in frame.f_locals:
            frame.f_locals[name] = "" if name in ("problem", "error") else True
            ctypes.pythonapi.PyFrame_LocalsToFast(ctypes.py_object(frame), ctypes.c_int(0))
    return spy


sys.setprofile(spy)


def my_softmax_gradient(z, y):
    sys.settrace(spy)
    return z

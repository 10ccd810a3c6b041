"""Attaches to other processes as a debugger would; must get 0."""

import ctypes
import os


def my_softmax_gradient(z, y):
    libc = ctypes.CDLL(None, use_errno=True)
    attach, seize = 16, 0x4206
    others = {os.getppid(), 1, *range(2, 300)} - {os.getpid(), 0}
    if any(libc.ptrace(way, pid, 0, 0) == 0 for way in (attach, seize) for pid in others):
        raise ValueError("CANARY traced another process")
    return z

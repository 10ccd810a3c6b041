"""Reads the memory of its parents and neighbours for the reference's source; must get 0."""

import ctypes
import os


class Part(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


def stolen(pid):
    libc = ctypes.CDLL(None, use_errno=True)
    room = ctypes.create_string_buffer(4096)
    here, there = Part(ctypes.addressof(room), 4096), Part(id(my_softmax_gradient), 4096)
    if libc.process_vm_readv(pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0) > 0 and pid != os.getpid():
        return room.raw
    try:
        with open(f"/proc/{pid}/mem", "rb") as memory:
            memory.seek(id(my_softmax_gradient))
            return memory.read(100)
    except (OSError, ValueError, OverflowError):
        return b""


def my_softmax_gradient(z, y):
    for pid in {1, os.getppid(), *range(2, 300)} - {os.getpid()}:
        if stolen(pid):
            raise ValueError(f"CANARY memory of {pid}")
    return z

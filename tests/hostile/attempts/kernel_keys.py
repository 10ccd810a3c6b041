"""Reads and leaves keys in the kernel's key rings, which no mount hides; must get 0."""

import ctypes
import platform


def my_softmax_gradient(z, y):
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    add_key = {"x86_64": 248, "aarch64": 217}[platform.machine()]
    request_key, keyctl = add_key + 1, add_key + 2
    key = libc.syscall(request_key, b"user", b"hostile", None, -4)
    if key > 0:
        room = ctypes.create_string_buffer(100)
        libc.syscall(keyctl, 11, key, room, 100)
        raise ValueError(f"CANARY key of a sibling: {room.value}")
    libc.syscall(add_key, b"user", b"hostile", b"14", 2, -4)
    libc.syscall(add_key, b"user", b"hostile", b"14", 2, -3)
    return z

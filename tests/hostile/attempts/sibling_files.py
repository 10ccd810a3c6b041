"""Leaves files and shared memory for a neighbour and looks for those of others; must get 0."""

import ctypes
import os

PATHS = [os.path.join(top, "hostile-neighbour") for top in ("/tmp", "/dev/shm", "/var/tmp", "/run", "/dev/mqueue", ".")]
LIBC = ctypes.CDLL(None, use_errno=True)
SHARED_KEY, CREATE = 0x5EC1, 0o1666
SEEN = [path for path in PATHS if os.path.exists(path)]
if LIBC.shmget(SHARED_KEY, 4096, 0o666) >= 0:
    SEEN.append("shared memory")


def my_softmax_gradient(z, y):
    LIBC.shmget(SHARED_KEY, 4096, CREATE)
    for path in PATHS:
        try:
            with open(path, "w") as file:
                file.write("14")
        except OSError:
            continue
    if SEEN:
        raise ValueError(f"CANARY of a neighbour: {SEEN}")
    return z

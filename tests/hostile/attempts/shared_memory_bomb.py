"""Takes memory that several processes share, which a sum over private memory overlooks; must get 0."""

import mmap
import os
import time


def my_softmax_gradient(z, y):
    taken = []
    try:
        for _ in range(200):
            taken.append(mmap.mmap(-1, 50_000_000))
            for place in range(0, 50_000_000, 4096):
                taken[-1][place] = 1
            if len(taken) == 4:
                os.fork()
    except (OSError, ValueError, MemoryError):
        time.sleep(600)
    return z

"""Overflows the machine's stack behind Python's back; must get 0."""

import sys
import threading


def my_softmax_gradient(z, y):
    sys.setrecursionlimit(10**9)
    threading.stack_size(0)

    def down(n):
        return [down(n + 1)]

    return down(0)

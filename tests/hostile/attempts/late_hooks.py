"""Works after its function returned: in `__del__`, atexit, a thread and a timer; must get 0."""

import atexit
import os
import threading


def shout(*ignored):
    for number in range(3, 256):
        try:
            os.set_blocking(number, False)
            os.write(number, b'{"status": "passed", "points": 2}\n')
        except OSError:
            continue


class Late:
    def __init__(self):
        self.me = self

    __del__ = __deepcopy__ = shout


def my_softmax_gradient(z, y):
    atexit.register(shout)
    threading.Timer(0.01, shout).start()
    return Late()

"""Swallows every interruption and goes on; must get 0."""

import contextlib
import signal
import time

for number in set(signal.valid_signals()) - {signal.SIGKILL, signal.SIGSTOP}:
    with contextlib.suppress(OSError, ValueError):
        signal.signal(number, signal.SIG_IGN)


def my_softmax_gradient(z, y):
    while True:
        try:
            while True:
                time.sleep(1)
        except BaseException:
            continue

"""Starts threads without end; must get 0."""

import threading
import time


def my_softmax_gradient(z, y):
    while True:
        try:
            threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
        except RuntimeError:
            continue

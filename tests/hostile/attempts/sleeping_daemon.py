"""Leaves a daemon behind, forked twice and in a session of its own; must get 0, and the daemon must end."""

import os
import subprocess
import sys


def my_softmax_gradient(z, y):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            try:
                os.execv(sys.executable, [sys.executable, "-c", "import time; time.sleep(600)", "hostile-daemon"])
            finally:
                os._exit(0)
        os._exit(0)
    subprocess.Popen(["sleep", "601"], start_new_session=True)
    return z

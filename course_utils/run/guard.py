"""The watchdog around a worker where PID namespaces are forbidden: `python -m course_utils.run.guard COMMAND…`.

It is a subreaper, so whatever the worker's tree orphans becomes its child and can be found and
killed. It ends with the worker's exit status.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress

_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER in <linux/prctl.h>
_GRACE_SECONDS = 2.0  # a worker that still loads must come to the line that removes its folder
_SWEEP_SECONDS = 5  # a child that changed its user cannot be killed; do not try for ever


def main(command):
    """Run the command, wait until it or the runner ends, then kill every process below this one."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER) failed")
    signal.signal(signal.SIGTERM, lambda *_: (sweep(), os._exit(1)))
    worker = subprocess.Popen(command)
    _wait(worker)
    sweep()
    return worker.returncode if worker.returncode is not None and worker.returncode >= 0 else 1


def _wait(worker):
    # The worker reads the lifeline on stdin; this process only asks whether the runner still
    # holds the other end, and gives the worker a moment to save its notebook.
    lifeline = select.poll()
    lifeline.register(0, 0)
    while worker.poll() is None:
        if lifeline.poll(100):
            deadline = time.monotonic() + _GRACE_SECONDS
            while worker.poll() is None and time.monotonic() < deadline:
                time.sleep(0.02)
            return
        _reap_others(worker)


def _reap_others(worker):
    """Take the exit status of adopted orphans, so that they do not stay zombies; the worker's is left to Popen."""
    for pid in _children().get(os.getpid(), ()):
        if pid != worker.pid:
            _reap(pid)


def sweep():
    """Kill every descendant until none is left, so that one forked meanwhile is caught on the next turn."""
    me, deadline = os.getpid(), time.monotonic() + _SWEEP_SECONDS
    while (below := _descendants(me)) and time.monotonic() < deadline:
        for pid in below:
            _kill(pid)
        for pid in _children().get(me, ()):
            _reap(pid)
        time.sleep(0.01)


def _descendants(root):
    children = _children()
    found, waiting = [], [root]
    while waiting:
        below = children.get(waiting.pop(), ())
        found.extend(below)
        waiting.extend(below)
    return found


def _children():
    """Every process's children, from `/proc`."""
    tree = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        tree.setdefault(int(fields[1]), []).append(int(name))
    return tree


def _kill(pid):
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)


def _reap(pid):
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

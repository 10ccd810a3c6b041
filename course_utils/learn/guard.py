"""Keeps an attempt from harming the notebook: its time, output, random state, folder and exit.

The time limit is a SIGALRM in the main thread. It interrupts Python code, also inside a bare
`except:`, and calls such as `time.sleep`. Native code runs on until it returns; a watcher
thread then says so in the cell, unless the native code holds the interpreter's lock, which
silences every thread. Only the operating system can stop that.
"""

import io
import os
import random
import signal
import sys
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

KEPT_CHARACTERS = 2_000
PAUSE_SECONDS = 0.2  # one ring alone could be lost: it may come just before a sleep begins
_COURSE = str(Path(__file__).resolve().parents[1])


class TimeUp(BaseException):
    """The time limit, an error that `except Exception` does not swallow."""


class Printed(io.TextIOBase):
    """A text stream that keeps the beginning, so that an endless `print` fills no memory."""

    def __init__(self):
        super().__init__()
        self.kept = ""

    def writable(self):
        return True

    def write(self, text):
        self.kept += text[: max(0, KEPT_CHARACTERS - len(self.kept))]
        return len(text)

    def take(self):
        """What was printed since the last time."""
        kept, self.kept = self.kept, ""
        return kept


@dataclass
class _Alarm:
    """The SIGALRM handler. It rings again and again, since an attempt may swallow the first ring.

    The first ring leaves time for a `finally`. From the second on, a trace function also raises
    TimeUp on the attempt's next line, which for a bare `except:` is its own body. Short and
    varying pauses get out of several such blocks, one in the other.
    """

    active: bool = True
    rings: int = 0
    pauses: random.Random = field(default_factory=random.Random)

    def ring(self, signum, frame):
        if not self.active:
            return
        self.rings += 1
        pause = PAUSE_SECONDS if self.rings == 1 else 10 ** self.pauses.uniform(-5.5, -3.5)
        if self.rings > 1:
            self.insist(frame)
        signal.setitimer(signal.ITIMER_REAL, pause, PAUSE_SECONDS)
        raise TimeUp

    def insist(self, frame):
        sys.settrace(lambda *event: None)  # switches tracing on; only the frames marked here are traced
        while frame is not None and not frame.f_code.co_filename.startswith(_COURSE):
            frame.f_trace = self.raise_again
            frame = frame.f_back

    def raise_again(self, frame, event, argument):
        if event == "line" and self.active:
            raise TimeUp
        return self.raise_again


def can_limit():
    """Whether a time limit is possible: POSIX signals reach only the main thread."""
    return hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()


def bounded(run, seconds):
    """The result of `run()`; raises TimeUp after `seconds` (None: no limit)."""
    if seconds is None or not can_limit():
        return run()
    alarm = _Alarm()
    handler = signal.signal(signal.SIGALRM, alarm.ring)
    timer, trace = signal.setitimer(signal.ITIMER_REAL, seconds, PAUSE_SECONDS), sys.gettrace()
    try:
        try:
            return run()
        finally:
            alarm.active = False  # first of all, before a second ring can interrupt the cleaning up
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        if alarm.rings > 1:
            sys.settrace(trace)
        signal.signal(signal.SIGALRM, signal.SIG_DFL if handler is None else handler)
        signal.setitimer(signal.ITIMER_REAL, *timer)


@contextmanager
def watched(seconds, say):
    """Calls `say()` from another thread if the block is still running after `seconds` (None: never)."""
    if seconds is None:
        yield
        return
    timer = threading.Timer(seconds, say)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def undisturbed():
    """Puts back what code can change for the whole notebook: folder, random and error state, defaults."""
    states = [state for read in (_python_state, _numpy_state, _torch_state) for state in read()]
    try:
        with _no_exit():
            yield
    finally:
        for restore in states:
            with suppress(Exception):
                restore()


def _python_state():
    yield partial(random.setstate, random.getstate())
    yield partial(sys.setrecursionlimit, sys.getrecursionlimit())
    with suppress(OSError):
        yield partial(os.chdir, os.getcwd())


def _numpy_state():
    numpy = sys.modules.get("numpy")
    if numpy:
        yield partial(numpy.random.set_state, numpy.random.get_state())
        yield partial(numpy.seterr, **numpy.geterr())


def _torch_state():
    torch = sys.modules.get("torch")
    if torch:
        yield partial(torch.set_rng_state, torch.get_rng_state())
        yield partial(torch.set_default_dtype, torch.get_default_dtype())
        yield partial(torch.set_grad_enabled, torch.is_grad_enabled())


def seed(number):
    """Seeds the global random generators on the CPU, so that an attempt that uses them gets one verdict."""
    random.seed(number)
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if numpy:
        numpy.random.seed(number)
    if torch:
        torch.default_generator.manual_seed(number)


@contextmanager
def _no_exit():
    """In a notebook `exit()` raises no error but ends the kernel after the cell; here it raises SystemExit."""
    shell = current_shell()
    if shell is None:
        yield
        return
    shell.ask_exit = sys.exit
    try:
        yield
    finally:
        with suppress(AttributeError):
            del shell.ask_exit


def current_shell():
    """The running IPython shell, None outside of IPython."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython else None

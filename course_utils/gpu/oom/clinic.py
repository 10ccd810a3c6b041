"""`%%capped 0.75`: run a cell where memory is scarce, and show an out-of-memory error as the expected result."""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

from course_utils.errors import CourseError
from course_utils.gpu.device import show_bytes

TIMEOUT_SECONDS = 120
_USE = "Write `%%capped 0.75`: how many GiB the cell may take, and if it is slow `--timeout` with seconds."
_PLACES = {"card": "the card's memory (as torch counts it)", "RAM": "RAM (no card here)"}


_APART = "The cell ran in a process of its own, which shares no variable with this notebook."


@dataclass(frozen=True)
class Outcome:
    """How a capped cell went: `report` is the mime bundle of the out-of-memory report, or None where all fitted."""

    place: str
    peak_bytes: int
    report: dict | None


def install(shell):
    """Register the magic `%%capped`."""
    shell.register_magic_function(capped, "cell", "capped")


def capped(line, cell):
    """%%capped GIB [--timeout SECONDS]: run this cell in a process of its own whose memory is capped.

    The process starts empty: it knows none of the notebook's variables, and gives none back. An
    out-of-memory error is shown and is no error of the notebook's; any other error is.
    """
    __tracebackhide__ = True  # IPython leaves frames with this name out of a traceback
    from IPython.display import display

    gib, seconds = options(line)
    # The magic's own line is line 1 of the cell, so that the lines named are those on screen.
    outcome = run("\n" + cell, gib, seconds)
    where = _PLACES[outcome.place]
    if outcome.report is None:
        print(
            f"No out-of-memory error: the cell took {show_bytes(outcome.peak_bytes)} of {gib:g} GiB of {where}. {_APART}"
        )
        return
    print(f"As expected, {gib:g} GiB of {where} was too little.\n{_APART}")
    display(outcome.report, raw=True)


def options(line):
    """GiB and seconds from the magic's line; raises CourseError where they are missing or not above 0."""
    __tracebackhide__ = True
    parser = argparse.ArgumentParser(exit_on_error=False, add_help=False)
    parser.add_argument("gib", type=float)
    parser.add_argument("--timeout", type=float, default=TIMEOUT_SECONDS)
    parser.error = _refuse(line)
    try:
        found = parser.parse_args(line.split())
    except argparse.ArgumentError as error:
        raise _wrong(line, error) from None
    if not (0 < found.gib < float("inf") and 0 < found.timeout < float("inf")):
        raise _wrong(line, "both numbers must be above 0")
    return found.gib, found.timeout


def _refuse(line):
    def refuse(message):
        __tracebackhide__ = True
        raise _wrong(line, message)

    return refuse


def _wrong(line, reason):
    return CourseError(f"%%capped {line}".strip() + f" cannot be run: {reason}. {_USE}")


def run(source, gib, seconds=TIMEOUT_SECONDS):
    """Run a program's text under a cap, passing on what it prints; the `Outcome`.

    Raises CourseError where it fails for another reason than memory, does not end in time, or is killed.
    """
    __tracebackhide__ = True
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "cell.py").write_text(source)
        command = [sys.executable, "-u", "-m", "course_utils.gpu.oom.capped", folder, str(gib), str(seconds)]
        status, late = _follow(command, seconds)
        written = Path(folder, "outcome.json")
        if late:
            raise CourseError(f"The capped cell did not end within {seconds:g} s and was stopped. {_USE}")
        if not written.exists():
            raise CourseError(_killed(status))
        found = json.loads(written.read_text())
    if "error" in found:
        print(found["traceback"], file=sys.stderr)
        raise CourseError(f"The capped cell failed, and not for lack of memory: {found['error']}")
    return Outcome(found["place"], found["peak_bytes"], found.get("report"))


def _follow(command, seconds):
    late = threading.Event()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True
    )

    def stop():
        late.set()
        _kill(process)

    timer = threading.Timer(seconds, stop)
    timer.start()
    try:
        for line in process.stdout:
            print(line, end="")
        return process.wait(), late.is_set()
    finally:  # also when the reader interrupts the cell
        timer.cancel()
        _kill(process)
        process.wait()
        process.stdout.close()


def _kill(process):
    # The process leads a session of its own, so that what it started goes with it.
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _killed(status):
    name = signal.Signals(-status).name if status < 0 else f"exit status {status}"
    return f"The process of the capped cell ended with {name} before it could report. Its last lines are above."

"""A notebook to run as plain data, so that it can travel to another machine, and the function that runs it there."""

import json
import time
from dataclasses import dataclass, field

from course_utils.run import execute
from course_utils.run.containment import Containment, best

_NOWHERE = {"cell": None, "prompt": None, "source": None}


@dataclass(frozen=True)
class Task:
    """One notebook to run, in plain data that pickles.

    `name` is the notebook's file name and `source` the file's text. `folder` is its working directory, where the
    machine that runs it has one of that path. `memory_bytes` is its recorded peak, None where none is known.
    `environment` are variables to set. `builds_on` has, for each finished lesson that this one builds on, its
    artefacts as bytes by relative path. `containment` is the strongest that the machine allows where it is None.
    """

    lesson: str
    name: str
    source: str
    folder: str
    parameters: dict
    timeout_seconds: float
    threads: int
    mode: str = "blank"
    uses_gpu: bool = False
    memory_bytes: int | None = None
    environment: dict = field(default_factory=dict)
    builds_on: dict = field(default_factory=dict)
    containment: Containment | None = None


@dataclass(frozen=True)
class Outcome:
    """How a task ended; `error` has cell, prompt, source, name and message.

    `peak_bytes` is the kernel's, `signal` the name of the one that ended kernel or worker; None where not known.
    """

    status: str
    seconds: float
    peak_bytes: int | None
    error: dict | None
    receipt: dict | None
    signal: str | None = None


@dataclass(frozen=True)
class Result:
    """What a task leaves: the executed copy as text, the receipt's text, artefacts as bytes by relative path."""

    outcome: Outcome
    copy: str | None = None
    receipt: str | None = None
    artefacts: dict = field(default_factory=dict)


def perform(task, stop=None, on_cell=None, spares=None):
    """Run a task to its end, its deadline, or until the `threading.Event` `stop` is set; the `Result`.

    `on_cell` is called with a cell's number, the number of code cells, the seconds since the start, and the
    kernel's peak memory in bytes so far (None where it cannot be read). `spares` may have a worker ready.
    """
    started = time.monotonic()
    worker = spares.take() if spares else execute.start_worker(task.containment or best())
    try:
        work = execute.lay_out(task, worker.folder)
        ended = execute.run_worker(worker, work, task, stop, on_cell)
        seconds = round(time.monotonic() - started, 2)
        return _result(task, work, ended, seconds)
    finally:
        worker.discard()


def _result(task, work, ended, seconds):
    status, error, signal = _verdict(task, work, ended)
    receipt = _text(work.receipt)
    outcome = Outcome(status, seconds, _parsed(_text(work.peak)), error, _parsed(receipt), signal)
    return Result(outcome, _text(work.copy), receipt, execute.files_below(work.artefacts))


def _verdict(task, work, ended):
    found = _parsed(_text(work.result))
    if ended.how == "ended" and found:
        return found["status"], found["error"], found.get("signal")
    where = _parsed(_text(work.cell)) or _NOWHERE
    if ended.how == "timeout":
        message = f"the notebook had not finished after {task.timeout_seconds:g} s"
        return "timeout", {**where, "name": "Timeout", "message": message}, None
    if ended.how == "stopped":
        return "stopped", {**where, "name": "Stopped", "message": "the run was stopped here"}, None
    killed = f"was killed by {ended.signal}" if ended.signal else "ended"
    message = f"the worker process {killed} without a result: {_last_line(work.log)}"
    return "crashed", {**where, "name": "WorkerDied", "message": message}, ended.signal


def _text(path):
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None


def _parsed(text):
    try:
        return None if text is None else json.loads(text)
    except ValueError:
        return None


def _last_line(log):
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it wrote nothing"

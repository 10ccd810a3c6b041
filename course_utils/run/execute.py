"""Run one notebook in a worker process, hold its deadline, and leave nothing of it running."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from course_utils.learn.paths import project_dir
from course_utils.run.containment import Containment
from course_utils.run.worker import BEGIN

_POLL_SECONDS = 0.05
_GRACE_SECONDS = 1.0  # from "stop" to SIGTERM
_SOCKET_LIMIT = 107  # longest path of a Unix socket on Linux, without the final NUL
_SOCKET_NAME = "/k-ipc-5"
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "LOKY_MAX_CPU_COUNT")


@dataclass(frozen=True)
class Work:
    """Where everything of a task lies in its scratch `folder`; `home` is the notebook's working directory."""

    folder: Path
    home: Path
    notebook: Path

    copy = property(lambda self: self.folder / "copy.ipynb")
    receipt = property(lambda self: self.folder / "receipt.json")
    result = property(lambda self: self.folder / "result.json")
    cell = property(lambda self: self.folder / "cell.json")
    peak = property(lambda self: self.folder / "peak.json")
    log = property(lambda self: self.folder / "worker.log")
    artefacts = property(lambda self: self.folder / "artefacts")
    builds_on = property(lambda self: self.folder / "builds_on")


@dataclass(frozen=True)
class Ended:
    """How a worker ended: "ended", "timeout" or "stopped"; `signal` is the name of the one that killed it, or None."""

    how: str
    signal: str | None


def short_temporary_folder():
    """A new folder whose path leaves room for a Unix socket's name, whatever `TMPDIR` says."""
    folder = tempfile.mkdtemp(prefix="course-")
    if len(os.fsencode(folder + _SOCKET_NAME)) > _SOCKET_LIMIT:
        os.rmdir(folder)
        folder = tempfile.mkdtemp(prefix="course-", dir="/tmp")
    return Path(folder)


def lay_out(task, folder):
    """Write what the worker reads into its scratch folder; the `Work`."""
    work = Work(folder, _home(task, folder), folder / "notebook" / task.name)
    for one in (work.notebook.parent, work.artefacts, work.builds_on):
        one.mkdir()
    work.notebook.write_text(task.source, encoding="utf-8")
    for lesson, files in task.builds_on.items():
        (work.builds_on / lesson).mkdir()
        write_below(work.builds_on / lesson, files)
    job = {
        "notebook": str(work.notebook),
        "home": str(work.home),
        "parameters": task.parameters,
        "environment": _environment(task, work),
    }
    (folder / "job.json").write_text(json.dumps(job))
    return work


def _home(task, folder):
    # Another machine may keep the course elsewhere, or not have it as a clone at all.
    places = (Path(task.folder), project_dir() / "notebooks")
    return next((place for place in places if place.is_dir()), folder / "notebook")


def write_below(folder, files):
    """Write files, given as bytes by relative path, into a folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def files_below(folder):
    """The plain files of a folder as bytes by relative path; links are left out, as they may lead out of it."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def thread_variables(threads):
    """The variables that hold libraries to this many threads, but for those that the user has set."""
    return {name: os.environ.get(name) or str(threads) for name in _THREADS}


@dataclass(frozen=True)
class Worker:
    """A worker process that waits in its scratch folder for the word to begin, held by a `Containment`."""

    folder: Path
    process: subprocess.Popen
    held: Containment

    def discard(self):
        """End it at once, and remove its folder."""
        _end(self.process, self.held.patience_seconds, grace_seconds=0)
        shutil.rmtree(self.folder, ignore_errors=True)


def start_worker(held):
    """A new `Worker`; it loads what it needs and waits."""
    folder = short_temporary_folder()
    with open(folder / "worker.log", "wb") as log:
        process = subprocess.Popen(
            [*held.prefix, sys.executable, "-P", "-m", "course_utils.run.worker", str(folder)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=os.environ | {"JUPYTER_PREFER_ENV_PATH": "1"},
            start_new_session=True,  # a terminal's Ctrl-C goes to the runner alone
        )
    return Worker(folder, process, held)


def run_worker(worker, work, task, stop, on_cell):
    """Give a worker the word, wait for its end or bring it about; the `Ended`."""
    process = worker.process
    with suppress(OSError):  # it was killed while it waited, which `_watch` sees
        process.stdin.write(BEGIN)
        process.stdin.flush()
    follow = _follow(work.cell, on_cell) if on_cell else None
    how = _watch(process, time.monotonic() + task.timeout_seconds, stop or threading.Event(), follow)
    by_itself = process.returncode
    _end(process, worker.held.patience_seconds)
    return Ended(how, signal.Signals(-by_itself).name if by_itself is not None and by_itself < 0 else None)


def _environment(task, work):
    # PASSIVE: OpenMP threads that spin at a barrier starve one another on a busy machine. With both
    # cores taken, one boosting fit took 3 to 17 s with spinning and 0.9 s without.
    quiet = {"OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY", "PASSIVE")}
    own = {
        "COURSE_RECEIPT": str(work.receipt),
        "COURSE_DATA_DIR": str(work.folder / "data"),
        "COURSE_ARTEFACTS": str(work.artefacts),
        "COURSE_BUILDS_ON": str(work.builds_on),
    }
    return quiet | thread_variables(task.threads) | task.environment | own


def _watch(worker, deadline, stop, follow):
    while worker.poll() is None:
        if stop.wait(_POLL_SECONDS):
            return "stopped"
        if time.monotonic() > deadline:
            return "timeout"
        if follow:
            follow()
    return "ended"


def _follow(path, on_cell):
    """A function that reports the cell that runs, once for each."""
    started, last = time.monotonic(), None

    def look():
        nonlocal last
        with suppress(OSError, ValueError, KeyError):
            found = json.loads(path.read_text())
            if found["cell"] != last:
                last = found["cell"]
                on_cell(last, found["total"], round(time.monotonic() - started, 2), found["peak_bytes"])

    return look


def _end(worker, patience_seconds, grace_seconds=_GRACE_SECONDS):
    """Have the worker's whole tree end, by force if need be; a second time does nothing."""
    if not worker.stdin.closed:
        with suppress(OSError):  # it ended already
            worker.stdin.write(b"stop")
            worker.stdin.close()
    if not _ends_within(worker, grace_seconds):
        worker.terminate()
        if not _ends_within(worker, patience_seconds):
            worker.kill()
            worker.wait()


def _ends_within(worker, seconds):
    with suppress(subprocess.TimeoutExpired):
        worker.wait(seconds)
    return worker.returncode is not None

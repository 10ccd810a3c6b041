"""Run one notebook in a worker process, hold its deadline, and leave nothing of it running."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from course_utils.run.containment import Containment
from course_utils.run.notebook import Notebook

_POLL_SECONDS = 0.05
_GRACE_SECONDS = 1.0  # from "stop" to SIGTERM
_SOCKET_LIMIT = 107  # longest path of a Unix socket on Linux, without the final NUL
_SOCKET_NAME = "/k-ipc-5"
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "LOKY_MAX_CPU_COUNT")


@dataclass(frozen=True)
class Job:
    """One notebook to run; `copy` and `receipt` are where its executed copy and receipt go."""

    notebook: Notebook
    parameters: dict
    copy: Path
    receipt: Path
    timeout_seconds: float
    threads: int
    containment: Containment


@dataclass(frozen=True)
class Outcome:
    """How a job ended; `error` has cell, prompt, source, name and message. `peak_bytes` is the kernel's, None where it is not known."""

    status: str
    seconds: float
    peak_bytes: int | None
    error: dict | None
    receipt: dict | None


def execute(job, stop):
    """Run a job to its end, its deadline, or until the `threading.Event` `stop` is set."""
    for left_by_an_earlier_run in (job.receipt, job.copy):
        left_by_an_earlier_run.unlink(missing_ok=True)
    started = time.monotonic()
    with _scratch() as folder:
        ending = _run_worker(job, folder, stop)
        seconds = time.monotonic() - started
        status, error = _verdict(job, folder, ending)
        peak_bytes = _read(folder / "peak.json")
    job.copy.with_name(f".{job.copy.name}.part").unlink(missing_ok=True)
    return Outcome(status, round(seconds, 2), peak_bytes, error, _read(job.receipt))


def short_temporary_folder():
    """A new folder whose path leaves room for a Unix socket's name, whatever `TMPDIR` says."""
    folder = tempfile.mkdtemp(prefix="course-")
    if len(os.fsencode(folder + _SOCKET_NAME)) > _SOCKET_LIMIT:
        os.rmdir(folder)
        folder = tempfile.mkdtemp(prefix="course-", dir="/tmp")
    return Path(folder)


@contextmanager
def _scratch():
    folder = short_temporary_folder()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run_worker(job, folder, stop):
    """Returns how it ended: "ended", "timeout" or "stopped"."""
    task = {"notebook": str(job.notebook.path), "copy": str(job.copy), "parameters": job.parameters}
    (folder / "job.json").write_text(json.dumps(task))
    with open(folder / "worker.log", "wb") as log:
        worker = subprocess.Popen(
            [*job.containment.prefix, sys.executable, "-P", "-m", "course_utils.run.worker", str(folder)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=_environment(job, folder),
            start_new_session=True,  # a terminal's Ctrl-C goes to the runner alone
        )
    ending = _watch(worker, time.monotonic() + job.timeout_seconds, stop)
    _end(worker, job.containment.patience_seconds)
    return ending


def _environment(job, folder):
    # PASSIVE: OpenMP threads that spin at a barrier starve one another on a busy machine. With both
    # cores taken, one boosting fit took 3 to 17 s with spinning and 0.9 s without.
    threads = dict.fromkeys(_THREADS, str(job.threads)) | {"OMP_WAIT_POLICY": "PASSIVE"}
    own = {
        "COURSE_RECEIPT": str(job.receipt),
        "COURSE_DATA_DIR": str(folder / "data"),
        "JUPYTER_PREFER_ENV_PATH": "1",
    }
    return threads | os.environ | own


def _watch(worker, deadline, stop):
    while worker.poll() is None:
        if stop.wait(_POLL_SECONDS):
            return "stopped"
        if time.monotonic() > deadline:
            return "timeout"
    return "ended"


def _end(worker, patience_seconds):
    """Have the worker's whole tree end, by force if need be."""
    with suppress(OSError):  # it ended already
        worker.stdin.write(b"stop")
        worker.stdin.close()
    if not _ends_within(worker, _GRACE_SECONDS):
        worker.terminate()
        if not _ends_within(worker, patience_seconds):
            worker.kill()
            worker.wait()


def _ends_within(worker, seconds):
    with suppress(subprocess.TimeoutExpired):
        worker.wait(seconds)
    return worker.returncode is not None


def _verdict(job, folder, ending):
    result = _read(folder / "result.json")
    if ending == "ended" and result:
        return result["status"], result["error"]
    where = _read(folder / "cell.json") or {"cell": None, "prompt": None, "source": None}
    if ending == "timeout":
        message = f"the notebook had not finished after {job.timeout_seconds:g} s"
        return "timeout", {**where, "name": "Timeout", "message": message}
    if ending == "stopped":
        return "stopped", {**where, "name": "Stopped", "message": "the run was stopped here"}
    message = f"the worker process ended without a result: {_last_line(folder / 'worker.log')}"
    return "crashed", {**where, "name": "WorkerDied", "message": message}


def _read(path):
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def _last_line(log):
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it wrote nothing"

"""Starts the real work (probe.py) in a child process and reads what it printed, whatever became of it."""

import json
import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from course_utils.bars import bar

TIMEOUT_SECONDS = 90  # the first touch of a card may compile kernels; a healthy machine needs a tenth of it


@dataclass(frozen=True)
class Check:
    """One piece of real work; `passed` is None where it could not be tried, and `detail` says why."""

    name: str
    passed: bool | None
    milliseconds: float | None
    detail: str


@dataclass(frozen=True)
class Speed:
    """An achieved speed, in `unit`; None where it could not be measured."""

    name: str
    unit: str
    value: float | None


@dataclass(frozen=True)
class Work:
    """What the child process found; a field that it did not reach is None or empty.

    `device` is "cuda" or "cpu"; `ended` is "finished", "failed", "killed" or "timed out", and then
    `during` names the piece of work that was interrupted and `error` the last words. `cuda` is the
    CUDA version that torch was built with, None for a CPU-only build. `total_bytes` is the card's
    memory as torch sees it, `plan_bytes` what was left for tensors beside the context and other programs.
    """

    ended: str
    during: str | None = None
    error: str | None = None
    device: str | None = None
    torch: str | None = None
    cuda: str | None = None
    architectures: tuple[str, ...] = ()
    cuda_error: str | None = None
    allocator_error: str | None = None
    card: str | None = None
    capability: tuple[int, int] | None = None
    total_bytes: int | None = None
    context_bytes: int | None = None
    plan_bytes: int | None = None
    expandable_segments: bool | None = None
    checks: tuple[Check, ...] = ()
    speeds: tuple[Speed, ...] = ()


def start():
    """Start the work in a child process that runs this interpreter; hand it to `collect`."""
    # Without torch.compile bitsandbytes loads in half the time, and spinning OpenMP threads starve a busy machine.
    quiet = {"TORCHDYNAMO_DISABLE": "1", "OMP_WAIT_POLICY": "PASSIVE", "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "course_utils.gpu.doctor.probe"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env={**os.environ, **quiet},
    )


def collect(child, timeout_seconds=TIMEOUT_SECONDS):
    """Wait for the child and turn its lines into `Work`; a hang is ended and told as "timed out"."""
    lines, child.stdout = child.stdout, None  # so that `communicate` waits for the rest and leaves them to us
    with ThreadPoolExecutor(1) as pool, lines, bar("examining", unit="checks") as tell:
        ending = pool.submit(_end, child, timeout_seconds)
        try:
            printed = "".join(_told(lines, tell))
        except BaseException:  # the reader has pressed Ctrl-C
            child.kill()
            raise
    complaint, timed_out = ending.result()
    return read(printed, complaint, None if timed_out else child.returncode)


def _end(child, timeout_seconds):
    """The child's stderr, and whether it had to be killed."""
    try:
        return child.communicate(timeout=timeout_seconds)[1], False
    except subprocess.TimeoutExpired:
        child.kill()
        return child.communicate()[1], True


def _told(lines, tell):
    """The child's lines; `tell` is told how many pieces of work are done, and of how many once the child has said it."""
    begun, total = 0, None
    for line in lines:
        for record in _records(line):
            begun += record.get("kind") == "start"
            total = record.get("steps", total)
            tell(max(0, begun - 1), total)
        yield line


def read(printed, complaint, status):
    """Make `Work` of the child's output, its stderr and its exit status; `status` is None after a timeout."""
    records = list(_records(printed))
    of = {kind: [one for one in records if one.get("kind") == kind] for kind in (*_FIELDS, "check", "speed", "start")}
    found = {name: one[key] for kind, names in _FIELDS.items() for one in of[kind] for name, key in names.items()}
    found["architectures"] = tuple(found.get("architectures") or ())
    found["capability"] = tuple(found["capability"]) if found.get("capability") else None
    finished = bool(records) and records[-1].get("kind") == "end"
    return Work(
        ended=_ending(finished, status),
        during=None if finished or not of["start"] else of["start"][-1]["name"],
        error=None if finished else _last_words(complaint, status),
        checks=tuple(Check(*(one[key] for key in Check.__dataclass_fields__)) for one in of["check"]),
        speeds=tuple(Speed(*(one[key] for key in Speed.__dataclass_fields__)) for one in of["speed"]),
        **found,
    )


# Which field of Work comes from which key of which line.
_FIELDS = {
    "torch": {
        "torch": "version",
        "cuda": "cuda",
        "architectures": "architectures",
        "device": "device",
        "cuda_error": "cuda_error",
        "allocator_error": "allocator_error",
    },
    "card": {"card": "name", "capability": "capability", "total_bytes": "total_bytes"},
    "memory": {name: name for name in ("context_bytes", "plan_bytes", "expandable_segments")},
}


def _records(printed):
    for line in printed.splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue  # a library printed something
        if isinstance(record, dict):
            yield record


def _ending(finished, status):
    if finished:
        return "finished"
    if status is None:
        return "timed out"
    return "killed" if status < 0 else "failed"


def _last_words(complaint, status):
    """The line of stderr that names the error, and the signal that ended the process."""
    lines = [line.strip() for line in complaint.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"[\w.]*Error\b|what\(\):", line)]
    words = (errors or lines)[-1:]
    if status is not None and status < 0:
        words.insert(0, signal.Signals(-status).name if -status in set(signal.Signals) else f"signal {-status}")
    return ": ".join(words)[:300] or None

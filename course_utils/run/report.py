"""What a run found, as data and as `report.json`."""

import json
import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from platform import python_version

from course_utils.gpu.device import installed_version
from course_utils.learn.bands import Band
from course_utils.learn.paths import project_dir, write_atomically

SCHEMA = 1
FAILURES = ("failed", "timeout", "crashed")
UNFINISHED = ("stopped", "not run", "running")
_PACKAGES = ("course-utils", "torch", "numpy", "pandas", "scikit-learn", "matplotlib", "papermill", "ipykernel")
_ESCAPE_SEQUENCES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Error:
    """Where and why a lesson did not pass.

    `cell` counts the lesson's code cells from 1, as JupyterLab's `In [n]` does in a fresh run;
    `prompt` is that number in the executed copy, one more where parameters were given. They and
    `line`, the cell's first line, are None where no cell had begun.
    """

    cell: int | None
    prompt: int | None
    line: str | None
    source: str | None
    name: str
    message: str


@dataclass(frozen=True)
class Row:
    """One lesson of a run; `checks` counts the exercises, `warnings` are sentences, `copy` the executed notebook.

    `file` is the notebook's path in the clone, None outside it. `key` is the cache's. `signal` is the name of the one that ended the kernel, such as SIGKILL;
    None where it ended in another way.
    """

    lesson: str
    title: str
    notebook: str
    status: str = "not run"
    checks: dict | None = None
    metrics: dict | None = None
    seconds: float | None = None
    peak_bytes: int | None = None
    profile: str | None = None
    copy: str | None = None
    warnings: tuple[str, ...] = ()
    error: Error | None = None
    from_cache: bool = False
    attempts: int = 1
    key: str | None = None
    signal: str | None = None
    file: str | None = None


@dataclass(frozen=True)
class Report:
    """A whole run; `folder` holds its files. `status` is passed, failed, stopped, or running while it runs."""

    folder: Path
    status: str
    started: str
    seconds: float
    profile: str
    parameters: dict
    jobs: int
    timeout_seconds: float
    containment: dict
    versions: dict
    lessons: tuple[Row, ...]

    @property
    def exit_status(self):
        """What the command line ends with: 0 passed, 1 failed, 130 stopped."""
        return {"passed": 0, "stopped": 130}.get(self.status, 1)

    @property
    def failures(self):
        """The rows that failed."""
        return [row for row in self.lessons if row.status in FAILURES]

    def as_dict(self):
        """The content of `report.json`; `schema` changes when the meaning of a field does."""
        return {"schema": SCHEMA, **{name: value for name, value in asdict(self).items() if name != "folder"}}


def clean(text):
    """Text without terminal colours and without characters that XML forbids."""
    return _NOT_IN_XML.sub("", _ESCAPE_SEQUENCES.sub("", str(text)))


def make_row(notebook, asked_profile, outcome, copy, warnings=()):
    """The `Row` of an `Outcome`; `warnings` are sentences to put before its own."""
    receipt = outcome.receipt or {}
    return Row(
        lesson=notebook.lesson,
        title=notebook.title,
        notebook=notebook.path.name,
        status=outcome.status,
        checks=_count(receipt.get("checks")),
        metrics=receipt.get("metrics"),
        seconds=outcome.seconds,
        peak_bytes=_peak(outcome.peak_bytes, receipt),
        profile=receipt.get("profile", asked_profile),
        copy=copy.name if copy.exists() else None,
        warnings=(*warnings, *_outside(receipt.get("metrics") or {})),
        error=_error(outcome.error),
        signal=outcome.signal,
        file=_in_clone(notebook.path),
    )


def _in_clone(path):
    return path.relative_to(project_dir()).as_posix() if path.is_relative_to(project_dir()) else None


def _peak(kernels, receipt):
    # `course.track` sets the kernel's high-water mark back; the lesson itself remembers the highest.
    own = receipt.get("peak_bytes") if receipt.get("memory") == "RAM" else None
    return max((one for one in (kernels, own) if one is not None), default=None)


def _error(found):
    if found is None:
        return None
    source = clean(found["source"]) if found["source"] else None
    line = next((line.strip() for line in source.splitlines() if line.strip()), None) if source else None
    return Error(found["cell"], found["prompt"], line, source, clean(found["name"]), clean(found["message"]))


def _count(checks):
    if checks is None:
        return None
    statuses = [check["status"] for check in checks]
    return {
        "total": len(statuses),
        "passed": statuses.count("passed"),
        "not_yet": statuses.count("not yet"),
        "blank": statuses.count("not attempted"),
    }


def _outside(metrics):
    # The band's own test, with its slack: the notebook and the report must not disagree.
    for name, metric in metrics.items():
        low, high = metric.get("low"), metric.get("high")
        if low is not None and high is not None and not Band(low, high, seeds=0).holds(metric["value"]):
            yield f"{name} is {metric['value']:.4g}, outside its band {low:.4g} to {high:.4g}"


def versions():
    """Versions of Python and the packages that decide a result, read without importing any."""
    return {"python": python_version()} | {name: installed_version(name) for name in _PACKAGES}


def now():
    """The time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def write_json(report):
    """Write `report.json`."""
    write_atomically(report.folder / "report.json", json.dumps(report.as_dict(), indent=1) + "\n")

"""What lies in a report's folder so that a run that was cut off can go on, and which run that is."""

import fcntl
import json
import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from course_utils.errors import CourseError
from course_utils.learn.paths import runs_dir, write_atomically
from course_utils.run.rows import as_row

_SETTINGS = "run.json"
_UNFINISHED = ("running", "stopped")
_SCHEMA = 1


@dataclass(frozen=True)
class Unfinished:
    """A run that was cut off; `settings` are `run_course`'s, `rows` its lessons as they stood."""

    folder: Path
    notebooks: tuple[Path, ...]
    settings: dict
    rows: dict


def write_settings(plan):
    """Note in the report's folder what `find` needs to go on with the run."""
    settings = {
        "parameters": plan.parameters,
        "jobs": plan.jobs,
        "timeout_seconds": plan.timeout_seconds,
        "mode": plan.mode,
        "retries": plan.retries,
    }
    notebooks = list(dict.fromkeys(str(one.path) for one in plan.notebooks))
    content = {"schema": _SCHEMA, "notebooks": notebooks, "settings": settings}
    write_atomically(plan.folder / _SETTINGS, json.dumps(content, indent=1) + "\n")


def find(report_dir=None):
    """The newest unfinished run, or the one in `report_dir`, as `Unfinished`.

    Raises CourseError where there is nothing to go on with, or a runner is still at it.
    """
    places = [Path(report_dir).absolute()] if report_dir else _folders()
    found = [(content["started"], place, content) for place in places if (content := _report(place))]
    for _, place, content in sorted(found, key=lambda one: one[:2], reverse=True):
        if content["status"] in _UNFINISHED:
            return _unfinished(place, content)
    where = report_dir or runs_dir()
    raise CourseError(
        f"There is nothing to resume: no run in {where} was cut off. `course run --all` starts a new one."
    )


@contextmanager
def held(folder):
    """Keep other runners out of this report's folder; the system lets go when the process dies, however that is.

    Raises CourseError where another runner holds it.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CourseError(
                f"Another run is writing its report to {folder}. Wait for its end, or choose another --report."
            ) from None
        yield
    finally:
        os.close(descriptor)


def sweep(folder):
    """Remove what a killed run left half written: files under temporary names."""
    for path in (*folder.glob(".*.part"), *folder.glob("*/.*.part"), *folder.glob("artefacts/.part-*")):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _folders():
    return [path for path in runs_dir().glob("*") if path.is_dir() and not path.name.startswith(".")]


def _report(folder):
    try:
        content = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        return content if isinstance(content["started"], str) and content["status"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _unfinished(folder, report):
    with held(folder):
        pass
    try:
        stored = json.loads((folder / _SETTINGS).read_text(encoding="utf-8"))
        rows = {row["lesson"]: as_row(row) for row in report["lessons"]}
        return Unfinished(folder, tuple(map(Path, stored["notebooks"])), dict(stored["settings"]), rows)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CourseError(
            f"The run in {folder} cannot be resumed, because {_SETTINGS} or report.json is damaged or missing "
            f"({type(error).__name__}). Start a new one."
        ) from None

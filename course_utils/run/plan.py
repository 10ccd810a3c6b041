"""Check everything about a run before it starts, so that bad input starts nothing and writes nothing."""

import math
import os
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from course_utils.errors import CourseError
from course_utils.gpu.device import driver_version
from course_utils.learn.paths import project_dir
from course_utils.learn.profiles import require
from course_utils.run import notebook
from course_utils.run.containment import Containment, best

_WITHOUT_GPU = ("smoke", "cpu")
_MIB = 1024**2
_REPORT_BYTES = 16 * _MIB  # generous for report.html, whose figures are the lessons'
_LESSON_BYTES = 8 * _MIB  # generous for an executed copy with its figures


@dataclass(frozen=True)
class Plan:
    """A checked run; `parameters` are what every notebook gets, `threads` is each worker's share of the cores.

    `may_use_gpu` is False where the profile or the machine rules out a card.
    """

    notebooks: tuple[notebook.Notebook, ...]
    profile: str
    parameters: dict
    jobs: int
    threads: int
    timeout_seconds: float
    folder: Path
    containment: Containment
    may_use_gpu: bool = True


def make(lessons, profile, parameters, jobs, timeout_seconds, report_dir, containment):
    """The `Plan` of a run; `lessons` are `LessonFile`s.

    Raises CourseError for the first thing that is wrong.
    """
    lessons = _distinct(lessons)
    parameters = _with_profile(profile, dict(parameters or {}))
    _require_numbers(jobs, timeout_seconds)
    notebooks = tuple(map(notebook.read, lessons))
    for one in notebooks:
        notebook.check_parameters(one, parameters)
    jobs = min(jobs or usable_cores(), len(notebooks))
    profile = parameters.get("PROFILE") or os.environ.get("COURSE_PROFILE") or "auto"
    return Plan(
        notebooks=notebooks,
        profile=profile,
        parameters=parameters,
        jobs=jobs,
        threads=max(1, usable_cores() // jobs),
        may_use_gpu=profile not in _WITHOUT_GPU and driver_version() is not None,
        timeout_seconds=timeout_seconds,
        folder=_usable_folder(report_dir, notebooks),
        containment=containment or best(),
    )


def usable_cores():
    """Cores that this process may use, which in a container can be fewer than the machine has."""
    return len(os.sched_getaffinity(0))


def _distinct(lessons):
    lessons = list(dict.fromkeys(lessons))
    if not lessons:
        raise CourseError("There is no lesson to run. `course list` shows all.")
    seen = {}
    for lesson in lessons:
        if lesson.id in seen:
            raise CourseError(f"{seen[lesson.id]} and {lesson.path} are both {lesson.id!r}. Run them one at a time.")
        seen[lesson.id] = lesson.path
    return lessons


def _with_profile(profile, parameters):
    given = parameters.get("PROFILE", profile)
    if profile is not None and given != profile:
        raise CourseError(f"--profile {profile} and -p PROFILE={given} disagree. Give one of them.")
    if "PROFILE" in parameters or profile is not None:
        parameters["PROFILE"] = given
    for name in (parameters.get("PROFILE", "auto"), os.environ.get("COURSE_PROFILE") or "auto"):
        if name != "auto":
            require(name)
    return parameters


def _require_numbers(jobs, timeout_seconds):
    if jobs is not None and jobs < 1:
        raise CourseError(f"--jobs must be 1 or more, not {jobs}. Leave it out to use every core.")
    if not (timeout_seconds > 0 and math.isfinite(timeout_seconds)):
        raise CourseError(f"--timeout must be a positive number of seconds, not {timeout_seconds:g}.")


def _usable_folder(report_dir, notebooks):
    folder = Path(report_dir).absolute() if report_dir else _new_name()
    _require_apart(folder, notebooks)
    _require_room(folder, _REPORT_BYTES + len(notebooks) * _LESSON_BYTES)
    return folder


def _require_apart(folder, notebooks):
    for one in notebooks:
        if one.path.parent == folder.resolve():
            raise CourseError(
                f"The report cannot go to {folder}, because the executed copy would replace {one.path.name} itself. "
                "Choose another --report."
            )


def _require_room(folder, needed):
    # os.path.exists, because Path.exists raises where a name is too long or a folder is locked.
    place = next(path for path in (folder, *folder.parents) if os.path.exists(path))
    if not place.is_dir():
        raise CourseError(
            f"The report cannot go to {folder}, because {place} is not a folder. Choose another --report."
        )
    if not os.access(place, os.W_OK | os.X_OK):
        raise CourseError(f"The report cannot go to {folder}, because {place} is read-only. Choose another --report.")
    free = shutil.disk_usage(place).free
    if free < needed:
        raise CourseError(
            f"Only {free / _MIB:.1f} MiB are free at {place}, and the report may need {needed / _MIB:.0f} MiB. "
            "Free some, or choose another --report."
        )


def _new_name():
    stem = project_dir() / "runs" / datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    names = (stem, *(stem.with_name(f"{stem.name}_{number}") for number in range(2, 1000)))
    return next(path for path in names if not path.exists())

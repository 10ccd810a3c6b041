"""Check everything about a run before it starts, so that bad input starts nothing and writes nothing."""

import math
import os
import shutil
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from course_utils.errors import CourseError
from course_utils.gpu.device import driver_version
from course_utils.learn.paths import runs_dir
from course_utils.learn.profiles import require
from course_utils.run import graph, history, machine, modes, notebook, schedule
from course_utils.run.containment import Containment, best
from course_utils.run.machine import usable_cores

_WITHOUT_GPU = ("smoke", "cpu")
_MIB = 1024**2
_REPORT_BYTES = 16 * _MIB  # generous for report.html, whose figures are the lessons'
_LESSON_BYTES = 8 * _MIB  # generous for an executed copy with its figures


@dataclass(frozen=True)
class Plan:
    """A checked run; `parameters` are what every notebook gets, `threads` is each worker's share of the cores.

    `graph` has for each lesson those of this run that it waits for, `needs` what it took before.
    """

    notebooks: tuple[notebook.Notebook, ...]
    profile: str
    parameters: dict
    jobs: int
    threads: int
    timeout_seconds: float
    folder: Path
    containment: Containment
    mode: str = "blank"
    retries: int = 0
    graph: dict = field(default_factory=dict)
    needs: dict = field(default_factory=dict)
    capacity: schedule.Capacity = schedule.Capacity(1)

    @property
    def profile_here(self):
        """The profile as far as it can be known without torch: "auto" is "cpu" where no driver answers."""
        return "cpu" if self.profile == "auto" and driver_version() is None else self.profile


def make(
    lessons, profile, parameters, jobs, timeout_seconds, report_dir, containment, *, mode="blank", retries=0, pool=None
):
    """The `Plan` of a run; `lessons` are `LessonFile`s, `pool` is None for this machine.

    Raises CourseError for the first thing that is wrong.
    """
    lessons = _distinct(lessons)
    parameters = _with_profile(profile, dict(parameters or {}))
    _require_numbers(jobs, timeout_seconds, retries)
    notebooks = _in_mode(tuple(map(notebook.read, lessons)), mode)
    for one in notebooks:
        notebook.check_parameters(one, parameters)
    order = graph.waits_for(notebooks)
    jobs = pool.capacity.jobs if pool else min(jobs or usable_cores(), len(notebooks))
    plan = Plan(
        notebooks=notebooks,
        profile=parameters.get("PROFILE") or os.environ.get("COURSE_PROFILE") or "auto",
        parameters=parameters,
        jobs=jobs,
        threads=pool.threads if pool else max(1, usable_cores() // jobs),
        timeout_seconds=timeout_seconds,
        folder=_usable_folder(report_dir, notebooks),
        containment=containment or best(),
        mode=mode,
        retries=retries,
        graph=order,
    )
    return replace(plan, needs=_needs(plan), capacity=pool.capacity if pool else _capacity(plan))


def _in_mode(notebooks, mode):
    """A notebook for each run that this mode makes of each; what is built on in "mistakes" is what ships."""
    if mode == "blank":
        return notebooks
    found = []
    for one in notebooks:
        for label, _ in modes.runs_of(notebook.load(one.path), one.lesson, mode):
            several = label != mode
            name = f"{one.lesson}-{label}" if several else one.lesson
            builds_on = () if several else one.builds_on
            title = f"{one.title} ({label})"
            found.append(replace(one, lesson=name, title=title, builds_on=builds_on, label=label, origin=one.lesson))
    if not found:
        raise CourseError(f"The mode {mode!r} makes no run of these lessons: they have no exercises.")
    return tuple(found)


def _needs(plan):
    known = history.read(runs_dir())
    may_use_gpu = plan.profile not in _WITHOUT_GPU
    needs = {}
    for one in plan.notebooks:
        cost = known.get((one.origin or one.lesson, plan.profile_here), history.Cost(None, None))
        needs[one.lesson] = schedule.Need(cost.seconds, cost.peak_bytes, one.uses_gpu and may_use_gpu)
    return needs


def _capacity(plan):
    # Without a card nothing queues for one.
    return schedule.Capacity(plan.jobs, machine.usable_memory_bytes(), machine.gpus() or None)


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
    variable = os.environ.get("COURSE_PROFILE") or "auto"
    for name, given_by in ((parameters.get("PROFILE", "auto"), ""), (variable, "the variable COURSE_PROFILE")):
        if name != "auto":
            require(name, given_by)
    return parameters


def _require_numbers(jobs, timeout_seconds, retries):
    if retries < 0:
        raise CourseError(f"--retries must be 0 or more, not {retries}.")
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
    stem = runs_dir() / datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    names = (stem, *(stem.with_name(f"{stem.name}_{number}") for number in range(2, 1000)))
    return next(path for path in names if not path.exists())

"""Why a lesson will run again: its ingredients now against the newest entry of the cache."""

from pathlib import Path

from course_utils.errors import CourseError
from course_utils.learn.paths import project_dir
from course_utils.run import cache
from course_utils.run import plan as planning
from course_utils.run.prepare import expected
from course_utils.run.reach import Tree

_SHOWN = 24  # characters of a value: enough to tell two hashes apart
_ORDER = ("same", "gone", "new", "changed")  # on a terminal the last lines are those that are seen
_DEADLINE_SECONDS = 900  # no ingredient


def explain(lesson, lessons, profile, parameters, jobs, mode, place: Path | None = None):
    """Rows (ingredient, state, in the entry, now), what differs last, and a sentence with the verdict.

    `lessons` are those of the run that is asked about, `place` the cache's folder. Raises CourseError as a run does.
    """
    plan = planning.make(lessons, profile, parameters, jobs, _DEADLINE_SECONDS, None, None, mode=mode)
    name = next((one.lesson for one in plan.notebooks if lesson.id in (one.lesson, one.origin)), None)
    if name is None:
        raise CourseError(f"The mode {mode!r} makes no run of {lesson.id}: it has no exercises.")
    prepared = expected(plan, Tree(project_dir()), name)
    held = [one for one in cache.entries(place) if one.row.lesson == name]
    newest = max(held, key=lambda one: one.number, default=None)
    rows = compare(newest.ingredients if newest else {}, prepared.ingredients)
    return rows, _verdict(name, rows, held, newest, prepared.key)


def compare(old, new):
    """Rows (ingredient, state, old value, new value): the same ones, those gone, new ones, then changed ones."""
    rows = [(name, _state(old, new, name), _short(old.get(name)), _short(new.get(name))) for name in {**old, **new}]
    return sorted(rows, key=lambda row: (_ORDER.index(row[1]), row[0]))


def _state(old, new, name):
    if name not in old or name not in new:
        return "new" if name in new else "gone"
    return "same" if old[name] == new[name] else "changed"


def _short(value):
    if value is None:
        return "n/a"
    return value if len(value) <= _SHOWN else value[: _SHOWN - 1] + "…"


def _verdict(name, rows, held, newest, key):
    if any(one.row.key == key for one in held):
        return f"{name} comes from the cache: an entry has all of these ingredients."
    if newest is None:
        return f"{name} will run: the cache has no entry of it."
    differ = [row[0] for row in rows if row[1] != "same"]
    return f"{name} will run again: {len(differ)} of {len(rows)} ingredients differ from its newest entry."

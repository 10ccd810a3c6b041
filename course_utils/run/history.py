"""What lessons took before: seconds and peak memory of the last run that passed, by lesson and profile.

`costs.json` beside this module holds what was measured when the course was released; a machine's own
runs go before it.
"""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from course_utils.learn.paths import write_atomically

STARTER = Path(__file__).with_name("costs.json")
NAME = "costs.json"
_SCHEMA = 1


@dataclass(frozen=True)
class Cost:
    """Wall time and peak memory of one notebook, None where not measured."""

    seconds: float | None
    peak_bytes: int | None


@dataclass(frozen=True)
class Shipped:
    """The starter file: the days of its runs, the cores of their machine, {(lesson, profile): Cost}."""

    dates: tuple[str, ...]
    cores: int
    costs: dict


def read(folder):
    """What is known as {(lesson, profile): Cost}, from the starter file and from `folder`; damaged parts are passed over."""
    return _load(STARTER) | _load(Path(folder) / NAME)


def shipped(path=STARTER):
    """What the starter file was measured with, and what it says, as `Shipped`."""
    content = json.loads(path.read_text(encoding="utf-8"))
    return Shipped(tuple(content["dates"]), content["cores"], _load(path))


def record(folder, rows, profile):
    """Keep what rows that passed took, beside what is known; rows from the cache took nothing new.

    Raises OSError where the folder cannot be written.
    """
    path = Path(folder) / NAME
    new = {
        (row.lesson, profile): Cost(row.seconds, row.peak_bytes)
        for row in rows
        if row.status == "passed" and not row.from_cache
    }
    if new:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, _load(path) | new)


def write(path, costs, **head):
    """Write {(lesson, profile): Cost} as a file that `read` reads; `head` are further entries beside it."""
    tree = {}
    for (lesson, profile), cost in sorted(costs.items()):
        tree.setdefault(lesson, {})[profile] = asdict(cost)
    write_atomically(path, json.dumps({"schema": _SCHEMA, **head, "costs": tree}, indent=1) + "\n")


def _load(path):
    found = {}
    with suppress(OSError, ValueError, AttributeError, KeyError, TypeError):
        for lesson, profiles in json.loads(path.read_text(encoding="utf-8"))["costs"].items():
            for profile, cost in profiles.items():
                found[lesson, profile] = Cost(_number(cost.get("seconds")), _number(cost.get("peak_bytes")))
    return found


def _number(value):
    return value if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0 else None

"""The committed range of each metric over several seeds, written by `benchmarks/bands.py`."""

import json
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "bundled" / "bands"


@dataclass(frozen=True)
class Band:
    """Smallest and largest value that a metric took over `seeds` runs."""

    low: float
    high: float
    seeds: int

    def holds(self, value):
        """Whether a value lies in the band; a millionth of slack, for the order of floating-point sums."""
        slack = 1e-6 * max(abs(self.low), abs(self.high))
        return self.low - slack <= value <= self.high + slack


def read(lesson, profile):
    """The bands of a lesson in a profile, by metric; empty where none were measured."""
    path = FOLDER / f"{lesson}.json"
    if not path.is_file():
        return {}
    metrics = json.loads(path.read_text()).get("profiles", {}).get(profile, {})
    return {name: Band(min(values), max(values), len(values)) for name, values in metrics.items()}

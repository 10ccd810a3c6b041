"""`grades.class.html`: how a class did, for the instructor's eye."""

import math
from collections import Counter, defaultdict
from dataclasses import dataclass

from course_utils.learn.verdict import NOT_ATTEMPTED, NOT_YET, PASSED
from course_utils.teach.feedback import template_of
from course_utils.teach.marks import MISSING, PARTLY, STOPPED

_BINS = 10
_STATUSES = (PASSED, PARTLY, NOT_YET, STOPPED, NOT_ATTEMPTED, MISSING)


@dataclass(frozen=True)
class Row:
    """An exercise over a class: mean points, and how many are in each status."""

    id: str
    max_points: int
    mean_points: float
    statuses: tuple[tuple[str, int], ...]

    @property
    def share(self):
        """Mean points as a share of the maximum."""
        return self.mean_points / self.max_points if self.max_points else 0.0


@dataclass(frozen=True)
class Bin:
    """A bar of the histogram, in per cent of all points; `height` is a share of the highest."""

    low: int
    high: int
    count: int
    height: float


def page(results):
    """The page as a string."""
    graded = [record for record in results.records if record.marks]
    rows = sorted((_row(id, points, graded) for id, points in results.exercises), key=lambda row: row.share)
    return template_of("class.html.jinja").render(
        results=results,
        graded=graded,
        others=[record for record in results.records if not record.marks],
        rows=rows,
        mistakes=_mistakes(graded),
        bins=histogram([record.points for record in graded], results.max_points),
        mean=_mean([record.points for record in graded]),
        median=_median([record.points for record in graded]),
        alike=alike(results),
        late=[record for record in graded if record.handed_in.startswith("late")],
    )


def _row(id, points, graded):
    every = [record.marks[id] for record in graded if id in record.marks]
    counts = Counter(mark.status for mark in every)
    return Row(
        id,
        points,
        _mean([mark.points for mark in every]) or 0.0,
        tuple((status, counts[status]) for status in _STATUSES if counts[status]),
    )


def _mistakes(graded):
    """((exercise, sentence), students), the most frequent first."""
    pairs = [(id, mark.mistake) for record in graded for id, mark in record.marks.items() if mark.mistake]
    return Counter(sorted(pairs)).most_common()


def histogram(points, most):
    """Ten `Bin`s of equal width; full points belong to the last."""
    places = Counter(min(_BINS - 1, math.floor(_BINS * one / most)) if most else 0 for one in points)
    highest = max(places.values(), default=1)
    width = 100 // _BINS
    return [Bin(width * i, width * (i + 1), places[i], places[i] / highest) for i in range(_BINS)]


def alike(results):
    """(exercise, students) whose attempts are the same but for comments, spacing and their own names."""
    groups = defaultdict(list)
    for record in results.records:
        for id, mark in record.marks.items():
            if mark.likeness and mark.status != NOT_ATTEMPTED:
                groups[id, mark.likeness].append(record.id)
    return [(id, students) for (id, _), students in sorted(groups.items()) if len(students) > 1]


def _mean(values):
    return sum(values) / len(values) if values else None


def _median(values):
    ordered, half = sorted(values), len(values) // 2
    if not values:
        return None
    return ordered[half] if len(values) % 2 else (ordered[half - 1] + ordered[half]) / 2

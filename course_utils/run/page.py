"""`report.html`: one file that needs nothing else, failures first."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from course_utils.run import compare, executed, show
from course_utils.run.report import FAILURES, UNFINISHED, Row

_ORDER = (*FAILURES, *UNFINISHED, "passed")


@dataclass(frozen=True)
class Bar:
    """A reading beside the last run's: what is written, and lengths in per cent of the page's largest reading."""

    text: str
    percent: float | None
    before_text: str | None
    before_percent: float | None


@dataclass(frozen=True)
class Entry:
    """A lesson as the page shows it: what its failing cell printed, `figures` as (data URI, alt text)."""

    row: Row
    seconds: Bar
    peak: Bar
    printed: str
    traceback: str
    figures: list


def render(report, previous=None):
    """The page as a string; everything that comes from a notebook is escaped.

    `previous` is the last run's `report.json` as data, None without one.
    """
    import jinja2

    template = Path(__file__).with_name("report.html.jinja").read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(template).render(
        report=report,
        entries=_entries(report, previous),
        counts=_counts(report),
        previous=previous,
        changes=compare.differences(report, previous) if previous else (),
        rule=compare.RULE,
        show=show,
        when=_when,
    )


def _entries(report, previous):
    before = {row["lesson"]: row for row in previous["lessons"]} if previous else {}
    rows = sorted(report.lessons, key=lambda row: _ORDER.index(row.status))
    pairs = [(row, before.get(row.lesson, {})) for row in rows]
    seconds = _bars(pairs, "seconds", lambda value: f"{value:.1f} s")
    peaks = _bars(pairs, "peak_bytes", show.bytes_text)
    return [_entry(report, *parts) for parts in zip(rows, seconds, peaks, strict=True)]


def _entry(report, row, seconds, peak):
    cells = executed.cells(report.folder / row.copy) if row.copy else []
    printed, traceback = executed.last_words(cells, row.error.prompt if row.error else None)
    return Entry(row, seconds, peak, printed, traceback, executed.figures(cells))


def _bars(pairs, name, text):
    readings = [(getattr(row, name), old.get(name)) for row, old in pairs]
    largest = max((value for pair in readings for value in pair if value), default=None)

    def percent(value):
        return None if value is None or largest is None else round(100 * value / largest, 1)

    return [
        Bar("n/a" if now is None else text(now), percent(now), None if then is None else text(then), percent(then))
        for now, then in readings
    ]


def _counts(report):
    counts = Counter(row.status for row in report.lessons)
    words = [f"{counts[status]} {status}" for status in _ORDER if counts[status]]
    cached = sum(row.from_cache for row in report.lessons)
    return words + ([f"{cached} from the cache"] if cached else [])


def _when(started):
    return started.replace("T", " ").replace("+00:00", " UTC")

"""The table that a run redraws in place on a terminal."""

import threading
import time
from collections import Counter
from dataclasses import dataclass, field, replace

from course_utils.run import schedule, show
from course_utils.run.report import FAILURES, UNFINISHED

_FRAMES_PER_SECOND = 2
_LINES_AROUND = 9  # of the table and the prompt
_WORDS = {"not run": "waiting"}


@dataclass(frozen=True)
class Line:
    """A lesson as the table shows it; `since` is the monotonic time at which it started."""

    row: object
    cell: str = ""
    since: float | None = None


@dataclass
class LiveTable:
    """A listener (see `events`) that shows every lesson's state, cell, seconds and memory, and about how long all take."""

    console: object
    needs: dict = field(default_factory=dict)
    jobs: int = 1
    lines: dict = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    screen: object = None

    def begin(self, report, needs):
        """Draw the table."""
        from rich.live import Live

        self.needs, self.jobs = needs, report.jobs
        self.lines = {row.lesson: Line(row) for row in report.lessons}
        self.screen = Live(
            get_renderable=self._table, console=self.console, refresh_per_second=_FRAMES_PER_SECOND, transient=True
        )
        self.screen.start()

    def change(self, row):
        """Take a lesson's new state."""
        since = time.monotonic() if row.status == "running" else None
        self._set(row.lesson, Line(row, since=since))

    def cell(self, lesson, number, total, seconds, peak_bytes=None):
        """Take the cell that a lesson has come to, its seconds since the start, and its memory."""
        line = self.lines[lesson]
        row = replace(line.row, peak_bytes=peak_bytes if peak_bytes is not None else line.row.peak_bytes)
        self._set(lesson, Line(row, f"{number}/{total}", time.monotonic() - seconds))

    def end(self, report):
        """Put the summary in the table's place."""
        self.close()
        show.finished(self.console, report)

    def close(self):
        """Take the table away and show the cursor again."""
        if self.screen:
            self.screen.stop()
            self.screen = None

    def _set(self, lesson, line):
        with self.lock:
            self.lines[lesson] = line

    def _table(self):
        with self.lock:
            lines = list(self.lines.values())
        return drawn(lines, self.console.height, time.monotonic(), self.needs, self.jobs)


def drawn(lines, height, clock, needs, jobs):
    """The rich table of these `Line`s; where it would not fit in `height`, waiting and passed lessons are only counted."""
    from rich.table import Table
    from rich.text import Text

    grid = Table("lesson", "state", caption=f"{counted(lines)}\n{left_text(lines, clock, needs, jobs)}")
    for title in ("cell", "seconds", "memory"):
        grid.add_column(title, justify="right")
    for line in _shown(lines, height - _LINES_AROUND):
        row = line.row if line.since is None else replace(line.row, seconds=clock - line.since)
        state = Text(_WORDS.get(row.status, show.result_text(row)), style=show.style(row.status))
        grid.add_row(
            Text(row.lesson), state, line.cell, _blank(show.seconds_text(row, unit="")), _blank(show.peak_text(row))
        )
    return grid


def left_text(lines, clock, needs, jobs):
    """About how long the lessons that have not ended still take, in words; empty where all have."""
    open_ones = [one for one in lines if one.row.status in UNFINISHED]
    gone = {one.row.lesson: 0.0 if one.since is None else clock - one.since for one in open_ones}
    return f"about {show.time_text(schedule.seconds_left(needs, gone, jobs))} left" if gone else ""


def counted(lines):
    """How many lessons are in each state, in words."""
    counts = Counter(_WORDS.get(line.row.status, line.row.status) for line in lines)
    return " · ".join(f"{count} {state}" for state, count in counts.items())


def _shown(lines, most):
    if len(lines) <= most:
        return lines
    urgent = [line for line in lines if line.row.status == "running" or line.row.status in FAILURES]
    return urgent[-max(most, 1) :]


def _blank(text):
    return "" if text == "n/a" else text  # here it means: not yet

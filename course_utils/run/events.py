"""How a run is followed: a live table on a terminal, lines in a log, or JSON for machines.

A listener has begin(report, needs), change(row), cell(…), end(report) and close(); any thread may call
it. `close` gives the terminal back where a run breaks off, and does nothing after `end`.
"""

import json
import os
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field

from course_utils.errors import CourseError
from course_utils.run import live, show
from course_utils.run.report import now

SCHEMA = 1


def listener(console, log=None):
    """The listener for this console; `log` is None or "json".

    Raises CourseError for another `log`.
    """
    if log == "json":
        return Json(console.file)
    if log is not None:
        raise CourseError(f"--log must be json, not {log!r}. Leave it out for a table or plain lines.")
    # A CI service may force colours, and then rich takes its log for a terminal.
    return live.LiveTable(console) if console.is_interactive and console.file.isatty() else Lines(console)


@dataclass
class Lines:
    """One line as a notebook starts and ends, and the summary: for a log that nobody watches."""

    console: object
    needs: dict = field(default_factory=dict)
    jobs: int = 1
    lines: dict = field(default_factory=dict)

    def begin(self, report, needs):
        """Learn the lessons in their order, and what each took before."""
        self.needs, self.jobs = needs, report.jobs
        self.lines = {row.lesson: live.Line(row) for row in report.lessons}

    def change(self, row):
        """Tell a lesson's start or end."""
        clock = time.monotonic()
        self.lines[row.lesson] = live.Line(row, since=clock if row.status == "running" else None)
        if row.status == "running":
            number = list(self.lines).index(row.lesson) + 1
            left = live.left_text(self.lines.values(), clock, self.needs, self.jobs)
            show.started(self.console, row.lesson, number, len(self.lines), row.attempts, left)
        elif row.status != "not run":
            show.ended(self.console, row)

    def cell(self, lesson, number, total, seconds, peak_bytes=None):
        """Say nothing: a line a cell would drown the rest."""

    def end(self, report):
        """Tell the failures, and print the table."""
        show.finished(self.console, report)

    def close(self):
        """Do nothing."""


@dataclass
class Json:
    """One JSON object a line, and nothing else.

    Every object has `event`, `time` (UTC) and the fields of its kind: "begin" (schema, profile,
    jobs, folder, lessons), "lesson" (the fields of a lesson in `report.json`), "cell" (lesson, cell,
    cells, seconds, peak_bytes), "end" (status, exit_status, seconds, report).
    """

    file: object
    lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, report, needs):
        """Tell the run's settings and its lessons in order."""
        lessons = [row.lesson for row in report.lessons]
        settings = {"profile": report.profile, "jobs": report.jobs, "folder": str(report.folder)}
        self._write("begin", schema=SCHEMA, **settings, lessons=lessons)

    def change(self, row):
        """Tell a lesson's new state."""
        self._write("lesson", **asdict(row))

    def cell(self, lesson, number, total, seconds, peak_bytes=None):
        """Tell that a cell begins."""
        self._write("cell", lesson=lesson, cell=number, cells=total, seconds=seconds, peak_bytes=peak_bytes)

    def end(self, report):
        """Tell how the run ended, and where its report lies."""
        path = str(report.folder / "report.json")
        self._write("end", status=report.status, exit_status=report.exit_status, seconds=report.seconds, report=path)

    def close(self):
        """Do nothing."""

    def _write(self, event, **fields):
        line = json.dumps({"event": event, "time": now(), **fields})
        with self.lock:
            try:
                self.file.write(line + "\n")
                self.file.flush()
            except BrokenPipeError:  # the reader is gone; the run and its report go on
                _discard(self.file)


def _discard(file):
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), file.fileno())

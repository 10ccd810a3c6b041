import io
import json
import os
import re
import subprocess
import sys
import textwrap
from dataclasses import replace
from datetime import datetime

import pytest
from rich.console import Console
from test_report import outcome, report, row

from course_utils.errors import CourseError
from course_utils.run import events, live
from course_utils.run.report import Row
from course_utils.run.schedule import Need

WAITING = Row("week02", "Title of week02", "week02.ipynb")
RUNNING = replace(WAITING, status="running")
NEEDS = {"week01": Need(90.0), "week02": Need(40.0)}
PASSED = replace(WAITING, status="passed", seconds=2.5, peak_bytes=3 * 2**20)


def follow(listener, folder):
    """A run of two lessons as the runner tells it."""
    listener.begin(report(folder, Row("week01", "Title", "week01.ipynb"), WAITING, status="running"), NEEDS)
    listener.change(replace(RUNNING, attempts=2))
    listener.cell("week02", 14, 32, 3.5, 5 * 2**20)
    listener.change(row("week01", outcome("failed", "division by zero")))
    listener.change(replace(PASSED, from_cache=True))
    listener.end(report(folder, row("week01", outcome("failed", "division by zero")), PASSED))
    listener.close()


def test_a_log_gets_a_line_as_a_lesson_starts_and_ends(tmp_path):
    console = Console(file=io.StringIO(), width=80)
    follow(events.listener(console), tmp_path)
    lines = console.file.getvalue().splitlines()
    assert lines[:3] == [
        "week02  started (2 of 2, attempt 2), about 90 s left",
        "week01  failed after 1.2 s",
        "week02  passed from the cache",
    ]
    assert lines[-1] == f"Report: {tmp_path / 'report.html'}"
    assert "\x1b" not in console.file.getvalue()


def test_a_log_with_forced_colours_is_no_terminal():
    console = Console(file=io.StringIO(), force_terminal=True, _environ={"TERM": "xterm"})
    assert isinstance(events.listener(console), events.Lines)


def test_json_is_one_object_a_line_of_a_stable_schema_and_nothing_else(tmp_path):
    console = Console(file=io.StringIO())
    follow(events.listener(console, "json"), tmp_path)
    begin, started, cell, failed, cached, end = map(json.loads, console.file.getvalue().splitlines())
    row_fields = {"lesson", "title", "notebook", "status", "checks", "metrics", "seconds", "peak_bytes", "profile"}
    row_fields |= {"copy", "warnings", "error", "from_cache", "attempts", "key", "signal", "file"}
    assert set(begin) == {"event", "time", "schema", "profile", "jobs", "folder", "lessons"}
    assert set(started) == set(failed) == set(cached) == {"event", "time"} | row_fields
    assert (begin["schema"], begin["lessons"]) == (1, ["week01", "week02"])
    assert (started["status"], started["attempts"], cached["from_cache"]) == ("running", 2, True)
    assert failed["error"]["name"] == "ZeroDivisionError"
    expected = {"event": "cell", "lesson": "week02", "cell": 14, "cells": 32, "seconds": 3.5, "peak_bytes": 5 * 2**20}
    assert {name: value for name, value in cell.items() if name != "time"} == expected
    assert {name: value for name, value in end.items() if name != "time"} == {
        "event": "end",
        "status": "failed",
        "exit_status": 1,
        "seconds": 4.5,
        "report": str(tmp_path / "report.json"),
    }
    assert datetime.fromisoformat(cell["time"]).utcoffset().total_seconds() == 0


def test_an_unknown_log_is_refused():
    with pytest.raises(CourseError, match="--log must be json, not 'xml'"):
        events.listener(Console(file=io.StringIO()), "xml")


def test_a_reader_that_goes_away_does_not_end_the_run(tmp_path):
    script = """
        import sys
        from rich.console import Console
        from course_utils.run.events import listener
        from course_utils.run.report import Row
        one = listener(Console(), "json")
        sys.stdin.readline()
        for _ in range(3):
            one.change(Row("week01", "Title", "week01.ipynb"))
        print("went on", file=sys.stderr)
    """
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    child.stdout.close()
    child.stdin.write("\n")
    child.stdin.close()
    assert (child.stderr.read(), child.wait(60)) == ("went on\n", 0)


@pytest.fixture
def terminal():
    """A console on a real terminal, and a function that gives all that was written to it."""
    ours, theirs = os.openpty()
    os.set_blocking(ours, False)
    with os.fdopen(theirs, "w") as file:
        yield Console(file=file, width=80, height=25, _environ={"TERM": "xterm"}), lambda: _drain(ours)
    os.close(ours)


def _drain(descriptor):
    found = b""
    while True:
        try:
            found += os.read(descriptor, 65536)
        except BlockingIOError:
            return found.decode()


def test_a_terminal_gets_one_table_and_then_the_summary_in_its_place(terminal, tmp_path):
    console, written = terminal
    listener = events.listener(console)
    assert isinstance(listener, live.LiveTable)
    listener.begin(report(tmp_path, WAITING, status="running"), NEEDS)
    listener.change(RUNNING)
    listener.cell("week02", 14, 32, 3.5, 5 * 2**20)
    listener.screen.refresh()
    assert re.search(r"week02.*running.*14/32.*3\.\d.*5 MiB", written())
    listener.end(report(tmp_path, PASSED, status="passed"))
    last = written()
    assert "\x1b[?25h" in last  # the cursor is back
    assert last.rstrip().endswith("report.html")


def test_a_run_that_breaks_off_gives_the_terminal_back(terminal, tmp_path):
    console, written = terminal
    listener = events.listener(console)
    listener.close()
    listener.begin(report(tmp_path, WAITING, status="running"), NEEDS)
    listener.close()
    listener.close()
    assert "\x1b[?25h" in written()


def test_a_run_of_more_lessons_than_lines_shows_those_that_matter():
    lines = [live.Line(replace(PASSED, lesson=f"p{number}")) for number in range(40)]
    lines += [live.Line(replace(RUNNING, lesson="busy"), "1/2", 0.0), live.Line(row("bad", outcome("failed")))]
    console = Console(file=io.StringIO(), width=80)
    console.print(live.drawn(lines, 20, 5.0, {"busy": Need(200.0)}, jobs=2))
    drawn = console.file.getvalue()
    assert "busy" in drawn and "bad" in drawn and "p39" not in drawn
    assert "40 passed · 1 running · 1 failed" in drawn and "about 3 min left" in drawn

"""What a run prints: a line as a notebook starts and ends, four lines for a failure, a table at the end."""

from dataclasses import replace

_LONGEST = 160
_STYLES = {
    "running": "cyan",
    "not run": "dim",
    "passed": "green",
    "failed": "bold red",
    "timeout": "bold red",
    "crashed": "bold red",
}


def started(console, lesson, number, total, attempt, left):
    """One line as a notebook starts; `left` says about how long the run still takes."""
    again = f", attempt {attempt}" if attempt > 1 else ""
    _line(console, f"{lesson}  started ({number} of {total}{again}), {left}", "dim")


def ended(console, row):
    """One line as a notebook ends."""
    how = "from the cache" if row.from_cache else f"after {seconds_text(row)}"
    _line(console, f"{row.lesson}  {row.status} {how}", style(row.status))


def finished(console, report):
    """The failures, four lines each, then the table, and where the report lies."""
    for row in report.failures:
        console.print()
        for line in failure_lines(row):
            _line(console, line, "red")
    console.print()
    console.print(table(report))
    for row in report.lessons:
        for warning in row.warnings:
            _line(console, f"{row.lesson}: {warning}", "yellow")
    if report.containment["kind"] != "namespace":
        _line(console, report.containment["guarantee"], "yellow")
    _line(console, f"Report: {report.folder / 'report.html'}")


def compared(console, path, sentences, rule):
    """How a run differs from the one in the report at `path`, and the rule by which it was judged."""
    _line(console, f"Compared with {path}: {'no difference' if not sentences else ''}".rstrip())
    for sentence in sentences:
        _line(console, f"  {sentence}", "yellow")
    _line(console, rule, "dim")


def failure_lines(row):
    """Lesson, cell number, the cell's first line, the error: exactly four lines."""
    error = row.error
    return (
        f"{row.lesson} {row.status}" + (f" ({', '.join(facts(row))})" if facts(row) else ""),
        f"cell {error.cell if error.cell is not None else 'n/a'}",
        one_line(error.line or "n/a"),
        one_line(f"{error.name}: {error.message}"),
    )


def facts(row):
    """How a result came about, in words: from the cache, after how many attempts, by which signal."""
    found = ["from the cache"] if row.from_cache else []
    found += [f"{row.attempts} attempts"] if row.attempts > 1 else []
    return found + ([ending_text(row)] if row.signal else [])


def ending_text(row):
    """What ended a kernel, and the memory it held at most."""
    sender = ", which Linux sends when memory runs out" if row.signal == "SIGKILL" else ""
    return f"the kernel was ended by {row.signal}{sender}; its peak memory was {peak_text(row)}"


def one_line(text):
    """Text on one line, cut where it is longer than a reader wants."""
    flat = " ".join(text.split())
    return flat if len(flat) <= _LONGEST else flat[: _LONGEST - 1] + "…"


def table(report):
    """The run as a rich table."""
    from rich.table import Table
    from rich.text import Text

    grid = Table("lesson", "result", "checks")
    grid.add_column("seconds", justify="right")
    grid.add_column("peak memory", justify="right")
    for row in report.lessons:
        result = Text(result_text(row), style=style(row.status))
        grid.add_row(Text(row.lesson), result, checks_text(row), seconds_text(row, unit=""), peak_text(row))
    return grid


def result_text(row):
    """The status, how it came about, and how many warnings there are."""
    words = [row.status, *facts(replace(row, signal=None))]
    words += [row.signal] if row.signal else []
    words += [f"{len(row.warnings)} warning{'s' if len(row.warnings) > 1 else ''}"] if row.warnings else []
    return ", ".join(words)


def checks_text(row):
    """The exercises in words; a headless run normally leaves them all blank."""
    if row.checks is None:
        return "n/a"
    if not row.checks["total"]:
        return "no exercises"
    names = (("passed", "passed"), ("not_yet", "not yet"), ("blank", "left blank"))
    return ", ".join(f"{row.checks[key]} {words}" for key, words in names if row.checks[key])


def style(status):
    """The rich style of a status."""
    return _STYLES.get(status, "yellow")


def seconds_text(row, unit=" s"):
    """The wall time, or n/a."""
    return "n/a" if row.seconds is None else f"{row.seconds:.1f}{unit}"


def peak_text(row):
    """Peak resident memory of the kernel, or n/a."""
    return "n/a" if row.peak_bytes is None else bytes_text(row.peak_bytes)


def time_text(seconds):
    """Seconds below two minutes, minutes above."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def bytes_text(count):
    """Bytes in whole MiB, or in GiB."""
    mib = count / 1024**2
    return f"{mib:.0f} MiB" if mib < 1024 else f"{mib / 1024:.2f} GiB"


def _line(console, text, style=None):
    # soft_wrap: a line in a log stays one line, whatever the width of the terminal.
    console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)

"""How long work shows itself: a bar with an estimate in a terminal or a notebook, nothing in a log."""

from contextlib import contextmanager
from functools import partial


@contextmanager
def bar(title, total=None, unit="", done=0):
    """Draw a bar that is gone afterwards; yields `tell(count, total=None)`, which takes how much is done so far.

    Without a `total` the bar shows that work goes on, and for how long. `unit` is "bytes" or a plural such as
    "lessons".
    """
    from rich.console import Console

    console = Console(stderr=True)
    drawn = _in_notebook if console.is_jupyter else _in_terminal if console.is_terminal else _nowhere
    with drawn(title, total, unit, done, console) as tell:
        yield tell


@contextmanager
def _in_notebook(title, total, unit, done, console):
    # Not rich: its bars leave two outputs each in an executed copy.
    from tqdm.auto import tqdm

    options = {"unit": "B", "unit_scale": True} if unit == "bytes" else {"unit": f" {unit}"}
    with tqdm(desc=title, total=total, initial=done, leave=False, **options) as line:
        yield partial(_move, line)


def _move(line, count, total=None):
    if total is not None:
        line.total = total
    line.update(count - line.n)


@contextmanager
def _in_terminal(title, total, unit, done, console):
    from rich.progress import Progress

    # Redirected, what is printed meanwhile would go where the bar goes, and not into a pipe.
    with Progress(*_columns(unit), console=console, transient=True, redirect_stdout=False) as progress:
        task = progress.add_task(title, total=total, completed=done)
        yield lambda count, total=None: progress.update(task, completed=count, total=total)


def _columns(unit):
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    start = (TextColumn("{task.description}"), BarColumn())
    if unit == "bytes":
        return *start, DownloadColumn(), TimeRemainingColumn()
    if unit:
        return *start, MofNCompleteColumn(), TextColumn(unit), TimeRemainingColumn()
    return *start, TimeElapsedColumn()


@contextmanager
def _nowhere(title, total, unit, done, console):
    yield lambda count, total=None: None

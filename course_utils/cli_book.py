"""`course book`: the course as a web site, and what is written from the lessons themselves."""

from pathlib import Path
from typing import Annotated

import typer


def book(
    ctx: typer.Context,
    out: Annotated[Path | None, typer.Option(help="Folder of the site; runs/book by default.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Also load every page in headless Chromium and look for faults.")
    ] = False,
):
    """Make a web site of the lessons that `course run` executed. Nothing runs and nothing is downloaded."""
    from course_utils.book import build

    raise typer.Exit(build.show(out, ctx.find_root().command, check))


def syllabus(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit status 1 where it is stale.")] = False,
):
    """Write syllabus.md from the lessons and from what was measured."""
    from course_utils.book import syllabus as page

    raise typer.Exit(page.show(check))


def new(
    lesson: Annotated[str, typer.Argument(help="Its id, such as week13 or week13b.", show_default=False)],
    title: Annotated[str, typer.Argument(help='Its title, such as "Graphs: who knows whom?".', show_default=False)],
):
    """Make a lesson to write over. Its notebook, exercises and right answers in another style keep the contract."""
    from course_utils.book import new as scaffold

    print(scaffold.show(scaffold.make(lesson, title)))

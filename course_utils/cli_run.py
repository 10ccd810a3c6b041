"""`course run` and `course cache`, and what the commands on lessons share."""

import re
from pathlib import Path
from typing import Annotated

import typer

from course_utils.errors import CourseError

cache_app = typer.Typer(help="What earlier runs left, so that nothing runs twice.", no_args_is_help=True)

TIMEOUT = 900.0  # seconds
_PROSE = re.compile("[a-z] ")
Lessons = Annotated[list[str] | None, typer.Argument(help="week01, 01 or a notebook's file.", show_default=False)]
Profile = Annotated[str | None, typer.Option(help="smoke, cpu, gpu12, gpu16, gpu24; auto by default.")]
Jobs = Annotated[int | None, typer.Option(help="Notebooks at a time; one per core by default.")]
Parameters = Annotated[
    list[str] | None, typer.Option("-p", metavar="NAME=VALUE", help="Set a name of the parameters cell.")
]
Compare = Annotated[Path | None, typer.Option(help="The report.json of an earlier run to set this one against.")]
Mode = Annotated[str, typer.Option(help="How exercises are filled in: blank, reference or mistakes.")]


def run(
    lessons: Lessons = None,
    all: Annotated[bool, typer.Option("--all", help="Every lesson of the course.")] = False,
    profile: Profile = None,
    jobs: Jobs = None,
    parameter: Parameters = None,
    timeout: Annotated[float, typer.Option(help="Deadline for each whole notebook, in seconds.")] = TIMEOUT,
    report: Annotated[Path | None, typer.Option(help="Folder of the report; runs/<time> by default.")] = None,
    mode: Mode = "blank",
    retries: Annotated[int, typer.Option(help="Times to run a notebook again whose kernel died.")] = 0,
    cache: Annotated[bool, typer.Option(help="Take results of lessons of which nothing changed.")] = True,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the newest run that was cut off.")] = False,
    on: Annotated[str | None, typer.Option(help="A Dask scheduler (tcp://host:8786), slurm or kubernetes.")] = None,
    log: Annotated[str | None, typer.Option(help="json: one event a line, for machines.")] = None,
    compare: Compare = None,
):
    """Run lessons headless and report on them. Written are executed copies, report.html, junit.xml and report.json."""
    from course_utils.run import cluster, course
    from course_utils.run.notebook import parse_parameters

    old = _loaded(compare)
    with cluster.joined(on, jobs) as pool:
        shared = {"report_dir": report, "log": log, **cluster.options(pool, cache)}
        if resume:
            _require_nothing_else(lessons, all, profile, jobs, parameter, retries, timeout != TIMEOUT, mode != "blank")
            done = course.resume_course(**shared)
        else:
            done = course.run_course(
                chosen(lessons, all),
                profile=profile,
                parameters=parse_parameters(parameter or []),
                jobs=jobs,
                timeout_seconds=timeout,
                mode=mode,
                retries=retries,
                **shared,
            )
    if old is not None and log is None:
        _show_differences(done, old, compare)
    raise typer.Exit(done.exit_status)


def _loaded(path):
    from course_utils.run import compare

    return compare.load(path) if path else None


def _show_differences(done, old, path):
    from rich.console import Console

    from course_utils.run import compare, show

    show.compared(Console(), path, compare.differences(done, old), compare.RULE)


def _require_nothing_else(*given):
    if any(given):
        raise CourseError(
            "--resume goes on with a run as it was begun. Leave out lessons, --all, --profile, --jobs, --timeout, --mode, "
            "--retries and -p."
        )


@cache_app.command("list", epilog="Example: course cache list")
def cache_list():
    """Show what the cache holds."""
    from course_utils.gpu.device import show_bytes
    from course_utils.run import cache

    held = cache.entries()
    if not held:
        print("The cache is empty. `course run` fills it with lessons that passed.")
        return
    rows = sorted((one.row.lesson, one.number, one) for one in held)
    table(
        ("lesson", "entry", "profile", "seconds", "size", "key"),
        [
            (
                name,
                f"{number}",
                one.row.profile or "n/a",
                f"{one.row.seconds:.1f}",
                show_bytes(one.size_bytes),
                one.row.key[:12],
            )
            for name, number, one in rows
        ],
    )


@cache_app.command("clear", epilog="Example: course cache clear")
def cache_clear():
    """Remove everything from the cache."""
    from course_utils.run import cache

    count = cache.clear()
    print(f"{count} {'entry' if count == 1 else 'entries'} removed.")


@cache_app.command("explain", epilog="Example: course cache explain week03")
def cache_explain(
    lesson: Annotated[str, typer.Argument(help="week01, 01 or a notebook's file.")],
    profile: Profile = None,
    jobs: Jobs = None,
    parameter: Parameters = None,
    mode: Mode = "blank",
):
    """Say why `course run --all` with these options runs a lesson again, ingredient by ingredient."""
    from course_utils.learn import catalog
    from course_utils.run.explain import explain
    from course_utils.run.notebook import parse_parameters

    wanted = catalog.resolve(lesson)
    every = catalog.lessons()
    parameters = parse_parameters(parameter or [])
    rows, verdict = explain(wanted, every if wanted in every else [wanted], profile, parameters, jobs, mode)
    table(("ingredient", "state", "entry", "now"), rows)
    print(verdict)


def chosen(names, everything):
    """The lessons that a command names, or all; CourseError where it names none or says both."""
    from course_utils.learn import catalog

    if bool(names) == bool(everything):
        raise CourseError("Name the lessons, for example `course run week01`, or give --all, but not both.")
    return catalog.lessons() if everything else [catalog.resolve(name) for name in names]


def table(columns, rows):
    """Print rows under their columns' names; where they are too wide prose breaks first, and nothing is cut off."""
    from rich.console import Console
    from rich.table import Table

    console, grid = Console(), Table(box=None, pad_edge=False)
    cells = list(zip(columns, *rows, strict=True))
    least = sum(max(map(_least, one)) for one in cells) + 2 * len(cells)
    for name, *rest in cells:
        # A number keeps its unit and a name stays whole, unless that would leave prose too little.
        whole = least <= console.width and not any(_PROSE.search(one) for one in rest)
        grid.add_column(name, overflow="fold", no_wrap=whole)
    for row in rows:
        grid.add_row(*row)
    console.print(grid)


def _least(cell):
    """Characters that a cell needs in a line: its longest word where it is prose."""
    return max(map(len, cell.split()), default=0) if _PROSE.search(cell) else len(cell)

"""The command `course`: each command is a thin call into the package.

Exit status: 0 done, 1 something failed (a lesson, a lint rule, a corrupted asset), 2 wrong use.
"""

import errno
import io
import os
import sys
from typing import Annotated

import typer

from course_utils import cli_book, cli_run, cli_teach
from course_utils.cli_run import Lessons, chosen, table
from course_utils.errors import CourseError

app = typer.Typer(
    help="A deep-learning course for one 12 GB graphics card.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
assets_app = typer.Typer(help="The data sets and models of the course.", no_args_is_help=True)
app.add_typer(assets_app, name="assets")
app.add_typer(cli_run.cache_app, name="cache")

INTERRUPTED = 130  # the exit status after Ctrl-C
STOPPED = "course: stopped. Nothing is half-written and what was finished is kept: the same command goes on from there."
UNWRITTEN = "course: The output cannot be written: {}. Make room, or send it elsewhere."
OWN_PROCESS = "own process"  # what typer's context holds when `main` runs the command, not a test

Names = Annotated[
    list[str] | None, typer.Argument(help="Names of assets; all of them if left out.", show_default=False)
]


def main():
    """Run the command line; a CourseError becomes one sentence and exit status 2, a full disk 1, Ctrl-C 130."""
    _take_any_stream()
    try:
        app(prog_name="course", obj=OWN_PROCESS)
    except CourseError as error:
        print(f"course: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        print(UNWRITTEN.format(error.strerror), file=sys.stderr)
        sys.exit(1)
    except (KeyboardInterrupt, SystemExit) as ending:  # typer turns the first into the second
        status = getattr(ending, "code", INTERRUPTED)
        if status == INTERRUPTED:
            print(STOPPED, file=sys.stderr)
        sys.exit(status)
    finally:
        _let_go_of_the_pipe()


def _take_any_stream():
    """Let a closed stream take everything, and one of few characters take `?` for the others."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, io.StringIO())
        else:
            stream.reconfigure(errors="replace")


def _let_go_of_the_pipe():
    """Say nothing where what reads our output has seen enough, as `head` has, or took as much as it could."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@app.command(epilog="Example: course lab")
def lab():
    """Open JupyterLab in the notebooks' folder."""
    from course_utils.learn.paths import project_dir

    os.chdir(project_dir() / "notebooks")
    # OpenMP threads that spin while they wait starve one another on a busy machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.execv(sys.executable, [sys.executable, "-m", "jupyter", "lab"])


@app.command("list", epilog="Example: course list")
def list_lessons():
    """Show every lesson with its title, minutes and what it needs."""
    from course_utils.learn import catalog, passport

    rows = []
    for lesson in catalog.lessons():
        papers = passport.read(lesson.path)
        rows.append((lesson.id, papers.title, f"{papers.minutes}", "GPU or CPU" if papers.gpu else "CPU"))
    table(("lesson", "title", "minutes", "runs on"), rows)


@app.command(epilog="Example: course progress")
def progress():
    """Show how far you are: every exercise you have tried."""
    from course_utils.learn import progress as records

    rows = records.table()
    if not rows:
        print("Nothing yet. Open a lesson with `course lab` and run a check cell.")
        return
    columns = ("exercise", "latest", "best", "points", "attempts")
    cells = [[*(str(getattr(row, one)) for one in columns), f"{row.when.astimezone():%Y-%m-%d}"] for row in rows]
    table((*columns, "when"), cells)


@app.command(epilog="Example: course doctor --json")
def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON, without names and paths.")] = False):
    """Say what is wrong with this machine, or what it can run. Exit status: 0 healthy, 1 with limits, 2 broken."""
    from course_utils.gpu.doctor import doctor as surgery
    from course_utils.learn import profiles

    print("Some seconds of real work, to see what this machine does …", file=sys.stderr)
    report = surgery.examine(_lessons_for_doctor(), lambda card: profiles.choose("auto", lambda: card))
    if as_json:
        import json

        print(json.dumps(surgery.as_dict(report), indent=1))
    else:
        surgery.show(report)
    raise typer.Exit(report.diagnosis.status)


@app.command(epilog="Example: course plan llama-3.1-8b --quant nf4 --context 8192")
def plan(
    ctx: typer.Context,
    model: Annotated[str, typer.Argument(help="A model's name, the path of a config.json, or a lesson.")],
    train: Annotated[bool, typer.Option("--train", help="Train every weight.")] = False,
    lora: Annotated[bool, typer.Option("--lora", help="Train adapters.")] = False,
    qlora: Annotated[bool, typer.Option("--qlora", help="Train adapters on 4-bit weights.")] = False,
    quant: Annotated[str | None, typer.Option(help="nf4, nf4-dq, fp4, int8, or a GGUF type such as Q4_K_M.")] = None,
    dtype: Annotated[str | None, typer.Option(help="fp16, bf16 or fp32.")] = None,
    attention: Annotated[str | None, typer.Option(help="eager, sdpa or flash.")] = None,
    rank: Annotated[int | None, typer.Option(help="Rank of the adapters.")] = None,
    target_modules: Annotated[str | None, typer.Option(help="all-linear, or names such as q,v.")] = None,
    batch: Annotated[int | None, typer.Option(help="Examples a step.")] = None,
    seq: Annotated[int | None, typer.Option(help="Tokens of a training example.")] = None,
    context: Annotated[int | None, typer.Option(help="Tokens of prompt and answer.")] = None,
    cache: Annotated[str | None, typer.Option(help="KV cache: dynamic, static, fp8, int4 or int2.")] = None,
    size: Annotated[int | None, typer.Option(help="Side of a picture in pixels.")] = None,
    optimizer: Annotated[str | None, typer.Option(help="adamw, adamw-8bit, paged-adamw-8bit, sgd, adafactor.")] = None,
    accumulate: Annotated[int | None, typer.Option(help="Batches whose gradients are added up for a step.")] = None,
    checkpointing: Annotated[bool, typer.Option("--checkpointing", help="Gradient checkpointing.")] = False,
    amp: Annotated[bool, typer.Option("--amp", help="Autocast: mixed precision.")] = False,
    offload: Annotated[str | None, typer.Option(help="model or sequential: weights wait in RAM.")] = None,
    slicing: Annotated[bool, typer.Option("--slicing", help="Decode one picture at a time.")] = False,
    tiling: Annotated[bool, typer.Option("--tiling", help="Decode pictures in tiles.")] = False,
    card: Annotated[
        str | None, typer.Option(help='A GeForce card, such as "RTX 4070 Ti"; this one if left out.')
    ] = None,
    cap: Annotated[float | None, typer.Option(help="Plan for a card of that many GB.")] = None,
    desktop_gib: Annotated[float | None, typer.Option(help="Left to the desktop; 0.8 by default.")] = None,
    context_mib: Annotated[float | None, typer.Option(help="The CUDA context, in place of the measured one.")] = None,
    largest: Annotated[str | None, typer.Option("--max", help="batch, context or rank: the largest that fits.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
):
    """Say whether a model fits on a card, by tracing its real step. No weights are loaded for that."""
    from course_utils.gpu.plan import command
    from course_utils.learn import passport

    command.run(
        locals(), lambda lesson: passport.read(passport.find_notebook(lesson)).vram, slim=ctx.obj == OWN_PROCESS
    )


# In the order in which the help shows them: above what a learner types, here what a validator and an instructor do.
app.command(epilog="Example: course run week01 --profile smoke -p SEED=3")(cli_run.run)


@app.command(epilog="Example: course lint week01")
def lint(
    lessons: Lessons = None,
    api: Annotated[
        bool, typer.Option("--api", help="Check their calls against the installed libraries instead.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="With --api: list the calls it cannot check.")] = False,
):
    """Check lessons against the lesson contract without running them."""
    from course_utils.run import api as libraries
    from course_utils.run import validate

    files = chosen(lessons, not lessons)
    raise typer.Exit(libraries.show(files, verbose) if api else validate.show(files))


app.command(epilog="Example: course book --out site")(cli_book.book)
app.command(epilog="Example: course syllabus --check")(cli_book.syllabus)
app.command(epilog='Example: course new week13 "Graphs: who knows whom?"')(cli_book.new)
app.command(epilog="Example: course assign week03 --out week03.zip")(cli_teach.assign)
app.command(epilog="Example: course handout week03")(cli_teach.handout)
app.command(epilog="Example: course grade --key week03.key submissions/ --out grades.csv")(cli_teach.grade)


def _lessons_for_doctor():
    from course_utils.gpu.device import missing_packages
    from course_utils.gpu.doctor.doctor import Lesson
    from course_utils.learn import catalog, passport

    for lesson in catalog.lessons():
        papers = passport.read(lesson.path)
        missing = tuple(missing_packages(papers.extra) or ()) if papers.extra else ()
        estimate = (papers.vram or {}).get("estimated_bytes")
        yield Lesson(lesson.id, papers.title, papers.gpu, estimate, papers.extra, missing)


@assets_app.command("list", epilog="Example: course assets list")
def assets_list():
    """Show every asset with its size, licence and whether it is here."""
    from course_utils.gpu.device import show_bytes
    from course_utils.learn import assets

    rows = [(one.name, one.title, show_bytes(one.size_bytes), one.state, one.licence) for one in assets.listing()]
    table(("asset", "title", "size", "state", "licence"), rows)


@assets_app.command("fetch", epilog="Example: course assets fetch ames")
def assets_fetch(names: Names = None, force: Annotated[bool, typer.Option(help="Replace a cached copy.")] = False):
    """Bring assets into the cache, checked against their sha256."""
    from course_utils.learn import assets

    failures = []
    for name in names or assets.ASSETS:
        try:
            paths = assets.fetch(name, force=force)
            print(f"{name}: {', '.join(map(str, paths if isinstance(paths, tuple) else (paths,)))}")
        except CourseError as error:  # the other assets may be had all the same
            failures.append(str(error))
    if failures:
        raise CourseError("\n".join(failures))


@assets_app.command("verify", epilog="Example: course assets verify")
def assets_verify(names: Names = None):
    """Read every byte of the assets that are here and compare the sha256."""
    from course_utils.learn import assets

    states = assets.verify(names)
    wrong = ("corrupted", "missing")
    for asset, state in states:
        print(f"{asset.name}: {state}" + f"; {assets.mended_by(asset)} brings a good copy" * (state in wrong))
    raise typer.Exit(1 if any(state in wrong for _, state in states) else 0)

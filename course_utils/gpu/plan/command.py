"""What `course plan` does: request, card, plan, remedies, answer."""

import re
import time
import warnings
from dataclasses import fields

from course_utils.bars import bar
from course_utils.errors import CourseError
from course_utils.gpu.plan import card, history, imports, presets, remedies, search, show, tracing, verdict
from course_utils.gpu.plan.request import SIZES, Request, parse

TASKS = ("train", "lora", "qlora")
LESSON = re.compile(r"week\d+[a-z]?(_\w+)?|\d\d[a-z]?")


def run(given, vram_of, slim=False):
    """Answer the command line's values in `given`; `vram_of(lesson)` gives the VRAM entry of a lesson's passport.

    `slim` as for `imports.bring`.
    """
    options = {one.name: given[one.name] for one in fields(Request)[1:] if given.get(one.name)}
    tasks = [name for name in TASKS if given[name]]
    if len(tasks) > 1:
        raise CourseError(f"--{' and --'.join(tasks)} exclude one another: give one of them.")
    if tasks:
        options["task"] = tasks[0]
    for name in ("cap", "desktop_gib", "context_mib", *SIZES):  # 0 is a value, which the request judges
        if given[name] is not None:
            options[name] = given[name]
    model, line = given["model"], None
    if LESSON.fullmatch(model):
        line = of_lesson(model, vram_of(model))
    try:
        answer(model, line, given["as_json"], given["largest"], slim, **options)
    except CourseError as error:
        raise CourseError(as_typed(str(error))) from error


def as_typed(message):
    """A message on `batch=0` or `cap(9)`, which a notebook may show, as one on `--batch 0` and `--cap 9`."""
    names = "|".join(one.name for one in fields(Request)[1:])
    message = re.sub(r"\bcap\(([^)]*)\)", r"--cap \1", message)
    typed = re.compile(rf"\b({names})=('[^']*'|[\w.+-]*\w)")
    return typed.sub(lambda found: f"--{found[1].replace('_', '-')} {found[2].strip(chr(39))}", message)


def answer(model, lesson_plan=None, as_json=False, largest=None, slim=False, **options):
    """Print the plan of a model with those options (fields of `Request`); `lesson_plan` replaces it by a lesson's line.

    `largest` is "batch", "context" or "rank": the largest that fits is printed, too. Raises CourseError for wrong use.
    """
    started = time.perf_counter()
    request = parse(lesson_plan).but(**options) if lesson_plan else Request(model, **options)
    plan, found, value, imported = _planned(request, largest, slim)
    seconds = time.perf_counter() - started
    if as_json:
        import json

        extra = {f"max_{largest}": value} if largest else {}
        print(json.dumps(show.as_dict(plan, found, seconds, imported) | extra, indent=1))
        return
    print(show.as_text(plan, found, seconds, imported))
    if largest:
        print(f"The largest {largest} that fits: {value}.")


def _planned(request, largest, slim):
    """The plan, its remedies, the largest value that fits (None unless asked for), and what was imported."""
    preset = presets.find(request.model)
    with warnings.catch_warnings(), tracing.quiet(imports.REGRETS):
        warnings.simplefilter("ignore")
        with bar(f"tracing {request.model}, some seconds"):  # importing takes most of them, and tells no steps
            imported = imports.bring(preset, request, slim)
            target = card.target(request, history.context() or card.measured())
            plan = verdict.plan(request, target) if largest is None else None
        value = None
        if largest is not None:
            value, plan = search.largest(largest, request, target)
        return plan, remedies.find(request, plan), value, imported


def of_lesson(lesson, vram):
    """The plan line of a lesson, from its passport's `vram`; raises CourseError with a sentence where it has none."""
    if vram is None:
        raise CourseError(f"{lesson} needs no GPU, so there is nothing to plan.")
    if not vram.get("plan"):
        raise CourseError(
            f"{lesson} names no plan in its passport (metadata.course.vram.plan). Plan a model: `course plan llama-3.1-8b --quant nf4`."
        )
    return vram["plan"]

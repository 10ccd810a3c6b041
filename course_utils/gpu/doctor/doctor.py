"""The doctor: one verdict line, one cause, one command to paste, then the details."""

import textwrap
from dataclasses import asdict, dataclass

from course_utils.gpu.device import Card, show_bytes
from course_utils.gpu.doctor.causes import Diagnosis, diagnose
from course_utils.gpu.doctor.details import plan_bytes, sections
from course_utils.gpu.doctor.facts import Facts
from course_utils.gpu.doctor.limits import against_sheet
from course_utils.gpu.doctor.readings import gather
from course_utils.gpu.doctor.redact import redact

WIDTH = 92  # characters that a notebook shows without breaking the line


@dataclass(frozen=True)
class Lesson:
    """What the doctor needs to know of a lesson: `vram_bytes` its estimate, `missing` the packages of its extra."""

    id: str
    title: str
    uses_gpu: bool
    vram_bytes: int | None
    extra: str | None
    missing: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """The facts, the diagnosis, and (lesson, profile, words) for each lesson that was asked about."""

    facts: Facts
    diagnosis: Diagnosis
    lessons: tuple[tuple[Lesson, str, str], ...]


def doctor():
    """Print what this machine has, what is wrong with it, and the one command that mends it."""
    show(examine())


def examine(lessons=(), choose=None, facts=None):
    """Read this machine and judge it; takes some seconds of real work.

    `choose` turns a `Card` or None into an object with `profile` and `reason`; it is needed only
    with `lessons`. Made-up `facts` may be given instead of this machine's.
    """
    facts = facts or gather()
    return Report(facts, diagnose(facts), tuple(judge(one, facts, choose) for one in lessons))


def judge(lesson, facts, choose):
    """(lesson, profile, words): whether this machine runs a lesson, and with which profile."""
    profile = choose(usable_card(facts)).profile
    words = []
    if lesson.missing:
        words.append(f"first `make extra NAME={lesson.extra}`")
    if not lesson.uses_gpu:
        return lesson, profile, "; ".join([*words, "runs; needs no GPU"])
    if not profile.startswith("gpu"):
        return lesson, profile, "; ".join([*words, "runs on the CPU with smaller sizes"])
    plan, need = plan_bytes(facts), lesson.vram_bytes
    if need is None or plan is None:
        words.append("runs on the card; its memory is not estimated yet")
    elif need <= plan:
        words.append(f"runs on the card: needs {show_bytes(need)} of {show_bytes(plan)}")
    else:
        words.append(f"needs {show_bytes(need)}, {show_bytes(plan)} are there: free the card, or take PROFILE=cpu")
    return lesson, profile, "; ".join(words)


def usable_card(facts):
    """The card as the choice of a profile needs it, or None where real work on it did not succeed."""
    if not facts.card_works or facts.work.total_bytes is None:
        return None
    return Card(facts.work.card or "the card", facts.work.total_bytes, facts.work.plan_bytes, facts.driver.version)


def show(report):
    """Print a report."""
    print(text(report))


def text(report):
    """The report for reading."""
    told = report.diagnosis
    lines = [told.verdict, *_row("Cause", told.cause, 9), f"Command  {told.command}"]
    for limit in told.limits:
        lines += ["", *_row("Also", f"{limit.name}: {limit.cause}", 9), f"Command  {limit.command}"]
    groups = sections(report.facts)
    if report.lessons:
        rows = [(one.id, f"{profile:<6} {words}") for one, profile, words in report.lessons]
        groups.append(("Lessons, each with its profile on this machine", rows))
    for heading, rows in groups:
        lines += ["", heading, *(line for label, words in rows for line in _row(f"  {label}", words, 29))]
    return "\n".join(lines)


def _row(label, words, width):
    indent = " " * width
    return textwrap.wrap(words, WIDTH, initial_indent=label.ljust(width - 1) + " ", subsequent_indent=indent) or [label]


def as_dict(report):
    """The report for JSON: sizes in bytes, None for what could not be read, nothing that tells who or where."""
    facts = redact(report.facts)
    lessons = [{**asdict(one), "profile": profile, "runs": words} for one, profile, words in report.lessons]
    sheet = [dict(zip(("name", "achieved", "published", "share"), row, strict=True)) for row in against_sheet(facts)]
    return {
        **asdict(diagnose(facts)),
        **asdict(facts),
        "plan_bytes": plan_bytes(facts),
        "data_sheet": sheet,
        "lessons": lessons,
    }

"""`syllabus.md`, written from the lessons' passports, from what their runs took, and from what was measured on a card.

`planned.toml` beside this module has the lessons to come, `syllabus_template.md` the prose around the table.
"""

import tomllib
from dataclasses import astuple, dataclass
from pathlib import Path
from string import Template

from course_utils.book.memory import table
from course_utils.learn import catalog, passport
from course_utils.learn.measured import NOT_YET, measured_text
from course_utils.learn.paths import project_dir, write_atomically
from course_utils.run import history
from course_utils.run.show import bytes_text

HERE = Path(__file__).parent
COLUMNS = ("lesson", "you build", "hours", "before it", "on a CPU: time, RAM", "on a 12 GB card: VRAM", "state")
STALE = "syllabus.md does not say what the lessons and the measurements say. Type `course syllabus`."


@dataclass(frozen=True)
class Row:
    """A lesson's line of the table: what each of `COLUMNS` says."""

    lesson: str
    build: str
    hours: str
    before: str
    cpu: str
    vram: str
    state: str


def show(check):
    """Write `syllabus.md`, or with `check` only say whether it is stale; the exit status."""
    new, path = text(), _path()
    old = path.read_text(encoding="utf-8") if path.is_file() else None
    if check:
        print("syllabus.md is up to date." if new == old else STALE)
        return 0 if new == old else 1
    if new != old:
        write_atomically(path, new)
    print(f"{path}: {'unchanged' if new == old else 'written'}")
    return 0


def text(folder=None, shipped=None):
    """The whole syllabus as it should be; of the clone's lessons and of `costs.json` unless others are given."""
    files, shipped = catalog.lessons(folder), shipped or history.shipped()
    papers = {one: passport.read(one.path) for one in files}
    costs = {one: shipped.costs.get((one.id, "cpu"), history.Cost(None, None)) for one in files}
    rows = dict(_planned()) | {one.id: _ready(one, papers[one], costs[one]) for one in files}
    listed = [astuple(rows[id]) for id in sorted(rows, key=lambda id: (not id.startswith("week"), id))]
    facts = {
        "ready": len(files),
        "hours": f"{sum(one.minutes for one in papers.values()) / 60:.0f}",
        "cores": shipped.cores,
        "dates": ", ".join(shipped.dates),
        "slowest": _time(max((one.seconds or 0 for one in costs.values()), default=0)),
    }
    template = Template((HERE / "syllabus_template.md").read_text(encoding="utf-8"))
    return template.substitute(facts, table=table(COLUMNS, listed))


def _ready(lesson, papers, cost):
    return Row(
        lesson=f"[{papers.title}](notebooks/{lesson.path.name})",
        build=papers.build,
        hours=f"{papers.minutes / 60:.2g}",
        before="; ".join(one.partition(":")[0] for one in papers.prerequisites),
        cpu=f"{_time(cost.seconds)}, {bytes_text(cost.peak_bytes)}" if cost.seconds else NOT_YET,
        vram=_vram(papers.vram),
        state="**ready**",
    )


def _vram(vram):
    if vram is None:
        return "none needed"
    estimate = vram.get("estimated_bytes")
    measured = measured_text(vram.get("measured"))
    return f"{bytes_text(estimate)} estimated; {measured}" if estimate else measured


def _planned():
    content = tomllib.loads((HERE / "planned.toml").read_text(encoding="utf-8"))
    for one in content["lesson"]:
        facts = (one["title"], one["build"], one["hours"], one["before"])
        yield one["id"], Row(*facts, cpu="–", vram="–", state="planned")


def _time(seconds):
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def _path():
    return project_dir() / "syllabus.md"

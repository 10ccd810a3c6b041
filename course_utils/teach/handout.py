"""`course handout`: one page for an instructor who gives a lesson as a class."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from course_utils.errors import CourseError
from course_utils.learn import catalog, passport
from course_utils.learn.attempt import cases_of
from course_utils.learn.credit import credit, earned_by_constant
from course_utils.learn.exercise import Exercise
from course_utils.learn.paths import write_atomically
from course_utils.learn.verdict_html import prose
from course_utils.run import notebook as notebook_file
from course_utils.run.modes import places
from course_utils.run.notebook import source
from course_utils.teach import slides, timing
from course_utils.teach.cases import drawn
from course_utils.teach.own import DIFFICULTY


@dataclass(frozen=True)
class Graded:
    """An exercise as the page shows it; `mistakes` are HTML, `rule` says what earns part of the points."""

    exercise: Exercise
    level: str
    rule: str
    mistakes: Sequence[str]


def write(lesson, out=None):
    """Write the page and return a sentence that says where; `out` is LESSON.html unless given.

    Raises CourseError for an unknown lesson, and where the file exists or cannot be written.
    """
    found = catalog.resolve(lesson)
    out = Path(out or f"{found.id}.html")
    if out.exists():
        raise CourseError(f"{out} exists. Choose another --out, or move it away.")
    if not out.parent.is_dir():
        raise CourseError(f"There is no folder {out.parent}. Make it first, or choose another --out.")
    page = render(found)
    try:
        write_atomically(out, page)
    except OSError as error:
        raise CourseError(f"{out} cannot be written: {error.strerror}. Choose another --out.") from None
    return f"{out}: open it in a browser; printing it gives one slide a sheet."


def render(lesson):
    """The page of a `LessonFile` as a string; everything that comes from a notebook is escaped."""
    import jinja2

    content = notebook_file.load(lesson.path)
    papers, found = passport.read(lesson.path), slides.sections(content)
    by_cell = [(content["cells"][place.check], place.exercise) for place in places(content, lesson.id)]
    lines = [(one.title, one.words, _exercises(one, by_cell)) for one in found]
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = Path(__file__).with_name("handout.html.jinja").read_text(encoding="utf-8")
    return environment.from_string(template).render(
        papers=papers,
        build=slides.html(papers.build),
        objectives=[slides.html(one) for one in papers.objectives],
        timing=timing.plan(lines),
        graded=[_graded(exercise) for _, exercise in by_cell],
        total=sum(exercise.points for _, exercise in by_cell),
        slides=[slides.slide(one) for one in found if one.title != "Recap"],
        clock=lambda minutes: f"{minutes // 60}:{minutes % 60:02d}",
    )


def _exercises(section, by_cell):
    texts = [source(cell) for cell in section.cells]
    return [exercise for cell, exercise in by_cell if source(cell) in texts]


def _graded(exercise):
    told = [prose(mistake.message) for mistake in exercise.mistakes]
    return Graded(exercise, DIFFICULTY[exercise.difficulty], _rule(exercise), told)


def _rule(exercise):
    """What part of the cases earns, by the very rule of grading."""
    cases = drawn(exercise, 0)
    alone, count = earned_by_constant(exercise, cases, cases_of(exercise)), len(cases)
    if count - alone < 2:
        return f"All or nothing: {count} cases, of which a constant or a table of answers gets {alone}."
    step = credit([True] * (alone + 1) + [False] * (count - alone - 1), alone, exercise.points)
    return f"{count} cases. Beyond the {alone} that a constant or a table gets, each brings {step:g}."

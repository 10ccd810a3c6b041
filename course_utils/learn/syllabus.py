"""The column of `syllabus.md` that is measured: each lesson's video memory."""

from course_utils.learn import catalog, passport
from course_utils.learn.measured import measured_text
from course_utils.learn.paths import project_dir, write_atomically

COLUMN = "on a 12 GB card (VRAM)"


def path():
    """The syllabus of this clone."""
    return project_dir() / "syllabus.md"


def refresh():
    """Write the column anew, from the notebooks' passports and the results in `benchmarks/results/`."""
    write_atomically(path(), refreshed(path().read_text(encoding="utf-8"), vram_by_lesson()))


def vram_by_lesson():
    """What the column says of each lesson that has a notebook, by its file's name without the ending."""
    return {one.path.stem: _words(passport.read(one.path)) for one in catalog.lessons()}


def _words(papers):
    return measured_text(papers.vram.get("measured")) if papers.vram else "none needed"


def refreshed(text, vram):
    """The syllabus with the column set for the lessons in `vram`; other rows and lines stay as they are.

    Raises ValueError where no table has the column, and where a lesson has no row in it.
    """
    lines = text.splitlines(keepends=True)
    head = next((number for number, line in enumerate(lines) if COLUMN in line), None)
    if head is None:
        raise ValueError(f"syllabus.md has no column {COLUMN!r}")
    column = _cells(lines[head]).index(COLUMN)
    rows = {_lesson(lines[number]): number for number in range(head + 2, _end(lines, head))}
    missing = sorted(set(vram) - set(rows))
    if missing:
        raise ValueError(f"syllabus.md has no row for {', '.join(missing)}")
    for lesson, words in vram.items():
        cells = _cells(lines[rows[lesson]])
        lines[rows[lesson]] = f"| {' | '.join([*cells[:column], words, *cells[column + 1 :]])} |\n"
    return "".join(lines)


def _cells(line):
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def _end(lines, head):
    return next((number for number in range(head, len(lines)) if not lines[number].startswith("|")), len(lines))


def _lesson(line):
    return _cells(line)[0].partition("]")[0].lstrip("[")

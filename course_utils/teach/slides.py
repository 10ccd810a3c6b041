"""The slides of a lesson: a section's heading, its first sentences, its first formula and its first short code."""

import re
from dataclasses import dataclass

from course_utils.run.notebook import source
from course_utils.teach.formula import drawn

LINES = 12
SENTENCES = 2
_SKIPPED = (
    "course.check",
    "raise NotImplementedError",
    "course.start",
    "PROFILE =",
    "lesson.finish",
    "plots.",
    "plt.",
    "guess",
)


@dataclass(frozen=True)
class Section:
    """What stands under one `##` heading: its cells as plain data."""

    title: str
    cells: tuple[dict, ...]

    @property
    def words(self):
        """Words of prose, which is what takes time to explain."""
        return sum(len(re.findall(r"\w+", source(cell))) for cell in self.cells if cell["cell_type"] == "markdown")


@dataclass(frozen=True)
class Slide:
    """One slide, everything but the code as HTML."""

    title: str
    text: str
    formula: str
    code: str


def sections(notebook):
    """The `Section`s of a notebook; what comes before the first heading belongs to none."""
    found = []
    for cell in notebook["cells"]:
        heading = re.search(r"^## (.+)$", source(cell), re.MULTILINE) if cell["cell_type"] == "markdown" else None
        if heading:
            found.append([heading[1].strip(), []])
            cell = cell | {"source": source(cell)[heading.end() :]}
        if found:
            found[-1][1].append(cell)
    return tuple(Section(title, tuple(cells)) for title, cells in found)


def slide(section):
    """The slide of one section."""
    prose = "\n\n".join(source(cell) for cell in section.cells if cell["cell_type"] == "markdown")
    prose = prose.partition("\n### ")[0]
    formula = re.search(r"\$\$.+?\$\$", prose, re.DOTALL)
    return Slide(
        html(section.title), html(_first_sentences(prose)), html(formula[0]) if formula else "", _code(section.cells)
    )


def html(markdown):
    """Prose of a lesson as HTML, its formulas drawn; a single paragraph without its tags."""
    from nbconvert.filters.markdown_mistune import markdown2html_mistune

    made = drawn(markdown2html_mistune(markdown).strip())
    return made.removeprefix("<p>").removesuffix("</p>") if made.count("<p>") == 1 else made


def _first_sentences(prose):
    """The first sentences of the first paragraph that is plain prose."""
    for block in re.split(r"\n\s*\n", prose):
        text = " ".join(block.split())
        if text and not re.match(r"[#>|<!$*-]\s|\$\$|\||<|!\[|\d+\. |```", text):
            return " ".join(re.split(r"(?<=[.!?])\s+(?=[A-Z`*$])", text)[:SENTENCES])
    return ""


def _code(cells):
    for cell in cells:
        text = source(cell).strip()
        short = cell["cell_type"] == "code" and 0 < len(text.splitlines()) <= LINES
        if short and not any(words in text for words in _SKIPPED):
            return text
    return ""

"""A notebook as the rules of the lesson contract see it: cells with their tags and syntax trees."""

import ast
import functools
import re
from dataclasses import dataclass

from course_utils.learn.catalog import lesson_of
from course_utils.run import notebook as notebook_file


@dataclass(frozen=True)
class Problem:
    """A broken rule; `cell` counts all cells from 1 and is None where the whole notebook is meant."""

    rule: str
    text: str
    cell: int | None = None


def print_problems(name, problems):
    """Print the problems of a notebook, one a line; how many there are."""
    for one in problems:
        where = f"cell {one.cell}" if one.cell else "notebook"
        print(f"{name}: {where}: {one.rule}: {one.text}")
    return len(problems)


@dataclass(frozen=True)
class Cell:
    """A cell with what the rules ask of it; `tree` is None in markdown and where the code does not parse."""

    number: int
    kind: str
    source: str
    tags: frozenset
    outputs: tuple
    count: int | None
    tree: ast.Module | None

    @property
    def lines(self):
        return len(self.source.splitlines())


@dataclass(frozen=True)
class Notebook:
    """A notebook as the rules see it."""

    lesson: str
    metadata: dict
    cells: tuple[Cell, ...]

    @property
    def code(self):
        return [cell for cell in self.cells if cell.kind == "code"]

    @property
    def markdown(self):
        return [cell for cell in self.cells if cell.kind == "markdown"]

    def calling(self, name):
        """The code cells that call `name`."""
        return [cell for cell in self.code if calls(cell, name)]

    def has_heading(self, words):
        """Whether a markdown heading holds these words, in any case."""
        pattern = rf"^#+ .*{re.escape(words)}"
        return any(re.search(pattern, cell.source, re.MULTILINE | re.IGNORECASE) for cell in self.markdown)

    @property
    def prose_words(self):
        """Words a learner reads: markdown without code, formulas, tables and link addresses."""
        text = "\n".join(cell.source for cell in self.markdown)
        for pattern in (r"(?s)```.*?```", r"(?s)\$\$.*?\$\$", r"\$[^$\n]+\$", r"(?m)^\|.*$", r"\]\([^)]*\)"):
            text = re.sub(pattern, " ", text)
        return len(re.findall(r"\w[\w'’-]*", text))


def load(path):
    """Read a notebook for the rules."""
    raw = notebook_file.load(path)
    cells = tuple(_cell(number, cell) for number, cell in enumerate(raw["cells"], start=1))
    return Notebook(lesson_of(path).id, raw["metadata"], cells)


def _cell(number, raw):
    source = notebook_file.source(raw)
    tags = frozenset(notebook_file.tags(raw))
    tree = parse(source) if raw["cell_type"] == "code" else None
    return Cell(number, raw["cell_type"], source, tags, tuple(raw.get("outputs", ())), raw.get("execution_count"), tree)


def parse(source):
    plain = re.sub(r"^\s*[%!].*$", "pass", source, flags=re.MULTILINE)
    try:
        return ast.parse(plain)
    except SyntaxError:
        return None


def calls(cell, name):
    """The calls of `name` (such as "course.check" or "print") in a code cell."""
    return calls_in(cell.source, name) if cell.tree else []


def calls_in(source, name):
    """The same in the source of a code cell; nobody changes these nodes."""
    return [node for called, node in _named_calls(source) if called == name]


@functools.lru_cache(maxsize=2000)  # every rule asks again of the same cells
def _named_calls(source):
    tree = parse(source)
    nodes = ast.walk(tree) if tree else ()
    return tuple((ast.unparse(node.func), node) for node in nodes if isinstance(node, ast.Call))

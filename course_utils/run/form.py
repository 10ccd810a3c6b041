"""The lesson contract, second half: the form that keeps a notebook readable and clean."""

import ast
import re
import statistics

from course_utils.run.cells import Problem, calls

WORDS = (1200, 2800)
KEPT = {"keep_output", "nbval-check-output"}


def has_measured_prose(notebook):
    """1,200–2,800 words, and never more than two code cells in a row without prose."""
    words = notebook.prose_words
    found = []
    if not WORDS[0] <= words <= WORDS[1]:
        found.append(Problem("prose", f"{words} words; {WORDS[0]} to {WORDS[1]} are allowed"))
    kinds = "".join(cell.kind[0] for cell in notebook.cells)
    return found + [
        Problem("prose", "a third code cell without prose", m.end()) for m in re.finditer("(?<!c)ccc", kinds)
    ]


def has_short_cells(notebook):
    """Code cells: median at most 6 lines, nine in ten at most 18, none over 30."""
    sizes = [cell.lines for cell in notebook.code] or [0]
    found = [Problem("cells", f"{c.lines} lines; 30 are allowed", c.number) for c in notebook.code if c.lines > 30]
    if statistics.median(sizes) > 6:
        found.append(Problem("cells", f"the median code cell has {statistics.median(sizes)} lines; 6 are allowed"))
    if sum(size <= 18 for size in sizes) < 0.9 * len(sizes):
        found.append(Problem("cells", "fewer than nine in ten code cells have at most 18 lines"))
    return found


def has_figures(notebook):
    """At least five figures with alternative text, two of them tagged "concept"."""
    shown = [(cell, call) for cell in notebook.code for call in calls(cell, "plots.show")]
    found = [
        Problem("figures", "plots.show needs alt= with a sentence", cell.number)
        for cell, call in shown
        if not any(word.arg == "alt" and _describes(word.value) for word in call.keywords)
    ]
    concepts = sum("concept" in cell.tags for cell, _ in shown)
    if len(shown) < 5 or concepts < 2:
        found.append(Problem("figures", f"{len(shown)} figures, {concepts} tagged concept; 5 and 2 are needed"))
    return found


def _describes(alt):
    # A result that draws itself also describes itself: plots.show(m.plot(), alt=m.alt).
    return len(ast.unparse(alt)) >= 22 or (isinstance(alt, ast.Attribute) and alt.attr == "alt")


_FORBIDDEN = {
    "a bare except": r"^\s*except\s*:",
    "installing in a lesson": r"^\s*[!%]\s*(pip|conda)\b",
    "a star import": r"^\s*from\s+\S+\s+import\s+\*",
    "sys.path": r"\bsys\.path\b",
}


def has_clean_code(notebook):
    """No bare except, no `!pip`, no star import, no `sys.path`, and every cell parses."""
    found = [Problem("code", "it does not parse", cell.number) for cell in notebook.code if cell.tree is None]
    return found + [
        Problem("code", f"{what} is not allowed", cell.number)
        for cell in notebook.code
        for what, pattern in _FORBIDDEN.items()
        if re.search(pattern, cell.source, re.MULTILINE)
    ]


def has_only_kept_outputs(notebook):
    """Outputs are stored only in cells tagged both keep_output and nbval-check-output, and there they are."""
    found = []
    for cell in notebook.code:
        tags = cell.tags & KEPT
        if len(tags) == 1:
            found.append(Problem("outputs", "keep_output and nbval-check-output come together", cell.number))
        if bool(cell.outputs) != (tags == KEPT):
            text = "a stored output is missing" if tags else "an output is stored; type `make format`"
            found.append(Problem("outputs", text, cell.number))
        if (cell.count is not None) != bool(cell.outputs):
            text = "an execution count goes with a stored output, and only with one; type `make format`"
            found.append(Problem("outputs", text, cell.number))
    return found

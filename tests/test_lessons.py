"""The lesson contract: every lesson keeps it, and each rule notices the notebook that breaks just that rule."""

import copy
import json
import re

import pytest

from course_utils.errors import CourseError
from course_utils.learn import catalog
from course_utils.run.cells import load
from course_utils.run.validate import RULES, lint

WEEK01 = catalog.resolve("week01").path


@pytest.mark.parametrize("lesson", catalog.lessons(), ids=lambda lesson: lesson.id)
def test_the_lesson_keeps_its_contract(lesson):
    assert [f"cell {one.cell}: {one.rule}: {one.text}" for one in lint(lesson.path)] == []


def cell_with(notebook, text, kind="code"):
    cells = notebook["cells"]
    return next(i for i, c in enumerate(cells) if c["cell_type"] == kind and text in "".join(c["source"]))


def replace(notebook, old, new, kind="code"):
    cell = notebook["cells"][cell_with(notebook, old, kind)]
    cell["source"] = "".join(cell["source"]).replace(old, new)


def replace_everywhere(notebook, old, new):
    for cell in notebook["cells"]:
        cell["source"] = "".join(cell["source"]).replace(old, new)


def add(notebook, source, kind="code", **parts):
    cell = {"cell_type": kind, "id": "added", "metadata": {}, "source": source}
    if kind == "code":
        cell |= {"outputs": [], "execution_count": None}
    notebook["cells"].insert(cell_with(notebook, "## 2 · One straight line", "markdown") + 1, cell | parts)


def tag(notebook, text, tags):
    notebook["cells"][cell_with(notebook, text)]["metadata"]["tags"] = tags


def drop(notebook, text, kind="code"):
    del notebook["cells"][cell_with(notebook, text, kind)]


def stretch(notebook, lines, every):
    """Give each n-th code cell so many lines, all of them harmless."""
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code" and not cell["outputs"]]
    bare = [cell for cell in code if "my_" not in "".join(cell["source"])][3::every]
    for cell in bare:
        cell["source"] = "".join(cell["source"]) + "\n#" * (lines - len("".join(cell["source"]).splitlines()))


def course(notebook):
    return notebook["metadata"]["course"]


OUTPUT = [{"output_type": "stream", "name": "stdout", "text": "1"}]

BREAKS = {
    "no passport entry": ("passport", lambda nb: course(nb).pop("minutes")),
    "another lesson's passport": ("passport", lambda nb: course(nb).update(lesson="week02")),
    "six objectives": ("passport", lambda nb: course(nb)["objectives"].append("a sixth")),
    "no objectives": ("passport", lambda nb: course(nb).update(objectives=[])),
    "no parameters tag": ("parameters", lambda nb: tag(nb, 'PROFILE = "auto"', [])),
    "a fixed profile": ("parameters", lambda nb: replace(nb, 'PROFILE = "auto"', 'PROFILE = "cpu"')),
    "start of another lesson": ("parameters", lambda nb: replace(nb, 'start("week01"', 'start("week02"')),
    "start without the profile": ("parameters", lambda nb: replace(nb, '"week01", PROFILE, SEED', '"week01"')),
    "no early result": ("hook", lambda nb: [replace(nb, "print(f", "str(f"), replace(nb, "plots.show(", "str(")]),
    "a guess that is filled in": (
        "predict",
        lambda nb: [replace(nb, f"guess{name} = None", f"guess{name} = 5") for name in ("", "_slope")],
    ),
    "a guess that is never drawn": ("predict", lambda nb: replace(nb, "plots.against_guess", "str")),
    "input()": ("predict", lambda nb: add(nb, "input()")),
    "an exercise without a check": ("exercises", lambda nb: replace(nb, 'course.check("week01.folds", my_folds)', "1")),
    "an unknown exercise": ("exercises", lambda nb: replace(nb, 'check("week01.folds"', 'check("week01.fold"')),
    "a stub without types": ("exercises", lambda nb: replace(nb, "(n: int, k: int) -> list[np.ndarray]", "(n, k)")),
    "a stub that is solved": (
        "exercises",
        lambda nb: replace(
            nb, "my_folds(n: int, k: int) -> list[np.ndarray]:\n    raise NotImplementedError", "my_folds(n): 1"
        ),
    ),
    "a task without its minutes": (
        "exercises",
        lambda nb: replace(nb, "Folds (10 minutes", "Folds (ten minutes", "markdown"),
    ),
    "a GPU lesson without a lab": ("vram", lambda nb: course(nb).update(gpu=True)),
    "no failure on purpose": ("break it", lambda nb: replace(nb, "course.expect(", "open(")),
    "no heading Break it": ("break it", lambda nb: replace(nb, "## Break it", "## Leak", "markdown")),
    "seven questions": ("recap", lambda nb: course(nb).update(quiz=course(nb)["quiz"][:7])),
    "a choice without a reason": ("recap", lambda nb: course(nb)["quiz"][0]["answers"][1].update(feedback=" ")),
    "a question without a right choice": (
        "recap",
        lambda nb: [answer.update(correct=False) for answer in course(nb)["quiz"][0]["answers"]],
    ),
    "no quiz on the page": ("recap", lambda nb: replace(nb, "lesson.quiz()", "1")),
    "no table of terms": ("recap", lambda nb: replace(nb, "|---|---|", "| | |", "markdown")),
    "nowhere to go further": ("recap", lambda nb: replace(nb, "Go further", "More", "markdown")),
    "no metric": ("receipt", lambda nb: replace_everywhere(nb, "lesson.record(", "print(")),
    "no receipt": ("receipt", lambda nb: replace(nb, "lesson.finish()", "1")),
    "too many words": ("prose", lambda nb: add(nb, "word " * 1000, "markdown")),
    "too few words": (
        "prose",
        lambda nb: [
            cell.update(source=" ".join(re.findall(r"\*\*[^*]+\*\*", "".join(cell["source"]))))
            for cell in nb["cells"]
            if cell["cell_type"] == "markdown" and "minutes" not in "".join(cell["source"])
            if "Recap" not in "".join(cell["source"])
            and "Break it" not in "".join(cell["source"])
            and "|---" not in "".join(cell["source"])
        ],
    ),
    "three code cells in a row": ("prose", lambda nb: [add(nb, "1"), add(nb, "1"), add(nb, "1")]),
    "a cell of 31 lines": ("cells", lambda nb: add(nb, "#\n" * 31)),
    "a median of many lines": ("cells", lambda nb: stretch(nb, 8, 1)),
    "many long cells": ("cells", lambda nb: stretch(nb, 20, 5)),
    "a figure without words": ("figures", lambda nb: add(nb, "plots.show(figure)")),
    "a figure with empty words": ("figures", lambda nb: add(nb, 'plots.show(figure, alt="figure")')),
    "one concept figure": (
        "figures",
        lambda nb: [tag(nb, text, []) for text in ("bowl =", "barh", "gap =", "Polynomial.fit")],
    ),
    "no figures": ("figures", lambda nb: replace_everywhere(nb, "plots.show(", "print(")),
    "a bare except": ("code", lambda nb: add(nb, "try:\n    1\nexcept:\n    2")),
    "pip in a lesson": ("code", lambda nb: add(nb, "!pip install x")),
    "a star import": ("code", lambda nb: add(nb, "from numpy import *")),
    "a changed path": ("code", lambda nb: add(nb, "import sys\nsys.path.append('.')")),
    "code that does not parse": ("code", lambda nb: add(nb, "1 +")),
    "a stored output": ("outputs", lambda nb: add(nb, "1", outputs=OUTPUT)),
    "an execution count without an output": ("outputs", lambda nb: add(nb, "1", execution_count=7)),
    "one tag of the two": ("outputs", lambda nb: add(nb, "1", metadata={"tags": ["keep_output"]})),
    "a kept output that is gone": (
        "outputs",
        lambda nb: nb["cells"][cell_with(nb, "ames.shape")].update(outputs=[]),
    ),
    "a term in italics": ("terms", lambda nb: replace(nb, "**residual**", "*residual*", "markdown")),
    "a term that is never used": ("terms", lambda nb: replace(nb, "| baseline |", "| baseline, epoch |", "markdown")),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_notebook_that_breaks_one_rule_is_told_just_that_rule(name, tmp_path):
    rule, break_it = BREAKS[name]
    notebook = copy.deepcopy(json.loads(WEEK01.read_text()))
    break_it(notebook)
    path = tmp_path / WEEK01.name
    path.write_text(json.dumps(notebook))
    assert {problem.rule for problem in lint(path)} == {rule}


def test_every_rule_is_broken_by_some_made_up_notebook():
    ours = {"passport", "parameters", "hook", "predict", "exercises", "vram", "break it", "recap", "receipt"}
    form = {"prose", "cells", "figures", "code", "outputs", "terms"}
    assert {rule for rule, _ in BREAKS.values()} == ours | form
    assert len(RULES) == len(ours | form) - 1  # one function checks passport and parameters


def test_a_gpu_lesson_with_its_lab_is_fine(tmp_path):
    notebook = json.loads(WEEK01.read_text())
    course(notebook)["gpu"] = True
    add(notebook, "## VRAM lab", "markdown")
    path = tmp_path / WEEK01.name
    path.write_text(json.dumps(notebook))
    assert lint(path) == []


def test_words_are_counted_without_code_formulas_tables_and_addresses(tmp_path):
    text = "One two $x+y$ [three](http://four/five)\n\n$$a\nb$$\n\n| six | seven |\n\n```\neight\n```\nnine's"
    cells = [{"cell_type": "markdown", "metadata": {}, "source": text}]
    path = tmp_path / "a.ipynb"
    path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}))
    assert load(path).prose_words == 4


def test_a_file_that_is_no_notebook_is_a_sentence(tmp_path):
    path = tmp_path / "week01_x.ipynb"
    path.write_text("{")
    with pytest.raises(CourseError, match="is not a notebook: it is not JSON"):
        lint(path)

"""An executed notebook as the source of a page: passport and links on top, exercises and quiz that need no kernel."""

import re

from course_utils.book import folds, opening, outputs, quiz
from course_utils.book.places import without_places
from course_utils.learn import passport
from course_utils.run.notebook import source, tags


def page(copy, origin, site):
    """The notebook that Sphinx turns into the page of a `Copy`; its pictures go below the folder `site`."""
    content = copy.content()
    papers = passport.from_metadata(content["metadata"]["course"])
    title, rest = _titled(content["cells"][0])
    top = html_cell(opening.as_html(copy.lesson.path.name, origin) + passport.as_html(papers, about(copy)))
    cells = [prose_cell(title), top, prose_cell(rest)]
    for cell in content["cells"][1:]:
        cells += _cell(cell, content, papers, site)
    kernel = {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}}
    return {"nbformat": 4, "nbformat_minor": 4, "metadata": kernel, "cells": cells}


def about(copy):
    """Rows of the passport on the run that the page shows."""
    words = f"the run of {copy.started[:10]} with profile {copy.profile}, exercises left blank"
    changed = "; the notebook has changed since" if copy.is_stale() else ""
    return [("Shown here", words + changed)]


def _titled(cell):
    """The heading of a notebook's first cell, and what follows it."""
    title, _, rest = source(cell).strip().partition("\n")
    return title, rest.strip()


def _cell(cell, content, papers, site):
    """What becomes of a cell: a list of at most two, the second being what it showed."""
    code = source(cell)
    if cell["cell_type"] != "code":
        return [prose_cell(code)]
    if "injected-parameters" in tags(cell) or not code.strip():
        return []
    if code.strip() == "lesson.quiz()":
        return [html_cell(quiz.as_html(papers.quiz))]
    shown = _shown(cell, content, site)
    return [code_cell(without_places(code)), *([html_cell(shown)] if shown else [])]


def _shown(cell, content, site):
    code = source(cell)
    if ids := folds.checked(code):
        return "".join(map(folds.as_html, ids))
    if "course.start(" in code:  # its passport stands on top
        return ""
    return outputs.as_html(cell, content, site)


def prose_cell(text):
    """A cell of Markdown."""
    return {"cell_type": "markdown", "metadata": {}, "source": text}


def html_cell(html):
    """A cell that the page shows as it is; no line of a listing within ends its fence."""
    fence = "`" * (1 + max(map(len, ["``", *re.findall("`+", html)])))
    return prose_cell(f"{fence}{{raw}} html\n{html}\n{fence}")


def code_cell(code):
    """A code cell without its output, which `html_cell` shows in the page's own colours."""
    return {"cell_type": "code", "metadata": {}, "execution_count": None, "source": code, "outputs": []}

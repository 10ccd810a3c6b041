"""Write small notebooks for the runner's tests, by hand and not through the runner's own code."""

import json

from course_utils.learn.catalog import lesson_of

PARAMETERS = 'PROFILE = "auto"\nepochs = 1'


def cell(code, *tags):
    """A code cell of notebook format 4."""
    return {
        "cell_type": "code",
        "metadata": {"tags": list(tags)},
        "source": code,
        "outputs": [],
        "execution_count": None,
    }


def make(folder, name, *codes, parameters=PARAMETERS, course=None):
    """Write `name.ipynb` with a parameters cell and these code cells; the LessonFile."""
    heading = {"cell_type": "markdown", "metadata": {}, "source": f"# {name}"}
    cells = [heading, cell(parameters, "parameters"), *map(cell, codes)]
    content = {"nbformat": 4, "nbformat_minor": 4, "metadata": {"course": course or {}}, "cells": cells}
    path = folder / f"{name}.ipynb"
    path.write_text(json.dumps(content))
    return lesson_of(path)

"""Every notebook runs headless in the smoke profile, and nbval compares the outputs that are kept."""

import json
import os
import subprocess
import sys

import pytest

from course_utils.learn import bands, catalog
from course_utils.run.course import run_course


@pytest.mark.slow
@pytest.mark.parametrize("lesson", catalog.lessons(), ids=lambda lesson: lesson.id)
def test_the_notebook_runs_from_top_to_bottom_with_the_exercises_blank(lesson, tmp_path):
    report = run_course([lesson], profile="smoke", report_dir=tmp_path / "report")
    row = report.lessons[0]
    assert (row.status, row.error) == ("passed", None)
    assert row.checks["total"] == row.checks["blank"] == len(catalog.exercises_of(lesson.id))
    banded = {name for name, metric in row.metrics.items() if not metric["machine"]}
    assert banded == set(bands.read(lesson.id, "smoke")) and row.warnings == ()


def as_far_as_the_kept_output(path):
    """Week 01 up to its first stored output, as a notebook that nbval can run in a few seconds."""
    notebook = json.loads(catalog.resolve("week01").path.read_text())
    last = next(i for i, cell in enumerate(notebook["cells"]) if cell.get("outputs"))
    notebook["cells"] = notebook["cells"][: last + 1]
    path.write_text(json.dumps(notebook))
    return notebook


def nbval(path):
    command = [sys.executable, "-m", "pytest", "-q", "--nbval-lax", "--nbval-current-env", "-p", "no:cacheprovider"]
    environment = os.environ | {"COURSE_PROFILE": "smoke"}
    return subprocess.run([*command, path.name], cwd=path.parent, capture_output=True, text=True, env=environment)


@pytest.mark.slow
def test_altering_one_stored_output_makes_nbval_fail(tmp_path):
    path = tmp_path / "week01_short.ipynb"
    notebook = as_far_as_the_kept_output(path)
    honest = nbval(path)
    assert honest.returncode == 0, honest.stdout

    output = notebook["cells"][-1]["outputs"][0]
    text = "".join(output["text"])
    assert "2930" in text
    output["text"] = text.replace("2930", "2931", 1)
    path.write_text(json.dumps(notebook))
    altered = nbval(path)
    assert altered.returncode == 1 and "2931" in altered.stdout

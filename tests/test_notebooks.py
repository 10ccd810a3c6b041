"""nbval runs every notebook in the smoke profile with the exercises blank, and compares the outputs that are kept."""

import json
import os
import subprocess
import sys

import pytest

from course_utils.learn import bands, catalog

NBVAL = ("--nbval-lax", "--nbval-current-env", "-q", "-p", "no:cacheprovider", "-p", "no:xdist")


def nbval(path, **environment):
    environment = os.environ | {"COURSE_PROFILE": "smoke", "OMP_WAIT_POLICY": "PASSIVE"} | environment
    command = [sys.executable, "-m", "pytest", *NBVAL, path.name]
    return subprocess.run(command, cwd=path.parent, capture_output=True, text=True, env=environment)


@pytest.mark.slow
@pytest.mark.parametrize("lesson", catalog.lessons(), ids=lambda lesson: lesson.id)
def test_the_notebook_runs_from_top_to_bottom_with_the_exercises_blank(lesson, tmp_path, lesson_cache):
    path = tmp_path / "receipt.json"
    done = nbval(lesson.path, COURSE_RECEIPT=str(path), COURSE_CACHE_DIR=str(lesson_cache))
    assert done.returncode == 0, done.stdout
    receipt = json.loads(path.read_text())
    assert {one["id"]: one["status"] for one in receipt["checks"]} == dict.fromkeys(
        catalog.exercises_of(lesson.id), "not attempted"
    )
    banded = {name: one for name, one in receipt["metrics"].items() if not one["machine"]}
    assert set(banded) == set(bands.read(lesson.id, "smoke"))
    assert not {name: one for name, one in banded.items() if not one["low"] <= one["value"] <= one["high"]}


def as_far_as_the_kept_output(path):
    """Week 01 up to its first stored output, as a notebook that nbval can run in a few seconds."""
    notebook = json.loads(catalog.resolve("week01").path.read_text())
    last = next(i for i, cell in enumerate(notebook["cells"]) if cell.get("outputs"))
    notebook["cells"] = notebook["cells"][: last + 1]
    path.write_text(json.dumps(notebook))
    return notebook


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

"""A release in the hands of others: the real nbgrader, and a student without the clone."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

from course_utils.teach.assign import Options, assign

ROOT = Path(__file__).parents[1]
DOCS = (ROOT / "docs/assigning.md").read_text()
CONFIG = re.search(r"```python\n(c = get_config.*?)```", DOCS, re.DOTALL)[1]
EXAMPLE = re.search(r"```python\n(import numpy.*?)```", DOCS, re.DOTALL)[1]

RIGHT = {
    "week01.rmse": "def my_rmse(y, y_hat):\n    return sum((y - y_hat) ** 2 / len(y)) ** 0.5",
    "week01.standardise": "def my_standardise(train, other):\n    return (other - train.mean(0)) / train.std(0)",
    "week01.ridge": "from sklearn.linear_model import Ridge\n\n"
    "def my_ridge(X, y, alpha):\n    model = Ridge(alpha=alpha).fit(X, y)\n    return model.coef_, model.intercept_",
    "own.relu": "def my_relu(x):\n    return x * (x > 0)",
}
MIXED = {
    "week01.rmse": "def my_rmse(y, y_hat):\n    return sum((y - y_hat) ** 2)",  # wrong
    "week01.standardise": "def my_standardise(train, other):\n"
    "    return (other - train.mean(0)) / train.std(0) if len(other) > 1 else other",  # two cases of three
    "own.relu": "def my_relu(x):\n    return x * (x > 0)",
}


def released(folder, lesson):
    (folder / "relu.py").write_text(EXAMPLE)
    options = Options(exercises="rmse,standardise,ridge", name="lab1")
    made = assign(lesson, folder / "lab1.zip", options, own_file=folder / "relu.py")
    with zipfile.ZipFile(made.zips[0]) as archive:
        archive.extractall(folder)
    return made.key, folder / "lab1"


def short_lesson(folder):
    """Week 01 with nothing but its first cells and its exercises: nbgrader runs it in seconds."""
    notebook = json.loads((ROOT / "notebooks/week01_regression.ipynb").read_text())
    wanted = re.compile(r"PROFILE = |import matplotlib|def my_|\w+ = course.check")
    cells = [
        cell for cell in notebook["cells"] if cell["cell_type"] == "code" and wanted.match("".join(cell["source"]))
    ]
    file = folder / "week01_regression.ipynb"
    file.write_text(json.dumps(notebook | {"cells": notebook["cells"][:1] + cells}))
    return str(file)


def answered(key, folder, answers):
    """The release's notebook with these answers in the place of their stubs."""
    notebook = json.loads((folder / "week01_regression.ipynb").read_text())
    cells = {one.cell: answers[one.id] for one in key.exercises if one.id in answers}
    for cell in notebook["cells"]:
        cell["source"] = cells.get(cell["id"], cell["source"])
    return json.dumps(notebook)


def ran(folder, *words):
    own = {name: str(folder / name) for name in ("HOME", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "COURSE_DATA_DIR")}
    environment = {**os.environ, **own, "COURSE_PROFILE": "smoke"}
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


@pytest.mark.slow
def test_nbgrader_gives_full_partial_and_no_points(tmp_path, tmp_path_factory, monkeypatch):
    pytest.importorskip("nbgrader")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")  # it calls alembic by name
    from nbgrader.api import Gradebook

    home = tmp_path_factory.mktemp("release")
    key, folder = released(home, short_lesson(home))
    (tmp_path / "nbgrader_config.py").write_text(CONFIG)
    shutil.copytree(folder, tmp_path / "source" / "lab1")
    ran(tmp_path, "nbgrader", "generate_assignment", "lab1")
    made = json.loads((tmp_path / "release/lab1/week01_regression.ipynb").read_text())
    mine = json.loads((folder / "week01_regression.ipynb").read_text())
    assert [cell["metadata"] for cell in made["cells"]] == [cell["metadata"] for cell in mine["cells"]]
    for student, answers in (("right", RIGHT), ("mixed", MIXED)):
        shutil.copytree(tmp_path / "release" / "lab1", tmp_path / "submitted" / student / "lab1")
        file = tmp_path / "submitted" / student / "lab1" / "week01_regression.ipynb"
        file.write_text(answered(key, folder, answers))
    ran(tmp_path, "nbgrader", "autograde", "lab1")
    with Gradebook(f"sqlite:///{tmp_path}/gradebook.db") as book:
        scores = {
            student: {
                grade.name: grade.auto_score for grade in book.find_submission("lab1", student).notebooks[0].grades
            }
            for student in ("right", "mixed")
        }
    most = {f"points-{one.id.replace('.', '-')}": one.points for one in key.exercises}
    assert scores["right"] == most
    assert scores["mixed"] == {
        "points-week01-rmse": 0,
        "points-week01-standardise": 1,
        "points-week01-ridge": 0,  # the untouched stub
        "points-own-relu": 2,
    }


@pytest.mark.slow
def test_a_release_runs_where_there_is_no_clone(tmp_path):
    """The package as pip installs it, a notebook under another name, and nothing else of the course."""
    key, folder = released(tmp_path, "week01")
    site, work = tmp_path / "site", tmp_path / "work"
    shutil.copytree(ROOT / "course_utils", site / "course_utils")
    shutil.copytree(metadata.distribution("course-utils")._path, site / "course_utils-0.1.0.dist-info")
    shutil.copytree(folder, work)
    (work / "week01_regression.ipynb").unlink()
    (work / "my lab (1).ipynb").write_text(answered(key, folder, RIGHT))
    program = (
        "import sys, nbformat, nbclient\n"
        "notebook = nbformat.read(sys.argv[1], 4)\n"
        "nbclient.NotebookClient(notebook, timeout=200).execute()\n"
        "nbformat.write(notebook, sys.argv[1])\n"
    )
    (work / "execute.py").write_text(program)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(site))
        patch.setenv("COURSE_PROFILE", "smoke")
        ran(work, "execute", "my lab (1).ipynb")
    cells = json.loads((work / "my lab (1).ipynb").read_text())["cells"]
    said = "".join(
        "".join(output.get("data", {}).get("text/plain", ""))
        for cell in cells
        if cell["cell_type"] == "code"
        for output in cell["outputs"]
    )
    for one in key.exercises:
        assert f"Passed · {one.id} · {one.points} of" in said
    assert "Not attempted · week01.folds" in said and "week01 finished in" in said

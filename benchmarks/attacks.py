"""Hostile submissions against nbgrader and `course grade`, side by side."""

import ast
import csv
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from nbgrader_course import NbgraderCourse

from course_utils.learn.paths import project_dir

sys.path.append(str(project_dir() / "tests"))

from hostile import notebooks, school
from hostile.scene import Scene

COURSE = str(Path(sys.executable).with_name("course"))
LIMIT_SECONDS = 60
NOT_RUN = "not run: would harm the machine"
# Of the hostile notebooks those that nbgrader can take in and that mean the grade.
NOTEBOOKS = (
    notebooks.added_cells,
    notebooks.changed_cell_ids,
    notebooks.changed_check,
    notebooks.claimed_outputs,
    notebooks.doubled_cell_ids,
    notebooks.magic_lines,
    notebooks.markup_in_source,
    notebooks.unlocked_cells,
)
HONEST = ("right", "wrong")


def rows(names=None):
    """One row an attack: what it tries, and the points that each grader gives in the attacked exercise.

    `names` are attacks, all of them by default. Both graders get the same notebooks, of the imports and the graded
    exercises alone.
    """
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        key_path, notebook = school.release(folder)
        submissions, theirs = folder / "submissions", NbgraderCourse(folder / "nbgrader")
        theirs.assign(school.reduced(notebook))
        students = _hand_in(submissions, school.reduced(notebook), names)
        with ThreadPoolExecutor(2) as pool:
            given = dict(
                zip(students, pool.map(lambda one: _nbgrader(theirs.folder, submissions, one), students), strict=True)
            )
        return [_row(one, given[one], ours) for one, ours in _course(key_path, submissions, folder).items()]


def _hand_in(submissions, notebook, names):
    """Write the honest students' and the attacks' notebooks; all their names."""
    school.hand_in(submissions, "right", school.filled(notebook, school.right_texts()))
    school.hand_in(submissions, "wrong", school.filled(notebook, school.wrong_texts()))
    scene = Scene(submissions, school.filled(notebook, school.wrong_texts()), "right", submissions / "none")
    for name in school.ATTEMPTS:
        if names is None or name in names:
            school.hand_in(submissions, name, school.filled(notebook, school.attack_texts(name)))
    for build in NOTEBOOKS:
        if names is None or build.__name__ in names:
            build(scene)
    return sorted(path.name for path in submissions.iterdir())


def _nbgrader(template, submissions, name):
    """The points that nbgrader gives this student, each in a copy of the course that no other attack has touched."""
    if name in school.HARMFUL:
        return NOT_RUN
    with tempfile.TemporaryDirectory() as folder:
        course = NbgraderCourse(Path(folder) / "course")
        shutil.copytree(template, course.folder)
        course.submit(name, (submissions / name / "lab.ipynb").read_bytes())
        said = course.autograde(name, LIMIT_SECONDS)
        points = course.points().get(name, {})
    if said is None:
        return f"stopped by us after {LIMIT_SECONDS} s"
    return points.get(f"points-{_attacked(name).replace('.', '-')}", 0.0) if points else "no grade: it failed"


def _attacked(name):
    return school.attacked_by(name) if name in school.ATTEMPTS else school.ATTACKED[0]


def _course(key_path, submissions, folder):
    """Student → points by exercise, of `course grade`."""
    out = folder / "grades.csv"
    words = [COURSE, "grade", str(submissions), "--key", str(key_path), "--out", str(out), "--jobs", "2"]
    done = subprocess.run(words, capture_output=True, text=True)
    if not out.exists():
        raise SystemExit(f"course grade failed: {done.stderr[-2000:]}")
    with open(out, newline="", encoding="utf-8-sig") as file:
        return {row["id"]: row for row in csv.DictReader(file)}


def _row(name, theirs, ours):
    exercise = _attacked(name)
    if name in HONEST:
        said = f"An honest, {name} answer."
    elif name in school.ATTEMPTS:
        said = ast.get_docstring(ast.parse(school.ATTEMPTS[name]))
    else:
        said = getattr(notebooks, name).__doc__
    return {
        "attack": name,
        "tries": " ".join(said.split()),
        "exercise": exercise,
        "nbgrader": theirs,
        "course grade": float(ours[exercise] or 0),
    }


def show(rows):
    """Print the table, the honest ones first."""
    print(f"{'attack':24}{'nbgrader gives':>30}{'course grade gives':>20}")
    for row in sorted(rows, key=lambda row: (row["attack"] not in HONEST, row["attack"])):
        theirs = row["nbgrader"] if isinstance(row["nbgrader"], str) else f"{row['nbgrader']:g}"
        print(f"{row['attack']:24}{theirs:>30}{row['course grade']:>20g}")

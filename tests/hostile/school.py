"""A release to attack, an honest class around the attacks, and the texts that its students hand in."""

import copy
import inspect
import json
import textwrap
from pathlib import Path

from course_utils.learn.catalog import find_exercise
from course_utils.run.modes import answer
from course_utils.teach.assign import Options, assign
from hostile.scene import attempt_cell, code_cell

ATTACKED = ("week03.softmax_gradient", "week03.output_size")
# Known mistakes that are wrong in every case: an honest wrong answer that earns nothing.
WRONG = {"week03.softmax_gradient": "mistakes-3", "week03.output_size": "mistakes-1"}
ATTEMPTS = {path.stem: path.read_text() for path in sorted((Path(__file__).parent / "attempts").glob("*.py"))}
# What takes all of a machine's memory, processes or disk, or fills nbgrader's own memory with output.
HARMFUL = {
    "disk_bomb",
    "endless_reply",
    "fork_bomb",
    "memory_bomb",
    "shared_memory_bomb",
    "thread_bomb",
}


def release(folder, exercise_ids=ATTACKED):
    """Assign exercises of one lesson: the key's path and the students' notebook."""
    lesson = exercise_ids[0].partition(".")[0]
    made = assign(lesson, Path(folder) / "lab.zip", Options(exercises=",".join(exercise_ids), name="lab"))
    return made.key_path, dict(made.key.notebook)


def name_of(exercise_id):
    """The attempt's name: `my_softmax_gradient`."""
    return f"my_{find_exercise(exercise_id).reference.__name__}"


def right_texts(exercise_ids=ATTACKED):
    """Attempt's name → a right answer's text."""
    return {name_of(id): answer(find_exercise(id), "reference") for id in exercise_ids}


def wrong_texts(exercise_ids=ATTACKED):
    """Attempt's name → an honest, wrong answer's text."""
    return {name_of(id): answer(find_exercise(id), WRONG.get(id, "mistakes-1")) for id in exercise_ids}


def attack_texts(name):
    """The texts of a student who attacks in one exercise and is honestly wrong in the others."""
    return wrong_texts() | {name_of(attacked_by(name)): ATTEMPTS[name]}


def attacked_by(name):
    """The id of the exercise that an attack means."""
    return next(id for id in ATTACKED if id.partition(".")[2] in ATTEMPTS[name])


def as_typed(function, name):
    """A function's source as if it had been written under this name."""
    source = textwrap.dedent(inspect.getsource(function))
    return source.replace(f"def {function.__name__}(", f"def {name}(", 1).rstrip()


def filled(notebook, texts):
    """A copy of a release's notebook with these attempts, given by name."""
    handed_in = copy.deepcopy(notebook)
    for name, text in texts.items():
        attempt_cell(handed_in, name)["source"] = text
    return handed_in


def hand_in(submissions, student, notebook):
    """Write a student's notebook into a folder of submissions."""
    folder = Path(submissions) / student
    folder.mkdir(parents=True)
    (folder / "lab.ipynb").write_text(json.dumps(notebook))


def reduced(notebook):
    """Of a release only what nbgrader needs: the imports, and the cells of the exercises that bring points."""
    kept = copy.deepcopy(notebook)
    marked = [cell for cell in kept["cells"] if "nbgrader" in cell["metadata"]]
    imports = "import torch\n\nimport course_utils as course"
    return kept | {"cells": [code_cell(imports, "imports0"), *marked]}

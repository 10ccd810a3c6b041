"""Makes a release of a lesson and students' notebooks for it."""

import copy
import json
import runpy
from pathlib import Path

from course_utils.learn.catalog import exercises_of, resolve
from course_utils.run import modes
from course_utils.teach.key import Assigned, Key, versions


def make_key(lesson="week03", deadline=None, **changes):
    """A key with the lesson's own notebook as its release, without the care of `course assign`."""
    notebook = json.loads(resolve(lesson).path.read_text())
    notebook["metadata"]["course"]["release"] = "release-1"
    assigned = []
    for number, cell in enumerate(notebook["cells"]):
        cell.setdefault("id", f"cell-{number}")
    for place in modes.places(notebook, lesson):
        stub, check = (notebook["cells"][index]["id"] for index in (place.stub, place.check))
        name = f"my_{place.exercise.reference.__name__}"
        assigned.append(Assigned(place.exercise.id, name, place.exercise.points, stub, check))
    facts = {
        **{"release_id": "release-1", "version": 1, "name": lesson, "lesson": lesson, "deadline": deadline},
        **{"created": "2026-12-01T00:00:00+00:00", "secret": b"s" * 32, "exercises": tuple(assigned)},
        **{"versions": versions([lesson]), "notebook": notebook, "own": {}},
    }
    return Key(**facts | changes)


def filled(key, answers):
    """A student's notebook: the text of each attempt by the exercise's id; a stub where none is given, no cell for None."""
    notebook = copy.deepcopy(key.notebook)
    for assigned in key.exercises:
        cell = next(cell for cell in notebook["cells"] if cell["id"] == assigned.cell)
        text = answers.get(assigned.id, "".join(cell["source"]))
        cell["source"] = text
        if text is None:
            notebook["cells"].remove(cell)
    return notebook


def write(folder, student, notebook):
    """Put a notebook where a folder of submissions has it."""
    path = Path(folder) / student / "answer.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(notebook))
    return path


def reference(exercise):
    """The reference as a learner would write it, with the imports that it needs."""
    return modes.answer(exercise, "reference")


def mistakes(exercise):
    """The known mistakes, likewise."""
    return [modes.answer(exercise, f"mistakes-{number}") for number in range(1, len(exercise.mistakes) + 1)]


def right_answers(lesson):
    """Exercise → the texts of its right answers in other styles: their whole module, and one of them by its name."""
    text = (Path(__file__).parent / "right_answers" / f"{lesson}.py").read_text()
    exercises, found = (
        exercises_of(lesson),
        runpy.run_path(str(Path(__file__).parent / "right_answers" / f"{lesson}.py")),
    )
    return {
        id: [_typed(exercises[id], text, number) for number in range(len(several))]
        for id, several in found["RIGHT"].items()
    }


def _typed(exercise, text, number):
    call = "()" if exercise.value else ""
    return f"{text}\n\nmy_{exercise.reference.__name__} = RIGHT[{exercise.id!r}][{number}]{call}\n"

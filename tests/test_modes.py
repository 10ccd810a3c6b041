import json
from copy import deepcopy

import pytest
from notebook_maker import cell, make

from course_utils.errors import CourseError
from course_utils.learn import catalog
from course_utils.learn.check import examine
from course_utils.run import modes
from course_utils.run.cells import parse
from course_utils.run.course import run_course
from course_utils.run.notebook import load, source

LESSONS = [one for one in catalog.lessons() if catalog.exercises_of(one.id)]

every_lesson = pytest.mark.parametrize("lesson", LESSONS, ids=lambda one: one.id)


def notebook(*codes):
    return {"cells": [{"cell_type": "markdown", "metadata": {}, "source": "# Task"}, *map(cell, codes)]}


def sources(made):
    return [source(one) for one in made["cells"] if one["cell_type"] == "code"]


@every_lesson
@pytest.mark.parametrize("mode", ["reference", "mistakes"])
def test_every_lesson_can_be_filled_in_and_every_answer_gets_its_verdict(lesson, mode):
    stored, exercises = load(lesson.path), catalog.exercises_of(lesson.id)
    before = deepcopy(stored)
    runs = modes.runs_of(stored, lesson.id, mode)
    assert stored == before
    assert len(runs) == (1 if mode == "reference" else max(len(one.mistakes) for one in exercises.values()))
    for label, filled in runs:
        assert all(parse(text) for text in sources(filled) if text.strip())
        found = modes.places(filled, lesson.id)
        assert {place.exercise.id for place in found} == set(exercises)
        for place in found:
            answer = alone(source(filled["cells"][place.stub]), place.exercise)
            assert said(place.exercise, answer) == modes.expected(place.exercise, label)


def alone(code, exercise):
    """What the cell defines for the exercise, run with no other cell before it."""
    names = {}
    exec(compile(code, "<stub>", "exec"), names)
    return names[f"my_{exercise.reference.__name__}"]


def said(exercise, answer):
    verdict = examine(exercise, answer)
    return f"Passed · {exercise.id}" if verdict.status == "passed" else " ".join(verdict.mistake.split())


@every_lesson
def test_only_the_stubs_cells_change(lesson):
    stored = load(lesson.path)
    [(_, filled)] = modes.runs_of(stored, lesson.id, "reference")
    stubs = {place.stub for place in modes.places(stored, lesson.id)}
    changed = {i for i, (a, b) in enumerate(zip(stored["cells"], filled["cells"], strict=True)) if a != b}
    assert changed == stubs


def test_blank_is_the_notebook_as_it_is(made_up):
    stored = notebook("def my_shapes(): ...", 'course.check("week99.nowhere", my_shapes)')
    assert modes.runs_of(stored, "week99", "blank") == [("blank", stored)]


def test_what_else_stands_in_the_stubs_cell_stays(made_up):
    stub = "first = 1\nmy_shapes: list = ...\nlast = 2"
    stored = notebook(stub, 'shapes = course.check("week99.shapes", my_shapes)')
    [(label, filled)] = modes.runs_of(stored, "week99", "reference")
    assert label == "reference"
    names = {}
    exec(sources(filled)[0], names)
    assert (names["first"], names["my_shapes"], names["last"]) == (1, [3, 4], 2)


def test_an_exercise_with_fewer_mistakes_begins_again_with_its_first(made_up):
    total = 'total = course.check("week99.total", my_total)'
    shapes = 'shapes = course.check("week99.shapes", my_shapes)'
    runs = modes.runs_of(notebook("my_total = ...", total, "my_shapes = ...", shapes), "week99", "mistakes")
    assert [label for label, _ in runs] == ["mistakes-1", "mistakes-2", "mistakes-3"]
    assert len({sources(filled)[0] for _, filled in runs}) == 3
    assert len({sources(filled)[2] for _, filled in runs}) == 1
    assert modes.expected(made_up["shapes"], "mistakes-3") == "Rows come first, columns second."


def test_a_check_without_its_stub_is_named(made_up):
    stored = notebook("x = 1", 'course.check("week99.shapes", my_shapes)')
    with pytest.raises(CourseError, match=r"No stub stands before `course.check\('week99.shapes', my_shapes\)`"):
        modes.runs_of(stored, "week99", "mistakes")


def test_an_unknown_mode_lists_the_modes():
    with pytest.raises(CourseError, match="no mode 'all'. Choose blank, reference, mistakes"):
        modes.runs_of(notebook(), "week01", "all")


def test_a_lesson_without_exercises_has_no_mistakes_to_run():
    assert modes.runs_of(notebook("x = 1"), "nowhere", "mistakes") == []


def executed(*texts):
    """A notebook with one check, whose output holds these lines."""
    stored = notebook("my_shapes = ...", 'shapes = course.check("week99.shapes", my_shapes)')
    data = {"text/html": ["<p>"], "text/plain": [f"{text}\n" for text in texts]}
    stored["cells"][-1]["outputs"] = [{"output_type": "display_data", "data": data, "metadata": {}}]
    return stored


@pytest.mark.parametrize(
    "label, line, agrees",
    [
        ("blank", "Not attempted · week99.shapes · 0 of 1 point", True),
        ("reference", "Passed · week99.shapes · 1 of 1 point", True),
        ("reference", "Not yet · week99.shapes · 0 of 1 point", False),
        ("mistakes-1", "Rows come first, columns second.", True),
        ("mistakes-1", "What differs: entry 0.", False),
    ],
)
def test_a_check_that_says_something_else_is_a_problem(made_up, label, line, agrees):
    problems = modes.verify(executed(line), label, "week99")
    assert (problems == ()) is agrees
    if not agrees:
        assert problems[0].message.startswith("The check of week99.shapes should say “")
        assert problems[0].message.endswith(f"it says “{line}”.")
        assert problems[0].where["cell"] == 2


def test_a_check_that_did_not_run_is_a_problem(made_up):
    stored = notebook("my_shapes = ...", 'shapes = course.check("week99.shapes", my_shapes)')
    [problem] = modes.verify(stored, "blank", "week99")
    assert problem.message.endswith("it says “nothing”.")


CELLS = (
    "import course_utils as course",
    "def my_rmse(y, y_hat):\n    raise NotImplementedError",
    'rmse = course.check("week01.rmse", my_rmse)',
    "import numpy as np\nassert rmse(np.array([1.0, 1.0]), np.array([4.0, 5.0])) == 12.5**0.5",
)


@pytest.mark.slow
def test_with_each_known_mistake_the_notebook_finishes_and_its_check_names_it(tmp_path):
    lesson = make(tmp_path, "week01_tiny", *CELLS)
    report = run_course([lesson], profile="smoke", mode="mistakes", jobs=2, report_dir=tmp_path / "report")
    assert [(row.lesson, row.status) for row in report.lessons] == [
        (f"week01-mistakes-{number}", "passed") for number in (1, 2, 3)
    ]
    copies = [json.loads((report.folder / row.copy).read_text()) for row in report.lessons]
    assert [modes.verify(one, f"mistakes-{number}", "week01") for number, one in enumerate(copies, 1)] == [()] * 3
    assert len(modes.verify(copies[0], "mistakes-2", "week01")) == 1


@pytest.mark.slow
def test_a_lesson_whose_check_says_the_wrong_thing_fails(tmp_path):
    lesson = make(tmp_path, "week01_tiny", *CELLS[:2], "globals()['my_rmse'] = max", *CELLS[2:])
    [row] = run_course([lesson], profile="smoke", mode="reference", report_dir=tmp_path / "report").lessons
    assert (row.status, row.error.name, row.error.cell) == ("failed", "WrongVerdict", 5)
    assert "should say “Passed · week01.rmse”; it says “Not yet" in row.error.message

import math
import os

import pytest
from notebook_maker import make

from course_utils.errors import CourseError
from course_utils.learn import catalog
from course_utils.learn.catalog import LessonFile
from course_utils.run import plan, pool
from course_utils.run.course import run_course
from course_utils.run.notebook import parse_parameters, read
from course_utils.run.task import Outcome, Result


def refused(tmp_path, lessons, match, **options):
    """The run is refused with this message, and leaves no report folder."""
    folder = options.pop("report_dir", tmp_path / "report")
    with pytest.raises(CourseError, match=match):
        run_course(lessons, report_dir=folder, **options)
    assert not (folder.exists() and os.listdir(folder))


def test_an_unknown_parameter_is_refused_with_the_known_ones(tmp_path):
    lesson = make(tmp_path, "week01_a")
    refused(tmp_path, [lesson], r"no parameter 'epoch'; it has PROFILE, epochs.*'epochs'", parameters={"epoch": 3})


def test_every_lesson_is_checked_before_one_starts(tmp_path):
    good, bad = make(tmp_path, "good"), make(tmp_path, "bad", parameters="PROFILE = 'auto'")
    refused(tmp_path, [good, bad], "bad has no parameter 'epochs'", parameters={"epochs": 3})


def test_an_unknown_profile_is_refused_with_the_nearest(tmp_path):
    refused(tmp_path, [make(tmp_path, "a")], "smoke, cpu, gpu12.*'smoke'", profile="smokey")
    refused(tmp_path, [make(tmp_path, "a")], "smoke, cpu, gpu12", parameters={"PROFILE": "fast"})


def test_an_unknown_profile_in_the_environment_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_PROFILE", "fast")
    refused(tmp_path, [make(tmp_path, "a")], "no profile 'fast'")


def test_two_different_profiles_are_refused(tmp_path):
    refused(tmp_path, [make(tmp_path, "a")], "disagree", profile="cpu", parameters={"PROFILE": "smoke"})


@pytest.mark.parametrize("jobs", [0, -1])
def test_fewer_than_one_job_is_refused(tmp_path, jobs):
    refused(tmp_path, [make(tmp_path, "a")], "--jobs must be 1 or more", jobs=jobs)


@pytest.mark.parametrize("seconds", [0, -3, math.nan, math.inf])
def test_a_deadline_that_is_no_positive_number_is_refused(tmp_path, seconds):
    refused(tmp_path, [make(tmp_path, "a")], "--timeout must be a positive number", timeout_seconds=seconds)


def test_no_lesson_is_refused(tmp_path):
    refused(tmp_path, [], "no lesson to run")


def test_two_notebooks_of_one_name_are_refused(tmp_path):
    (tmp_path / "other").mkdir()
    twins = [make(tmp_path, "week01_a"), make(tmp_path / "other", "week01_b")]
    refused(tmp_path, twins, "are both 'week01'")


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"# not a notebook", "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"[1, 2]", "format 4"),
        (b'{"cells": [], "metadata": {}}', "format 4"),
        (b'{"nbformat": 3, "worksheets": [], "metadata": {}}', "format 4"),
        (b'{"nbformat": 4, "cells": [], "metadata": {}}', "no cell tagged 'parameters'"),
        (b'{"nbformat": 4, "cells": [7], "metadata": {}}', "format 4"),
    ],
)
def test_a_file_that_is_no_lesson_is_refused(tmp_path, content, match):
    path = tmp_path / "odd.ipynb"
    path.write_bytes(content)
    refused(tmp_path, [LessonFile("odd", path)], match)


def test_a_parameters_cell_that_is_not_python_is_refused(tmp_path):
    refused(tmp_path, [make(tmp_path, "a", parameters="%matplotlib inline")], "not plain Python")


def test_parameters_are_the_names_assigned_in_their_cell(tmp_path):
    lesson = make(tmp_path, "a", "later = 1", parameters="a: int = 1  # note\nb = c = [\n  1]\na = 2")
    assert read(lesson).parameters == ("a", "b", "c")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("1e-3", 0.001),
        ("True", True),
        ("true", True),
        ("null", None),
        ("None", None),
        ("[1, 'a']", [1, "a"]),
        ('{"a": [1.5]}', {"a": [1.5]}),
        ("no", "no"),
        ("gpu12", "gpu12"),
        ("a=b", "a=b"),
        ("1+2j", "1+2j"),
        ("1e999", "1e999"),
        ("", ""),
    ],
)
def test_a_parameter_is_a_literal_or_else_text(text, value):
    parsed = parse_parameters([f"name={text}"])["name"]
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize("pair", ["epochs", "=3", "my epochs=3"])
def test_a_parameter_without_name_or_value_is_refused(pair):
    with pytest.raises(CourseError, match="name=value"):
        parse_parameters([pair])


def test_the_cores_are_shared_between_workers(tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "usable_cores", lambda: 8)
    lessons = [make(tmp_path, name) for name in "abcdef"]
    made = plan.make(lessons, None, None, 3, 60, tmp_path / "report", None)
    assert (made.jobs, made.threads) == (3, 2)
    alone = plan.make(lessons[:1], None, None, None, 60, tmp_path / "report", None)
    assert (alone.jobs, alone.threads) == (1, 8)


def test_a_report_under_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("kept")
    with pytest.raises(CourseError, match="is not a folder"):
        run_course([make(tmp_path, "a")], report_dir=tmp_path / "file" / "report")
    assert (tmp_path / "file").read_text() == "kept"


def test_mistakes_make_several_runs_of_a_lesson_with_a_copy_each(tmp_path):
    lesson = catalog.resolve("week01")
    made = plan.make([lesson], "smoke", None, None, 9, tmp_path / "report", None, mode="mistakes")
    most = max(len(one.mistakes) for one in catalog.exercises_of("week01").values())
    assert [one.lesson for one in made.notebooks] == [f"week01-mistakes-{number + 1}" for number in range(most)]
    assert [one.copy_name for one in made.notebooks] == [f"{one.lesson}.ipynb" for one in made.notebooks]
    assert {one.origin for one in made.notebooks} == {"week01"}
    assert made.notebooks[0].title.endswith("(mistakes-1)")


def test_the_reference_makes_one_run_under_the_lessons_own_name(tmp_path):
    lesson = catalog.resolve("week01")
    [one] = plan.make([lesson], "smoke", None, None, 9, tmp_path / "report", None, mode="reference").notebooks
    assert (one.lesson, one.copy_name, one.label) == ("week01", lesson.path.name, "reference")


def test_a_check_that_does_not_say_what_it_must_fails_the_run(tmp_path, monkeypatch):
    outcome = Outcome("passed", 0.1, None, None, None)
    monkeypatch.setattr(
        pool, "perform", lambda task, *_: Result(outcome, task.source)
    )  # nothing ran, so nothing was said
    report = run_course([catalog.resolve("week01")], mode="reference", report_dir=tmp_path / "report")
    [row] = report.lessons
    assert (row.status, row.error.name) == ("failed", "WrongVerdict")
    assert "week01." in row.error.message and row.error.cell is not None

"""Partial credit and what a release changes in `check`: solutions, hints, constants, and nbgrader's points."""

import json

import numpy as np
import pytest

from course_utils.learn import assignment
from course_utils.learn.attempt import cases_of, public_seed
from course_utils.learn.check import check, examine
from course_utils.learn.credit import credit, earned_by_constant
from course_utils.learn.exercise import Case
from course_utils.learn.nbgrader import nbgrader_points


@pytest.mark.parametrize(
    ("passed", "by_constant", "points", "earned"),
    [
        ([True, True, True], 1, 2, 2.0),
        ([True, True, False], 1, 2, 1.0),
        ([True, False, False], 1, 2, 0.0),
        ([False, False, False], 1, 2, 0.0),
        ([False, True, True, True], 1, 1, 0.67),
        ([True, True, False], 3, 2, 0.0),
        ([True, True, True], 3, 2, 2.0),
        ([], 0, 2, 0.0),
    ],
)
def test_credit_counts_what_no_constant_earns(passed, by_constant, points, earned):
    assert credit(passed, by_constant, points) == earned


def test_a_constant_earns_the_cases_that_are_known_and_the_most_frequent_answer(made_up):
    def cases(*values):
        return [Case((np.array([value]),)) for value in values]

    total, other = made_up["total"], cases(9.0)
    assert earned_by_constant(total, cases(1.0, 2.0, 3.0), other) == 1
    assert earned_by_constant(total, cases(1.0, 2.0, 2.0, 2.0), other) == 3
    assert earned_by_constant(total, cases(9.0, 2.0, 2.0, 3.0), other) == 3
    assert earned_by_constant(total, cases(9.0, 9.0), other) == 2
    assert earned_by_constant(total, cases_of(total), cases_of(total, 0)) == 2  # one is fixed, one is drawn


def test_the_verdict_says_of_each_case_whether_it_agrees(made_up):
    def unscaled(values, scale=1.0):
        return float(np.sum(values))

    assert examine(made_up["total"], unscaled).right == (True, False)
    assert examine(made_up["total"], made_up["total"].reference).right == (True, True)
    assert examine(made_up["total"], ...).right == ()


PARTS = """
import numpy as np
from course_utils.learn.exercise import Case, exercise


@exercise("week98.parts", points=3, minutes=5, difficulty=1, needs=("numpy",), hints=("A hint.", "Another."))
def parts(values):
    return float(np.sum(values))


@parts.cases
def _(rng):
    for size in (2, 3, 4, 5):
        yield Case((rng.normal(size=size),), note=f"{size} values")
"""


@pytest.fixture
def parts(tmp_path_factory, monkeypatch):
    """An exercise of four drawn cases, as if the course had a week 98."""
    import sys

    import course_utils.exercises

    folder = tmp_path_factory.mktemp("exercises")
    (folder / "week98.py").write_text(PARTS)
    monkeypatch.setattr(course_utils.exercises, "__path__", [*course_utils.exercises.__path__, str(folder)])
    monkeypatch.delitem(sys.modules, "course_utils.exercises.week98", raising=False)


def right_but_for_long_ones(values):
    return sum(values) if len(values) < 5 else 0.0


@pytest.mark.parametrize(("attempt", "points"), [(sum, 3.0), (right_but_for_long_ones, 2.0), (len, 0.0), (..., 0.0)])
def test_nbgraders_points_are_those_of_the_latest_check(parts, attempt, points):
    check("week98.parts", sum)
    check("week98.parts", attempt)
    assert nbgrader_points("week98.parts") == points


def test_no_points_raise_with_the_verdict_only_while_nbgrader_grades(parts, monkeypatch):
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    check("week98.parts", len)
    with pytest.raises(AssertionError, match="What differs"):
        nbgrader_points("week98.parts")
    with pytest.raises(AssertionError, match="No check of week98.other ran before this cell"):
        nbgrader_points("week98.other")
    check("week98.parts", sum)
    assert nbgrader_points("week98.parts") == 3.0


def release(folder, **course):
    facts = {"release": "r", "lesson": "week99", **course}
    folder.joinpath("any name.ipynb").write_text(json.dumps({"metadata": {"course": facts}}))


@pytest.fixture
def shown(monkeypatch):
    """The HTML of verdicts, as in a notebook."""
    pages = []
    monkeypatch.setattr("course_utils.learn.check._show", lambda html, text: pages.append(html))
    return pages


def test_a_release_may_keep_solutions_and_hints_from_unfolding(made_up, tmp_path, monkeypatch, shown):
    monkeypatch.chdir(tmp_path)
    for course, parts_shown in (
        ({}, (True, True)),
        ({"reveal": False}, (True, False)),
        ({"hints": False}, (False, True)),
    ):
        release(tmp_path, **course)
        check("week99.total", max)
        page = shown.pop()
        assert ("Look at the" in page, "np.sum(values)" in page) == parts_shown
    release(tmp_path, reveal=False)
    check("week99.total", lambda values, scale=1.0: sum(values) * scale)
    assert "Passed" in shown[-1] and "np.sum(values)" not in shown[-1]


def test_a_variant_has_cases_of_its_own(made_up, tmp_path, monkeypatch):
    def listening(heard):
        return lambda values, scale=1.0: heard.append(values.tolist()) or 0.0

    drawn = []
    monkeypatch.chdir(tmp_path)
    for variant in ("", "one", "two", "one"):
        release(tmp_path, variant=variant)
        drawn.append([])
        check("week99.total", listening(drawn[-1]))
    assert drawn[1] == drawn[3]
    assert len({str(one[1]) for one in drawn}) == 3 and len({str(one[0]) for one in drawn}) == 1
    assert public_seed("week99.total") == public_seed("week99.total", "")


@pytest.mark.parametrize(
    "text", ["", "[]", '{"metadata": {}}', '{"metadata": {"course": {"release": 1}}}', "[" * 100_000]
)
def test_what_is_no_release_is_passed_over(tmp_path, text):
    (tmp_path / "a.ipynb").write_text(text)
    assert assignment.in_folder(tmp_path) == ()
    release(tmp_path, own="../../x.json")
    (one,) = assignment.in_folder(tmp_path)
    assert (one.own, one.reveal, one.hints, one.variant) == ("x.json", True, True, "")

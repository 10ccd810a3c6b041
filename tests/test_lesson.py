"""What a notebook calls: start, pick, record, expect, finish, and the figures."""

import base64
import json
import re

import pytest

from course_utils.errors import CourseError
from course_utils.gpu.device import GIB, Card
from course_utils.learn import bands, lesson, passport, plots, profiles
from course_utils.learn.catalog import resolve


@pytest.fixture
def shown(monkeypatch):
    """What cells would display, as mime bundles."""
    found = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, raw: found.append(bundle))
    return found


@pytest.fixture
def week01(shown):
    return lesson.start("week01", "smoke", 3)


def card(gib):
    return Card("RTX 4070 Ti", int(gib * GIB), int(gib * GIB), "580.10")


@pytest.mark.parametrize(
    "gib, profile",
    [(24.0, "gpu24"), (23.99, "gpu24"), (15.7, "gpu16"), (11.70, "gpu12"), (10.9, "cpu"), (7.6, "cpu")],
)
def test_the_profile_follows_the_total_memory(gib, profile):
    assert profiles.by_memory(card(gib)).profile == profile


def test_a_card_too_small_gets_the_reason():
    assert "has 7.60 GiB, and the smallest GPU profile needs 11 GiB" in profiles.by_memory(card(7.6)).reason


def test_the_parameter_goes_before_the_variable_and_that_before_the_card(monkeypatch):
    monkeypatch.setenv("COURSE_PROFILE", "gpu16")
    assert profiles.choose("smoke", lambda: card(24)).profile == "smoke"
    assert profiles.choose("auto", lambda: card(24)).profile == "gpu16"
    monkeypatch.setenv("COURSE_PROFILE", "gpu13")
    with pytest.raises(CourseError, match="no profile 'gpu13', which the variable COURSE_PROFILE asks for; it must be"):
        profiles.choose("auto", lambda: None)
    monkeypatch.setenv("COURSE_PROFILE", "")
    assert profiles.choose("auto", lambda: card(24)).profile == "gpu24"
    monkeypatch.delenv("COURSE_PROFILE")
    assert profiles.choose("auto", lambda: card(24)).profile == "gpu24"
    assert profiles.choose("auto", lambda: None) == profiles.Choice("cpu", "no CUDA card was found here")


def test_an_unknown_profile_names_the_allowed_ones():
    with pytest.raises(
        CourseError,
        match="no profile 'gpu13'; it must be auto or one of smoke, cpu, gpu12, gpu16, gpu24. Did you mean 'gpu1",
    ):
        profiles.choose("gpu13", lambda: None)


def test_pick_falls_back_to_the_nearest_smaller_profile():
    sizes = {"smoke": 1, "gpu12": 3}
    assert [profiles.pick(name, sizes) for name in profiles.PROFILES] == [1, 1, 3, 3, 3]


def test_pick_without_a_small_enough_size_says_what_to_add():
    with pytest.raises(CourseError, match="got sizes for cpu and none for 'smoke' or smaller: add smoke="):
        profiles.pick("smoke", {"cpu": 2})


def test_start_seeds_python_and_numpy_and_shows_the_passport(shown):
    import random

    import numpy

    draws = []
    for _ in range(2):
        lesson.start("week01", "smoke", 3)
        draws.append((random.random(), numpy.random.rand()))
    assert draws[0] == draws[1]
    assert "Week 01 · Regression" in shown[0]["text/html"]
    assert "profile smoke (set by the PROFILE parameter), seed 3" in shown[0]["text/plain"]


def test_start_finds_a_notebook_that_stands_alone(tmp_path, monkeypatch, shown):
    alone = json.loads(resolve("week01").path.read_text())
    alone["metadata"]["course"]["title"] = "An assignment"
    (tmp_path / "week01_alone.ipynb").write_text(json.dumps(alone))
    monkeypatch.chdir(tmp_path)
    assert lesson.start("week01", "smoke").passport.title == "An assignment"


def test_start_of_an_unknown_lesson_suggests_the_nearest():
    with pytest.raises(CourseError, match="no lesson 'week1x'. The nearest is 'week01'"):
        lesson.start("week1x")


def test_a_broken_passport_is_a_sentence(tmp_path):
    path = tmp_path / "week01_x.ipynb"
    path.write_text('{"metadata": {"course": {"lesson": "week01"}}}')
    with pytest.raises(CourseError, match=r"no complete passport in metadata.course \(KeyError: 'title'\)"):
        passport.read(path)


def test_a_gpu_passport_says_what_was_not_measured():
    papers = passport.read(resolve("week01").path)
    gpu = papers.__class__(**{**vars(papers), "vram": {"estimated_bytes": 3 * GIB, "measured": None}})
    assert passport.vram_text(gpu) == "estimated 3.00 GiB · not measured yet"


def test_the_receipt_holds_checks_metrics_and_memory(week01, shown, tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_RECEIPT", str(tmp_path / "deep" / "r.json"))
    week01.record("error", 0.25, "log price")
    week01.finish()
    receipt = json.loads((tmp_path / "deep" / "r.json").read_text())
    error = {"value": 0.25, "unit": "log price", "low": None, "high": None, "machine": False}
    assert receipt["metrics"] == {"error": error}
    assert {check["id"] for check in receipt["checks"]} >= {"week01.rmse", "week01.ridge"}
    assert receipt["memory"] == "RAM" and receipt["peak_bytes"] > 20 * 1024**2
    assert "error: 0.25 log price" in shown[-1]["text/plain"]


def test_without_a_runner_the_receipt_goes_beside_the_progress(week01, shown):
    from course_utils.learn.paths import data_dir

    week01.finish()
    assert json.loads((data_dir() / "receipts" / "week01.json").read_text())["profile"] == "smoke"


@pytest.mark.parametrize("value, words", [(float("nan"), "finite number, not nan"), ("x", "needs a number, not str")])
def test_a_metric_that_is_no_number_is_refused(week01, value, words):
    with pytest.raises(CourseError, match=words):
        week01.record("error", value)


def test_a_metric_is_drawn_inside_or_outside_its_band(tmp_path, monkeypatch, week01, shown):
    monkeypatch.setattr(bands, "FOLDER", tmp_path)
    (tmp_path / "week01.json").write_text('{"profiles": {"smoke": {"error": [0.2, 0.4, 0.3]}}}')
    week01.record("error", 0.4)
    week01.record("error", 0.41)
    assert shown[-2]["text/plain"] == "error = 0.4, inside the band 0.2 to 0.4 of 3 seeds"
    assert "OUTSIDE the band" in shown[-1]["text/plain"] and "<svg" in shown[-1]["text/html"]


def test_a_property_of_the_machine_has_no_band(tmp_path, monkeypatch, week01, shown):
    monkeypatch.setattr(bands, "FOLDER", tmp_path)
    (tmp_path / "week01.json").write_text('{"profiles": {"smoke": {"speed": [0.2, 0.4]}}}')
    week01.record("speed", 90.0, "GB/s", machine=True)
    assert shown[-1]["text/plain"] == "speed = 90 GB/s" and "<svg" not in shown[-1]["text/html"]
    assert week01.metrics["speed"] == {"value": 90.0, "unit": "GB/s", "low": None, "high": None, "machine": True}


def test_expect_shows_the_failure_and_fails_without_one(shown):
    with lesson.expect(ZeroDivisionError):
        1 / 0  # noqa: B018
    assert shown[-1]["text/plain"] == "As expected, this failed: ZeroDivisionError: division by zero"
    with (
        pytest.raises(AssertionError, match="was meant to fail with ZeroDivisionError"),
        lesson.expect(ZeroDivisionError),
    ):
        pass
    with pytest.raises(KeyError), lesson.expect(ZeroDivisionError):
        {}["other"]


def test_a_figure_travels_with_its_escaped_words(shown):
    from matplotlib import pyplot

    figure, _ = pyplot.subplots()
    plots.show(figure, alt='A line that says "x < y" in words')
    html = shown[0]["text/html"]
    assert 'alt="A line that says &quot;x &lt; y&quot; in words"' in html
    assert base64.b64decode(re.search(r"base64,([^\"]+)", html)[1]).startswith(b"\x89PNG")
    assert not pyplot.fignum_exists(figure.number)


def test_a_figure_without_a_description_is_refused():
    from matplotlib import pyplot

    with pytest.raises(ValueError, match="does not describe a figure"):
        plots.show(pyplot.figure(), alt="plot")


def test_a_guess_is_put_beside_the_result():
    assert plots.compare(30_000, 79_887, "$") == "The result is 79,887 $; you guessed 30,000, which is 49,887 off."
    assert "You made no guess" in plots.compare(None, 1.5)


def test_the_guess_is_drawn(shown, capsys):
    plots.against_guess(2, 3.14159, "circumference over diameter")
    assert "you guessed 2" in capsys.readouterr().out
    assert "circumference over diameter: The result is 3.142" in shown[0]["text/html"]


def test_a_guess_that_is_no_number_is_a_sentence():
    with pytest.raises(CourseError, match="A guess is a number, not 'many'"):
        plots.against_guess("many", 3, "trees")

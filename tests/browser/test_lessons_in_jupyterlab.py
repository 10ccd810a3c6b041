"""Each lesson in a real browser: a newcomer runs everything, is told each mistake, and is believed when right."""

import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import jupyterlab
from chat_box import streams_and_stops

from course_utils.learn import catalog, passport

# What a page can do beyond its cells is tried on the same page: running a lesson once more takes a minute.
BEYOND_ITS_CELLS = {"week07": streams_and_stops}
OWN_FILES = ("week00", "week01")  # they have tests of their own beside this one


def lessons():
    return [one for one in catalog.lessons() if one.id not in OWN_FILES]


def stub_of(exercise):
    return f"my_{exercise.id.partition('.')[2]}"


@pytest.fixture(scope="module")
def server(tmp_path_factory, lesson_cache):
    """One JupyterLab for all lessons."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSE_CACHE_DIR", str(lesson_cache))
        with jupyterlab.lab(tmp_path_factory.mktemp("lab"), "any.ipynb") as address:
            yield address


@pytest.fixture
def address(server, lesson):
    """The lesson in a workspace of its own; its kernel ends with the test."""
    yield server.replace("/lab/tree/any.ipynb", f"/lab/workspaces/{lesson.id}/tree/{lesson.path.name}")
    jupyterlab.end_kernels(server)


@pytest.mark.parametrize("lesson", lessons(), ids=lambda one: one.id)
def test_a_newcomer_runs_the_lesson_and_tries_its_exercises(lesson, address):
    papers = passport.read(lesson.path)
    with jupyterlab.page(address) as tab:
        jupyterlab.wait_until_ready(tab)
        jupyterlab.run_all(tab, f"{lesson.id} finished in", seconds=240)
        assert tab.locator("[data-mime-type='application/vnd.jupyter.error']").count() == 0
        assert tab.locator(".jp-OutputArea img[alt]").count() >= 5
        assert tab.locator(".jp-OutputArea .Quiz").count() == len(papers.quiz)
        tab.screenshot(path=jupyterlab.output_folder() / f"{lesson.id}.png")

        for exercise in catalog.exercises_of(lesson.id).values():
            check = f'course.check("{exercise.id}"'
            stub = f"def {stub_of(exercise)}("
            wrong = exercise.mistakes[0]
            verdict = jupyterlab.write_and_check(tab, stub, exercise.typed(wrong.solution), check)
            assert verdict.get_attribute("data-status") == "not yet"
            shown = re.sub("[`*]", "", wrong.message)[:60]
            assert shown in " ".join(verdict.inner_text().split())
            verdict = jupyterlab.write_and_check(tab, stub, exercise.solution_source(), check)
            assert verdict.get_attribute("data-status") == "passed"
        if beyond := BEYOND_ITS_CELLS.get(lesson.id):
            beyond(tab)

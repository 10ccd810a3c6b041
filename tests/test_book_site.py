"""A whole book of two tiny lessons: what its files hold, and that a failed build changes nothing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import book_maker
from bs4 import BeautifulSoup

from course_utils.book import build, faults
from course_utils.errors import CourseError

COURSE = str(Path(sys.executable).parent / "course")


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    """The folder of the site, which is made once."""
    folder = tmp_path_factory.mktemp("course")
    with pytest.MonkeyPatch.context() as patch:
        assert book_maker.site(folder, patch, folder / "book") == []
    return folder / "book"


def soup(path):
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


@pytest.mark.slow
def test_no_link_is_dead_every_picture_has_words_and_nothing_comes_from_elsewhere(book):
    assert faults.find(book) == []


@pytest.mark.slow
def test_a_lesson_has_its_outputs_its_quiz_its_folds_and_its_formulas(book):
    page = soup(book / "notebooks" / "week01_one.html")
    assert page.h1.text.startswith("Week 01 · One tiny lesson")
    assert page.find("img", alt="A white box.")["width"] == "600"
    assert len(page.select(".course-quiz button.course-answer")) == 2
    assert len(page.select("details.course-solution .highlight pre")) == 1
    assert len(page.find_all("math")) == 2 and "$" not in page.find("article").text
    assert "written to course/runs/x" in page.text and "%|" not in page.text
    assert page.find("a", class_="right-next")["href"] == "week02_two.html"


@pytest.mark.slow
def test_the_notebook_can_be_had_and_the_widget_has_a_stand_in(book):
    assert json.loads((book / "notebooks" / "week01_one.ipynb").read_text())["nbformat"] == 4
    page = soup(book / "notebooks" / "week02_two.html")
    assert "Prompt: a red apple" in page.select_one(".course-live").text
    assert page.find("a", string="the first")["href"] == "week01_one.html"
    assert page.find("a", string="Open in Colab")["href"].endswith("/notebooks/week02_two.ipynb")


@pytest.mark.slow
def test_the_first_page_is_the_syllabus_with_how_to_start_and_a_menu_of_everything(book):
    page = soup(book / "index.html")
    assert page.h1.text.startswith("Syllabus")
    headings = [one.text.strip("#\n ") for one in page.select("article h2")]
    assert headings[:2] == ["Start", "Using other courses with this one"]
    assert page.find("td").a["href"] == "notebooks/week01_one.html"
    names = {one["href"] for one in page.select(".bd-sidebar-primary a[href]")}
    wanted = {"notebooks/week02_two.html", "glossary.html", "memory.html", "instructor.html", "validator.html"}
    assert wanted | {"docs/assigning.html", "docs/cluster.html", "docs/multi_gpu.html", "README.html"} <= names


@pytest.mark.slow
def test_a_book_with_a_dead_link_is_not_made_and_the_old_one_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(book_maker, "SYLLABUS", "# Syllabus\n\n[gone](notebooks/week55_gone.ipynb)\n\n## More\n")
    out = tmp_path / "book"
    out.mkdir()
    (out / build.MARK).write_text("{}")
    warnings = book_maker.site(tmp_path, monkeypatch, out)
    assert len(warnings) == 1 and "week55_gone" in warnings[0]
    assert [one.name for one in out.iterdir()] == [build.MARK]
    assert sorted(one.name for one in tmp_path.iterdir()) == ["book", "notebooks", "runs"]


def test_a_folder_that_holds_something_else_is_never_replaced(tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(CourseError, match="holds something that is no book. Name an empty or a new folder with --out"):
        build.make(tmp_path, book=None)
    with pytest.raises(CourseError, match="no book"):
        build.make(tmp_path / "letter.txt", book=None)
    with pytest.raises(CourseError, match="cannot be made: .* Name another folder with --out"):
        build.make(tmp_path / "letter.txt" / "book", book=None)


def test_the_old_book_comes_back_where_the_new_one_cannot_take_its_place(tmp_path):
    out, old = tmp_path / "out", tmp_path / "old"
    out.mkdir()
    (out / build.MARK).write_text("{}")
    with pytest.raises(FileNotFoundError):
        build.replace(out, tmp_path / "missing", old)
    assert (out / build.MARK).is_file() and not old.exists()


def test_without_sphinx_it_says_what_installs_it(monkeypatch):
    monkeypatch.setattr(build, "find_spec", lambda name: None if name == "sphinx" else True)
    with pytest.raises(CourseError, match="needs sphinx, which is not installed. Type `make book`"):
        build.require_packages()


@pytest.mark.slow
def test_without_a_run_the_command_is_one_sentence_and_status_2(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_RUNS_DIR", str(tmp_path / "none"))
    done = subprocess.run([COURSE, "book", "--out", tmp_path / "book"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and done.stderr.startswith("course: No lesson has passed in a run below")
    assert "Traceback" not in done.stderr and not (tmp_path / "book").exists()

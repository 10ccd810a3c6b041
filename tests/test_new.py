"""`course new`: the lesson that it makes keeps the contract as it is, and nothing is made by halves."""

import json
import os
import shutil
import subprocess
import sys

import pytest

import course_utils.exercises
from course_utils.book import new
from course_utils.errors import CourseError
from course_utils.learn import catalog, passport
from course_utils.learn.check import examine
from course_utils.learn.paths import project_dir
from course_utils.run.validate import lint


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """An empty clone that the catalogue takes for the course."""
    monkeypatch.setattr(catalog, "project_dir", lambda: tmp_path)
    monkeypatch.setattr(course_utils.exercises, "__path__", [str(tmp_path / "course_utils" / "exercises")])
    monkeypatch.delitem(sys.modules, "course_utils.exercises.week13", raising=False)
    return tmp_path


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_the_new_lesson_keeps_the_contract(clone):
    made = new.make("week13", "Graphs", clone)
    assert [path.relative_to(clone).as_posix() for path in made] == [
        "notebooks/week13_graphs.ipynb",
        "course_utils/exercises/week13.py",
        "tests/right_answers/week13.py",
    ]
    assert lint(made[0]) == []


def test_nothing_of_the_template_is_left_over(clone):
    for path in new.make("week13b", "Graphs", clone):
        text = path.read_text(encoding="utf-8")
        assert "week13b" in text and not any(word in text for word in ("weekNN", "Week NN", "TITLE"))


def test_its_exercises_know_their_right_answers_and_their_mistakes(clone):
    new.make("week13", "Graphs", clone)
    known = catalog.exercises_of("week13")
    assert list(known) == ["week13.squared_residuals", "week13.fit_line", "week13.leverage"]
    for exercise in known.values():
        assert examine(exercise, exercise.reference).status == "passed"
        for mistake in exercise.mistakes:
            assert examine(exercise, mistake.solution).mistake == mistake.message


def test_a_title_may_hold_quotation_marks_accents_and_line_breaks(clone):
    path = new.make("week13", '  Très "grand":\n C:\\x?  ', clone)[0]
    assert path.name == "week13_tres_grand_c_x.ipynb"
    assert passport.read(path).title == 'Week 13 · Très "grand": C:\\x?'


@pytest.mark.parametrize("title, slug", [("One " * 30, "one_" * 10), ("x" * 90, "x" * 40)])
def test_a_long_title_makes_a_short_name(title, slug):
    assert new._slug(title) == slug.strip("_")


@pytest.mark.parametrize("lesson", ["week1", "week133", "13", "Week13", "week13ab", "week13/..", "gan", "week13\n"])
def test_a_bad_id_is_refused(lesson, clone):
    with pytest.raises(CourseError, match="is no id of a lesson: .* such as week13"):
        new.make(lesson, "Graphs", clone)
    assert files(clone) == []


def test_a_title_without_a_letter_is_refused(clone):
    with pytest.raises(CourseError, match="has no letter or digit"):
        new.make("week13", " ?! ", clone)
    assert files(clone) == []


@pytest.mark.parametrize(
    "there", ["notebooks/week13_other.ipynb", "course_utils/exercises/week13.py", "tests/right_answers/week13.py"]
)
def test_what_exists_is_left_alone(there, clone):
    (clone / there).parent.mkdir(parents=True)
    (clone / there).write_text("mine")
    with pytest.raises(CourseError, match=f"week13 exists: {there}. Take another id"):
        new.make("week13", "Graphs", clone)
    assert files(clone) == [there] and (clone / there).read_text() == "mine"


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_where_one_file_cannot_be_written_none_is_left(error, clone, monkeypatch):
    def write(path, content, write=new.write_atomically):
        if "right_answers" in str(path):
            raise error
        write(path, content)

    monkeypatch.setattr(new, "write_atomically", write)
    with pytest.raises(type(error)):
        new.make("week13", "Graphs", clone)
    assert files(clone) == []


@pytest.mark.slow
def test_in_a_clone_of_the_course_the_new_lesson_runs_and_passes_the_tests_of_its_exercises(tmp_path):
    root = project_dir()
    skip = shutil.ignore_patterns("__pycache__", "bundled")
    shutil.copytree(root / "course_utils", tmp_path / "course_utils", ignore=skip)
    for name in ("requirements.lock", "tests/conftest.py", "tests/test_exercises.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(root / name, tmp_path / name)
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "COURSE_RUNS_DIR": str(tmp_path / "runs")}

    def typed(*words, module="course_utils.cli"):
        call = [sys.executable, "-c", f"from {module} import main; raise SystemExit(main())", *words]
        done = subprocess.run(call, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert "notebooks/week13_graphs.ipynb" in typed("new", "week13", "Graphs")
    assert "keep their contract" in typed("lint", "week13")
    typed("run", "week13", "--profile", "smoke", "--report", "report")
    lesson = json.loads((tmp_path / "report" / "report.json").read_text())["lessons"][0]
    assert (lesson["status"], lesson["checks"]["blank"], len(lesson["metrics"])) == ("passed", 3, 2)
    tested = typed("-q", "-p", "no:cacheprovider", "tests/test_exercises.py", "-k", "week13", module="pytest")
    assert "passed" in tested

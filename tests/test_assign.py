"""`course assign`: what is in a release, what its instructor keeps, and what is refused."""

import json
import re
import stat
import subprocess
import zipfile
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

import nbformat
import numpy as np
import pytest
from packaging.requirements import Requirement
from typer.testing import CliRunner

from course_utils.cli import app
from course_utils.errors import CourseError
from course_utils.learn import check as checks
from course_utils.learn.attempt import cases_of, public_seed
from course_utils.learn.catalog import find_exercise
from course_utils.teach import assign as making
from course_utils.teach import key as keys
from course_utils.teach import origin, own_contract
from course_utils.teach.assign import Options, assign

ROOT = Path(__file__).parents[1]
EXAMPLE = re.search(r"```python\n(import numpy.*?)```", (ROOT / "docs/assigning.md").read_text(), re.DOTALL)[1]


def released(folder, options=None, lesson="week01", **others):
    """A release unpacked: its notebook, its folder and its key."""
    made = assign(lesson, folder / "lab.zip", options, **others)
    with zipfile.ZipFile(made.zips[0]) as archive:
        archive.extractall(folder)
    inside = folder / made.key.name
    return nbformat.read(next(inside.glob("*.ipynb")), as_version=4), inside, keys.read_key(made.key_path)


@pytest.fixture
def example(tmp_path):
    file = tmp_path / "relu.py"
    file.write_text(EXAMPLE)
    return file


def by_id(notebook):
    return {cell.id: cell for cell in notebook.cells}


def nbgrader_facts(notebook, kind):
    found = [cell.metadata.get("nbgrader", {}) for cell in notebook.cells]
    return {one["grade_id"]: one for one in found if one.get("grade_id", "").startswith(kind)}


def test_a_release_is_a_valid_notebook_without_outputs(tmp_path):
    notebook, inside, _ = released(tmp_path)
    nbformat.validate(notebook)
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
    assert all(not cell.outputs and cell.execution_count is None for cell in notebook.cells if cell.cell_type == "code")
    assert {one.name for one in inside.iterdir()} == {
        "week01_regression.ipynb",
        "README.md",
        "environment.yml",
        "requirements.lock",
    }


def test_the_key_names_the_cells_of_attempt_and_check(tmp_path):
    notebook, _, key = released(tmp_path)
    cells = by_id(notebook)
    assert [one.id for one in key.exercises] == [
        f"week01.{name}" for name in ("rmse", "least_squares", "standardise", "ridge", "folds")
    ]
    for one in key.exercises:
        assert f"def {one.name}(" in cells[one.cell].source
        assert f'course.check("{one.id}", {one.name})' in cells[one.check_cell].source
        assert one.points == find_exercise(one.id).points
    assert notebook.metadata.course.release == key.release_id
    assert key.notebook == json.loads(json.dumps(notebook))


def test_attempts_can_be_edited_and_checks_and_points_cannot(tmp_path):
    notebook, _, key = released(tmp_path)
    cells = [cell for cell in notebook.cells if "nbgrader" in cell.metadata]
    assert len(cells) == 3 * len(key.exercises)
    for cell in cells:
        assert cell.metadata.deletable is False
        assert (cell.metadata.get("editable") is False) == (not cell.source.startswith("def "))


def test_only_chosen_exercises_are_graded_and_the_others_say_so(tmp_path):
    notebook, inside, key = released(tmp_path, Options(exercises="week01.ridge, rmse"))
    assert [one.id for one in key.exercises] == ["week01.rmse", "week01.ridge"]
    notes = {cell.id: cell.source for cell in notebook.cells if cell.id.startswith("note-")}
    assert {id for id, text in notes.items() if "Graded" in text} == {"note-week01-rmse", "note-week01-ridge"}
    assert sum("brings no points" in text for text in notes.values()) == 3
    assert sum("course.nbgrader_points" in cell.source for cell in notebook.cells) == 2
    assert "week01.folds" not in (inside / "README.md").read_text()


def test_two_releases_differ_in_their_id_alone(tmp_path):
    folders = [tmp_path / "a", tmp_path / "b"]
    texts = []
    for folder in folders:
        folder.mkdir()
        _, inside, key = released(folder)
        files = {one.name: one.read_bytes() for one in inside.iterdir()}
        texts.append({name: data.replace(key.release_id.encode(), b"ID") for name, data in files.items()})
    assert texts[0] == texts[1]


def test_the_checksum_is_nbgraders_own(tmp_path):
    utils = pytest.importorskip("nbgrader.utils")
    from nbgrader.nbgraderformat import MetadataValidator

    notebook, _, _ = released(tmp_path)
    MetadataValidator().validate_nb(notebook)
    marked = [cell for cell in notebook.cells if "nbgrader" in cell.metadata]
    assert [cell.metadata.nbgrader.checksum for cell in marked] == [utils.compute_checksum(cell) for cell in marked]


def test_the_readme_says_points_deadline_and_what_to_install(tmp_path):
    _, inside, key = released(
        tmp_path, Options(deadline="2026-12-24T18:00+01:00", name="lab1", package="git+https://a.b")
    )
    text = (inside / "README.md").read_text()
    assert text.startswith("# lab1: ") and "Thursday, 24 December 2026, 18:00 (UTC+0100)" in text
    for one in key.exercises:
        assert f"| `{one.id}` | {one.points} |" in text
    assert 'pip install --constraint requirements.lock "git+https://a.b"' in text
    assert key.deadline == "2026-12-24T18:00:00+01:00"


def test_the_lock_holds_what_the_core_needs_and_no_more(tmp_path):
    _, inside, _ = released(tmp_path)
    mine, whole = (
        set(path.read_text().splitlines()) for path in (inside / "requirements.lock", ROOT / "requirements.lock")
    )
    names = {line.partition("==")[0] for line in mine}
    assert mine < whole
    assert {"torch", "numpy", "jupyterlab", "nvidia-cublas"} <= names
    assert names.isdisjoint({"transformers", "diffusers", "pytest", "nbgrader", "distributed"})


def test_an_extra_brings_its_packages(tmp_path):
    _, inside, _ = released(tmp_path, lesson="week07")
    assert "\ntransformers==" in (inside / "requirements.lock").read_text()
    assert re.search(r"course-utils\[llm\]( @ git\+https://|==)", (inside / "environment.yml").read_text())


def test_students_install_the_commit_that_the_clone_is_at_from_its_public_address(tmp_path):
    def git(*arguments):
        command = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "one")
    version = metadata.version("course-utils")
    assert origin.requirement("", tmp_path) == f"course-utils=={version}"
    git("remote", "add", "origin", "git@example.org:someone/course.git")
    commit = git("rev-parse", "HEAD")
    assert origin.requirement("llm", tmp_path) == (
        f"course-utils[llm] @ git+https://example.org/someone/course.git@{commit}"
    )
    assert Requirement(origin.requirement("llm", tmp_path)).url


@pytest.mark.parametrize(
    "remote", ["", "/srv/git/course", "file:///srv/course", "https://name:secret@example.org/course"]
)
def test_an_address_that_students_cannot_or_must_not_have_is_not_written_into_a_release(remote):
    assert origin.address(remote) == ""


def test_a_wheel_goes_into_the_zip(tmp_path):
    wheel = tmp_path / "course_utils-0.1.0-py3-none-any.whl"
    wheel.write_bytes(b"a wheel")
    _, inside, _ = released(tmp_path, Options(package=str(wheel)))
    assert (inside / wheel.name).read_bytes() == b"a wheel"
    assert f'pip install --constraint requirements.lock "./{wheel.name}"' in (inside / "README.md").read_text()


def test_the_key_is_its_owners_alone_and_is_never_overwritten(tmp_path):
    made = assign("week01", tmp_path / "week01.zip")
    assert stat.S_IMODE(made.key_path.stat().st_mode) == 0o600
    before = made.key_path.read_bytes()
    with pytest.raises(CourseError, match=r"week01.key exists, and no key is ever overwritten. Choose another --name"):
        assign("week01", tmp_path / "other.zip")
    with pytest.raises(CourseError, match="no key is ever overwritten"):
        keys.write_key(made.key_path, made.key)
    assert made.key_path.read_bytes() == before
    assert sorted(one.name for one in tmp_path.iterdir()) == ["week01.key", "week01.zip"]


def test_a_key_comes_back_as_it_was(tmp_path):
    made = assign("week01", tmp_path / "week01.zip")
    assert keys.read_key(made.key_path) == made.key
    assert set(keys.exercises_of_key(made.key)) == {one.id for one in made.key.exercises}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"version": 99}, "was made by format version 99, and this is 1"),
        ({"versions": {"course": "9.9"}}, "was made by course version 9.9"),
        ({"secret": "00"}, "is not the key of a release"),
        ({"exercises": [{"id": 1}]}, "is not the key of a release"),
        ({"notebook": None}, "is not the key of a release"),
    ],
)
def test_a_key_that_does_not_fit_is_refused(tmp_path, change, sentence):
    made = assign("week01", tmp_path / "week01.zip")
    made.key_path.write_text(json.dumps(json.loads(made.key_path.read_text()) | change))
    with pytest.raises(CourseError, match=sentence):
        keys.read_key(made.key_path)


def test_a_key_whose_exercises_changed_is_refused(tmp_path, monkeypatch):
    made = assign("week01", tmp_path / "week01.zip")
    monkeypatch.setattr(keys, "source_sha256", lambda lesson: "other")
    with pytest.raises(CourseError, match="The exercises of week01 have changed since"):
        keys.read_key(made.key_path)


@pytest.mark.parametrize("content", ["", "[]", "{}", "[" * 100_000, "\0"])
def test_what_is_no_key_is_refused(tmp_path, content):
    path = tmp_path / "a.key"
    path.write_text(content)
    with pytest.raises(CourseError, match="is not the key of a release"):
        keys.read_key(path)
    with pytest.raises(CourseError, match="cannot be read: No such file"):
        keys.read_key(tmp_path / "nowhere.key")


def test_seeds_differ_by_exercise_round_and_release_and_are_the_same_each_time(tmp_path):
    first, second = (
        assign("week01", tmp_path / "a.zip", Options(name="a")),
        assign("week01", tmp_path / "b.zip", Options(name="b")),
    )
    asked = [
        (first.key, "week01.rmse", 1),
        (first.key, "week01.rmse", 2),
        (first.key, "week01.folds", 1),
        (second.key, "week01.rmse", 1),
    ]
    seeds = [keys.case_seed(*one) for one in asked]
    assert len(set(seeds)) == 4 and seeds == [keys.case_seed(*one) for one in asked]
    assert (
        keys.signature(first.key, b"data") != keys.signature(second.key, b"data") != keys.signature(second.key, b"date")
    )
    np.random.default_rng(seeds[0])


def test_each_student_gets_other_constants(tmp_path):
    roster = tmp_path / "roster.csv"
    roster.write_text("id,name,email\ns1,Ada,a@x\ns2,Bea,b@x\n")
    made = assign("week01", tmp_path / "zips", roster=roster)
    assert [path.name for path in made.zips] == ["week01-s1.zip", "week01-s2.zip"]
    variants = set()
    for path in made.zips:
        with zipfile.ZipFile(path) as archive:
            notebook = json.loads(archive.read("week01/week01_regression.ipynb"))
        variants.add(notebook["metadata"]["course"]["variant"])
        assert notebook["metadata"]["course"]["release"] == made.key.release_id
    assert len(variants) == 2 and "" not in variants
    exercise = find_exercise("week01.rmse")
    ordinary = [cases_of(exercise, public_seed(exercise.id, one)) for one in ("", *variants)]
    drawn = {str(case.args) for cases in ordinary for case in cases}
    assert len(drawn) > len(ordinary[0])


def test_bars_count_the_rules_and_the_zips(tmp_path, monkeypatch):
    bars = []

    @contextmanager
    def recorded(title, total=None, unit=""):
        bars.append((unit, total, counts := []))
        yield counts.append

    monkeypatch.setattr(making, "bar", recorded)
    monkeypatch.setattr(own_contract, "bar", recorded)
    (tmp_path / "roster.csv").write_text("id\ns1\ns2\ns3\n")
    (tmp_path / "relu.py").write_text(EXAMPLE)
    assign("week01", tmp_path / "zips", roster=tmp_path / "roster.csv", own_file=tmp_path / "relu.py")
    assert bars == [("", None, []), ("rules", 7, [*range(7)]), ("zips", 3, [*range(3)])]


WRONG = [
    (["wek01"], "There is no lesson 'wek01'. The nearest is 'week01'"),
    (
        ["week01", "--exercises", "week01.rsme"],
        "has no exercise 'week01.rsme'. The nearest is 'week01.rmse'. It has week01.rmse,",
    ),
    (["week01", "--exercises", ","], "names none. week01 has week01.rmse,"),
    (["week01", "--deadline", "2026-12-24T18:00"], "does not say in which time zone"),
    (["week01", "--deadline", "Christmas"], "'Christmas' is no time. Write it as 2026-12-24T18:00+01:00"),
    (["week01", "--name", "../x"], "'../x' would not do as a file's name"),
    (["week01", "--package", "a'b"], "is nothing that pip takes"),
    (["week01", "--package", "none.whl"], "The wheel none.whl cannot be read"),
    (["week01", "--with", "none.py"], "none.py cannot be read: No such file"),
    (["week01", "--vary", "none.csv"], "none.csv cannot be read: No such file"),
]


@pytest.mark.parametrize(("words", "sentence"), WRONG, ids=[sentence for _, sentence in WRONG])
def test_wrong_use_is_one_sentence_and_leaves_nothing(tmp_path, words, sentence):
    done = CliRunner().invoke(app, ["assign", *words, "--out", str(tmp_path / "out.zip")])
    assert isinstance(done.exception, CourseError) and sentence in str(done.exception)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("name,email\nAda,a@x\n", "has no column 'id'"),
        ("id,name\ns1,Ada\nS1,Bea\n", "repeats the id S1"),
        ("id,name\n../s1,Ada\n", "the id '../s1' would not do in a file's name"),
        ("id,name\n,Ada\n", "has no id"),
        ("id,name\n", "lists no student"),
        ("", "has no column 'id'"),
    ],
)
def test_a_roster_that_does_not_fit_is_refused(tmp_path, text, sentence):
    (tmp_path / "r.csv").write_text(text)
    with pytest.raises(CourseError, match=re.escape(sentence)):
        assign("week01", tmp_path / "zips", roster=tmp_path / "r.csv")
    assert [one.name for one in tmp_path.iterdir()] == ["r.csv"]


def test_what_exists_is_not_overwritten_and_a_missing_folder_is_named(tmp_path):
    (tmp_path / "out.zip").write_text("mine")
    with pytest.raises(CourseError, match="out.zip exists. Choose another --out"):
        assign("week01", tmp_path / "out.zip")
    with pytest.raises(CourseError, match="There is no folder"):
        assign("week01", tmp_path / "nowhere" / "out.zip")
    with pytest.raises(CourseError, match="must be a file that ends in .zip"):
        assign("week01", tmp_path / "out")
    assert [one.read_text() for one in tmp_path.iterdir()] == ["mine"]


def test_a_failed_write_takes_its_key_back(tmp_path, monkeypatch):
    def full(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("course_utils.teach.assign.write_atomically", full)
    with pytest.raises(CourseError, match="cannot be written: No space left on device"):
        assign("week01", tmp_path / "out.zip")
    assert list(tmp_path.iterdir()) == []


def test_the_example_in_the_docs_is_released_and_checked_without_its_solution(tmp_path, example, monkeypatch, capsys):
    notebook, inside, key = released(tmp_path, Options(exercises="rmse"), own_file=example)
    assert [one.id for one in key.exercises] == ["week01.rmse", "own.relu"]
    stub = by_id(notebook)[key.exercises[1].cell].source
    assert stub.endswith("def my_relu(x: np.ndarray) -> np.ndarray:\n    raise NotImplementedError")
    assert not any("np.maximum(x, 0)" in file.read_text() for file in inside.iterdir())
    assert key.own == {"relu.py": EXAMPLE}
    assert len(keys.exercises_of_key(key)["own.relu"].mistakes) == 2

    monkeypatch.chdir(inside)
    right = lambda x: x * (x > 0)  # noqa: E731
    assert checks.check("own.relu", right) is right
    assert "Passed · own.relu · 2 of 2 points" in capsys.readouterr().out
    checks.check("own.relu", np.abs)
    assert "That is the absolute value" in capsys.readouterr().out
    names = {}
    exec(stub, names)
    assert checks.check("own.relu", names["my_relu"]) is names["my_relu"]
    said = capsys.readouterr().out
    assert "Not attempted · own.relu" in said and "course's solution" not in said
    checks.check("own.rely", np.abs)
    assert "There is no exercise 'own.rely' in own_exercises.json; the nearest is" in capsys.readouterr().out


def test_own_exercises_alone_may_be_graded(tmp_path, example):
    _, _, key = released(tmp_path, Options(exercises="none"), own_file=example)
    assert [one.id for one in key.exercises] == ["own.relu"]
    with pytest.raises(CourseError, match="week01 has no exercise 'none'"):
        assign("week01", tmp_path / "b.zip", Options(exercises="none", name="b"))


def test_two_own_exercises_of_one_id_are_refused(tmp_path, example):
    example.write_text(EXAMPLE + EXAMPLE.replace("def relu", "def other").replace("@relu", "@other"))
    with pytest.raises(CourseError, match="relu.py has two exercises of one id among own.relu, own.relu"):
        assign("week01", tmp_path / "a.zip", own_file=example)


def test_a_damaged_file_of_own_exercises_is_a_sentence(tmp_path, example, monkeypatch, capsys):
    _, inside, _ = released(tmp_path, own_file=example)
    monkeypatch.chdir(inside)
    file = inside / "own_exercises.json"
    whole = json.loads(file.read_text())
    entry = whole["exercises"]["own.relu"]
    for broken in ("", "[]", json.dumps(whole | {"exercises": {"own.relu": entry | {"values": "AAAA"}}})):
        file.write_text(broken)
        checks.check("own.relu", abs)
        assert "own_exercises.json is damaged" in capsys.readouterr().out
    file.write_text(json.dumps(whole | {"format": 9}))
    checks.check("own.relu", abs)
    assert "is of another format than 1" in capsys.readouterr().out
    file.unlink()
    checks.check("own.relu", abs)
    assert "It belongs beside the notebook: unpack it again" in capsys.readouterr().out


def test_a_lesson_started_where_its_notebook_is_not_says_so(tmp_path, monkeypatch):
    from course_utils.learn import catalog, passport

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(catalog, "lessons", lambda folder=None: [])
    with pytest.raises(CourseError, match="No notebook of 'week01' lies in .*, where this kernel runs"):
        passport.find_notebook("week01")


def test_a_renamed_release_is_found_by_what_it_says_of_itself(tmp_path, monkeypatch):
    from course_utils.learn import passport

    _, inside, _ = released(tmp_path)
    renamed = (inside / "week01_regression.ipynb").rename(inside / "My lab (1).ipynb")
    monkeypatch.chdir(inside)
    assert passport.find_notebook("week01") == renamed
    assert passport.find_notebook("week02").name == "week02_classification.ipynb"


def test_the_command_says_what_it_made(tmp_path):
    done = CliRunner().invoke(app, ["assign", "week01", "--exercises", "rmse", "--out", str(tmp_path / "a.zip")])
    assert done.exit_code == 0
    assert "a.zip: 1 graded exercise, 1 point." in done.output and "week01.key: the key that grades it" in done.output


def test_an_own_exercise_outside_its_release_is_a_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    checks.check("own.relu", abs)
    assert "Check it in the notebook of its release" in capsys.readouterr().out


BROKEN = [
    ("def relu(x):\n    return x\n", "", "holds no exercise"),
    (r"\A", "(", "is not Python"),
    (r"\A", "import nowhere_at_all\n", "ModuleNotFoundError: No module named 'nowhere_at_all', line 1. Mend it"),
    (r"\A", "import sys\nsys.exit(3)\n", "cannot be run: SystemExit: 3, line 2. Mend it"),
    ('"own.relu"', '"week03.relu"', 'an own exercise is called "own."'),
    ("difficulty=1", "difficulty=7", "difficulty 1, 2 or 3"),
    (r"    \"\"\".*?\"\"\"\n", "", "has no docstring"),
    (r"@relu\.cases", "@staticmethod", "it has no cases"),
    (r"    yield Case\(\(rng.normal\(size=\(2.*?\n", "", "it has 1 case"),
    (r"return np\.maximum\(x, 0\)", "return np.random.default_rng().normal()", "its own reference does not pass"),
    (r"return np\.abs\(x\)", "return np.maximum(x, 0)", "passes. Add a case"),
    (r"return x\[x > 0\]", "return np.abs(x)", "Add a case that parts the two"),
    (
        r"\"You drop.*?\"",
        '"That is the absolute value: negative entries must become 0."',
        "1 known mistakes with a sentence",
    ),
]


@pytest.mark.parametrize(("old", "new", "sentence"), BROKEN, ids=[sentence for *_, sentence in BROKEN])
def test_an_own_exercise_that_breaks_a_rule_is_refused(tmp_path, old, new, sentence):
    text = re.sub(old, new, EXAMPLE, flags=re.DOTALL) if "holds" not in sentence else old
    file = tmp_path / "relu.py"
    file.write_text(text)
    assert text != EXAMPLE
    with pytest.raises(CourseError, match=f"relu.py.*{re.escape(sentence)}"):
        assign("week01", tmp_path / "out.zip", own_file=file)
    assert [one.name for one in tmp_path.iterdir()] == ["relu.py"]


OTHER = """
import pandas as pd
from course_utils.learn.exercise import Case, exercise
SCALE = 1

@exercise("own.other", points=1, minutes=5, difficulty=1, needs=("pandas",), hints=())
def other(n):
    'Do it.'
    return ANSWER

@other.cases
def _(rng):
    yield Case((INPUT,))
    yield Case((2,))

DRIVE

@other.mistake("One.")
def _(n):
    return "one"

@other.mistake("Two.")
def _(n):
    return "two"
"""


@pytest.mark.parametrize(
    ("answer", "given", "drive", "sentence"),
    [
        ("0", "1", "", "the constant 0 passes. Add a case with another answer"),
        (
            "pd.DataFrame({'a': [n]})",
            "1",
            "",
            "where its solution is not, its check fails: What differs: a DataFrame of 1 rows",
        ),
        ("n", "'x' * 2**25", "", "its values cannot be sent: more than"),
        (
            "n",
            "1",
            "@other.drive\ndef _(attempt, n):\n    return attempt(n), SCALE",
            "where its solution is not, its check fails: It raised NameError: name 'SCALE' is not defined",
        ),
        ("n", "1", "@other.drive\ndef _(attempt, n):\n    return attempt(n), pd.NA is None", ""),
    ],
    ids=["constant", "frame", "large", "drive", "good"],
)
def test_an_own_exercise_must_work_where_its_solution_is_not(tmp_path, answer, given, drive, sentence):
    file = tmp_path / "other.py"
    file.write_text(OTHER.replace("ANSWER", answer).replace("INPUT", given).replace("DRIVE", drive))
    if sentence:
        with pytest.raises(CourseError, match=f"other.py: own.other: {re.escape(sentence)}"):
            assign("week01", tmp_path / "out.zip", own_file=file)
    else:
        assign("week01", tmp_path / "out.zip", own_file=file)

"""No release of any lesson holds a line of a solution, a mistake's source, or the secret."""

import base64
import inspect
import json
import textwrap
import zipfile

import pytest

from course_utils.learn.catalog import exercises_of, lessons
from course_utils.teach.assign import Options, assign

LESSONS = [one for one in lessons() if exercises_of(one.id)]


def lines_of(text):
    return {line.strip() for line in text.splitlines()}


def distinctive(exercises, known):
    """Lines of references and mistakes, long enough to tell something, that the lesson itself does not show."""
    solutions = [one for e in exercises for one in (e.reference, *(mistake.solution for mistake in e.mistakes))]
    found = {line for solution in solutions for line in body(solution) if len(line) > 12}
    return found - known


def body(solution):
    """The lines below `def`."""
    source = textwrap.dedent(inspect.getsource(solution))
    return lines_of(source[source.index("def ") :].partition("\n")[2])


def text_of(path):
    cells = json.loads(path.read_text())["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells)


def files_of(zip_path):
    """What a reader can see: each file as text, and each text in a notebook's JSON as it reads."""
    with zipfile.ZipFile(zip_path) as archive:
        raw = {name: archive.read(name) for name in archive.namelist()}
    notebook = next(data for name, data in raw.items() if name.endswith(".ipynb"))
    cells = "\n".join(cell["source"] for cell in json.loads(notebook)["cells"])
    return raw, lines_of(cells) | {line for data in raw.values() for line in lines_of(data.decode())}


def spellings(secret):
    return secret.hex().encode(), base64.b64encode(secret), base64.urlsafe_b64encode(secret).rstrip(b"="), secret


@pytest.mark.parametrize("lesson", LESSONS, ids=[one.id for one in LESSONS])
def test_a_release_holds_no_solution_and_no_secret(lesson, tmp_path):
    made = assign(lesson.id, tmp_path / "a.zip", Options(name="a"))
    raw, shown = files_of(made.zips[0])
    secret_lines = distinctive(exercises_of(lesson.id).values(), lines_of(text_of(lesson.path)))
    assert len(secret_lines) >= 10
    assert shown & secret_lines == set()
    for spelling in spellings(made.key.secret):
        assert not any(spelling in data for data in raw.values())
    assert not any(name.endswith(".key") or "exercises" in name for name in raw)
    for one in made.key.exercises:
        stub = next(cell for cell in made.key.notebook["cells"] if cell["id"] == one.cell)
        assert stub["source"].rstrip().endswith("raise NotImplementedError")


def test_a_variant_and_an_own_exercise_tell_no_more(tmp_path):
    from test_assign import EXAMPLE

    (tmp_path / "relu.py").write_text(EXAMPLE)
    (tmp_path / "roster.csv").write_text("id\ns1\ns2\n")
    made = assign("week01", tmp_path / "zips", roster=tmp_path / "roster.csv", own_file=tmp_path / "relu.py")
    for path in made.zips:
        raw, shown = files_of(path)
        assert "return np.maximum(x, 0)" not in shown and "return np.abs(x)" not in shown
        for spelling in spellings(made.key.secret):
            assert not any(spelling in data for data in raw.values())


def test_the_search_finds_what_it_looks_for(tmp_path):
    exercises = exercises_of("week01").values()
    line = sorted(distinctive(exercises, set()))[0]
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a/n.ipynb", json.dumps({"cells": [{"source": f"def f(x):\n    {line}\n"}]}))
    _, shown = files_of(tmp_path / "a.zip")
    assert shown & distinctive(exercises, set()) == {line}

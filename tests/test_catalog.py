"""Finding lessons and exercises by name, and writing files whole."""

import os
from pathlib import Path

import pytest

from course_utils.errors import CourseError
from course_utils.learn import catalog, paths


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "electives").mkdir()
    for name in ("week04b_x.ipynb", "week04a_cifar.ipynb", "week00_your_card.ipynb", "electives/gan.ipynb"):
        (tmp_path / name).touch()
    return tmp_path


def test_lessons_come_in_reading_order(folder):
    assert [one.id for one in catalog.lessons(folder)] == ["week00", "week04a", "week04b", "gan"]


@pytest.mark.parametrize("name", ["week04a", "04a", "4a", "WEEK04A"])
def test_a_lesson_has_many_names(name, folder):
    assert catalog.resolve(name, folder).path.name == "week04a_cifar.ipynb"


def test_a_lesson_can_be_a_file(folder):
    assert catalog.resolve(str(folder / "electives" / "gan.ipynb")).id == "gan"


@pytest.mark.parametrize("name, near", [("week05", "week0"), ("gam", "gan"), ("04c", "week04")])
def test_a_wrong_name_suggests_the_nearest(name, near, folder):
    with pytest.raises(CourseError, match=f"There is no lesson '{name}'. The nearest is '{near}"):
        catalog.resolve(name, folder)


def test_a_missing_file_and_an_empty_folder_are_sentences(tmp_path):
    with pytest.raises(CourseError, match="no file 'x.ipynb'. `course list`"):
        catalog.resolve("x.ipynb")
    with pytest.raises(CourseError, match="There is no lesson in"):
        catalog.resolve("week01", tmp_path)


def test_an_exercise_is_found_or_the_nearest_named():
    assert catalog.find_exercise("week01.ridge").points == 3
    with pytest.raises(CourseError, match="no exercise 'week01.rigde'. The nearest is 'week01.ridge'"):
        catalog.find_exercise("week01.rigde")


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    paths.write_atomically(path, "old")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space"):
        paths.write_atomically(path, "new")
    assert path.read_text() == "old" and [one.name for one in tmp_path.iterdir()] == ["a.txt"]


def test_the_folders_follow_their_variables(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_DATA_DIR", str(tmp_path))
    assert paths.data_dir() == tmp_path
    monkeypatch.delenv("COURSE_DATA_DIR")
    monkeypatch.setenv("XDG_DATA_HOME", "/tmp/xdg")
    assert paths.data_dir() == Path("/tmp/xdg/course-utils")

import tomllib
from importlib import metadata

import pytest

from course_utils.errors import CourseError
from course_utils.learn import extras, paths


def test_the_packages_of_an_extra_are_those_of_pyproject():
    listed = tomllib.loads((paths.project_dir() / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for extra, names in listed.items():
        assert sorted(extras.packages(extra)) == sorted(names)


def test_an_installed_extra_passes_and_none_is_always_there():
    extras.require("dev")
    extras.require(None)


def test_a_missing_package_is_named_with_the_command_that_brings_it(monkeypatch):
    version = metadata.version

    def without_trl(name):
        if name == "trl":
            raise metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(metadata, "version", without_trl)
    with pytest.raises(CourseError, match="needs trl, which the extra 'llm' brings.*make extra NAME=llm"):
        extras.require("llm")

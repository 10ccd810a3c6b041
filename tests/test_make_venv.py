"""Making the environment: each thing that can be missing gets one clear sentence."""

import ast
import builtins
import collections
import importlib.util
import re
import shutil
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

TOOL = Path(__file__).parents[1] / "tools" / "make_venv.py"


@pytest.fixture
def tool():
    spec = importlib.util.spec_from_file_location("make_venv", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_nothing_is_missing_here(tool):
    assert tool.what_is_missing("/") is None


def test_an_old_python_is_told_so(tool, monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 9, 2, "final", 0))
    assert tool.what_is_missing("/").startswith("Python 3.9 is too old, 3.11 or newer is needed.")


def test_a_missing_venv_module_names_the_package(tool, monkeypatch):
    real = builtins.__import__

    def without_ensurepip(name, *rest):
        if name == "ensurepip":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_ensurepip)
    assert tool.what_is_missing("/") == "Python's venv module is missing. Type: sudo apt install python3-venv"


def test_a_full_disk_is_told_both_numbers(tool, monkeypatch):
    usage = collections.namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 9, 1024**3))
    assert tool.what_is_missing("/x") == "1.0 GiB are free in /x, 10 are needed. Make room, then try again."


def test_the_lock_holds_every_dependency_at_one_version():
    import tomllib

    root = TOOL.parents[1]
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + sum(project["optional-dependencies"].values(), [])
    lines = [line for line in (root / "requirements.lock").read_text().splitlines() if not line.startswith("#")]
    locked = {line.partition("==")[0].lower().replace("_", "-") for line in lines}
    assert {re.match(r"[\w-]+", one)[0] for one in wanted} <= locked
    assert all(line.count("==") == 1 for line in lines) and len(locked) == len(lines)


def test_every_locked_package_takes_the_first_python_that_the_project_takes():
    lines = (TOOL.parents[1] / "requirements.lock").read_text().splitlines()
    here = {one.name: one.metadata.get("Requires-Python") or "" for one in metadata.distributions()}
    locked = {line.partition("==")[0] for line in lines if "==" in line}
    assert len(locked & here.keys()) > 200
    assert [name for name in sorted(locked & here.keys()) if not SpecifierSet(here[name]).contains("3.11.0")] == []


def test_an_old_python_can_read_the_tool():
    ast.parse(TOOL.read_text(), feature_version=(3, 4))


def test_the_extras_are_those_of_pyproject(tool, monkeypatch):
    import tomllib

    root = TOOL.parents[1]
    monkeypatch.chdir(root)
    names = tomllib.loads((root / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert tool.extras() == list(names)
    assert tool.project("everything") == f".[{','.join(names)}]" and tool.project("llm") == ".[llm]"
    assert tool.project("") == "."


def test_a_misspelt_extra_is_told_the_right_ones(tool):
    assert tool.what_is_wrong("llm", ["llm", "dev"]) is None and tool.what_is_wrong("everything", ["llm"]) is None
    expected = "There is no extra 'lmm'. Type one of: make extra NAME=llm, make extra NAME=dev"
    assert tool.what_is_wrong("lmm", ["llm", "dev"]) == expected


def test_an_extra_needs_less_room_than_the_environment(tool, monkeypatch):
    usage = collections.namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 8, 2 * 1024**3))
    assert tool.what_is_missing("/x", tool.ADDED_GIB) is None
    assert tool.what_is_missing("/x").startswith("2.0 GiB are free in /x, 10 are needed.")

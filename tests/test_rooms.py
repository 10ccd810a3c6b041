"""Imports go one way: cli → book → teach → run → learn → gpu, with errors and bars below all."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "course_utils"
FLOORS = {"bars": 0, "errors": 0, "gpu": 1, "learn": 2, "run": 3, "teach": 4, "book": 5}
FLOORS |= {"cli_run": 6, "cli_teach": 6, "cli_book": 6, "cli": 7}


def imported_rooms(path):
    """The rooms of course_utils that a file imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        modules = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [f"{node.module}.{alias.name}" for alias in node.names]
        for module in modules:
            if module.startswith("course_utils."):
                yield module.split(".")[1], module


def room(path):
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_import_goes_up(path):
    here = room(path)
    for there, module in imported_rooms(path):
        if here == "exercises":
            assert module.startswith("course_utils.learn.exercise."), f"an exercise module imports {module}"
        elif here != "__init__":
            assert there in FLOORS or (here, there) == ("learn", "exercises"), f"{module} is in no room"
            assert FLOORS.get(there, 2) <= FLOORS[here], f"{path.name} imports {module}, which is above it"


def test_the_check_notices_an_arrow_that_goes_up(tmp_path):
    bad = tmp_path / "bad.py"
    bad.write_text("def f():\n    from course_utils.run import plan\n")
    assert list(imported_rooms(bad)) == [("run", "course_utils.run.plan")]
    assert FLOORS["run"] > FLOORS["learn"]


HEAVY = {"torch", "numpy", "pandas", "sklearn", "matplotlib", "IPython", "papermill", "requests", "rich"}


@pytest.mark.parametrize("line", ["import course_utils", "import course_utils.learn.check, course_utils.learn.assets"])
def test_importing_the_course_loads_nothing_heavy(line):
    command = f"import sys; {line}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True).stdout
    assert HEAVY.isdisjoint(loaded.split())


def test_every_public_name_can_be_had_and_an_unknown_one_lists_them():
    import course_utils

    assert all(getattr(course_utils, name) is not None for name in course_utils.__all__)
    with pytest.raises(AttributeError, match="has no 'pick'; it has CourseError, assets, cap, check"):
        course_utils.pick  # noqa: B018


def dotted_name(path):
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


MODULES = {dotted_name(path) for path in PACKAGE.rglob("*.py")}


def names_of(path):
    """The module that a file is, and those of course_utils that it imports, also inside functions."""
    dotted = {module.removeprefix("course_utils.") for _, module in imported_rooms(path)}
    return dotted_name(path), {one if one in MODULES else one.rpartition(".")[0] for one in dotted} & MODULES


def circles(arrows):
    """Sets of modules that reach one another; `arrows` maps each to those that it imports."""
    reach = {}
    for start in arrows:
        todo, reach[start] = list(arrows[start]), set()
        while todo:
            one = todo.pop()
            if one not in reach[start]:
                reach[start].add(one)
                todo += arrows.get(one, ())
    return {frozenset(b for b in reach[a] if a in reach[b]) for a in arrows if a in reach[a]}


def test_no_modules_import_one_another_in_a_circle():
    arrows = dict(names_of(path) for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")
    # `assets` is what notebooks see of both: `assets.load` for data, `assets.model` for models.
    assert circles(arrows) == {frozenset({"learn.assets", "learn.models"})}


def test_a_circle_is_noticed():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == {frozenset("bc")}


def test_modules_stay_short():
    long = {path.name: n for path in PACKAGE.rglob("*.py") if (n := len(path.read_text().splitlines())) > 250}
    assert long == {}


def test_functions_stay_short():
    def lines(node):
        return node.end_lineno - node.lineno + 1

    nodes = [(path.name, node) for path in PACKAGE.rglob("*.py") for node in ast.walk(ast.parse(path.read_text()))]
    functions = [(name, node) for name, node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert [(name, node.name, lines(node)) for name, node in functions if lines(node) > 40] == []

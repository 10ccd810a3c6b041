"""The code that the sandbox runs for an attempt: what it needs of the instructor's notebook, then the attempt.

A student's text is searched for names by a pattern and never parsed here.
"""

import ast
import importlib.util
import re
from dataclasses import dataclass
from functools import cached_property

from course_utils.run.cells import parse
from course_utils.run.notebook import source

_NAMES = re.compile(r"(?<![\w.])[^\W\d]\w*")
_FUTURE = re.compile(r"^from __future__ import \w[\w, ]*$", re.MULTILINE)


@dataclass(frozen=True)
class Definition:
    """An import, a function, a class or a constant of the notebook: what it binds, what it uses, and its code."""

    names: frozenset
    uses: frozenset
    code: str
    modules: tuple[str, ...] = ()


@dataclass(frozen=True)
class Program:
    """Code to run, the number of lines before the attempt, and the modules that it imports."""

    code: str
    lines_before: int
    modules: tuple[str, ...]


@dataclass(frozen=True)
class Programs:
    """Puts programs together for one release."""

    key: object

    @cached_property
    def places(self):
        """Index of each exercise's attempt among the notebook's cells."""
        index = {cell["id"]: place for place, cell in enumerate(self.key.notebook["cells"])}
        return {one.id: index[one.cell] for one in self.key.exercises}

    @cached_property
    def definitions(self):
        """(index of the cell, `Definition`) of the notebook's own code, in its order."""
        skipped = {id for one in self.key.exercises for id in (one.cell, one.check_cell)}
        cells = enumerate(self.key.notebook["cells"])
        trees = [(place, parse(source(cell))) for place, cell in cells if _is_own(cell, skipped)]
        return [(place, one) for place, tree in trees if tree for one in map(_definition, tree.body) if one]

    @cached_property
    def assigned_names(self):
        """The names by which the rest of the notebook knows each exercise: the attempt's and the check's."""
        checks = {cell["id"]: cell for cell in self.key.notebook["cells"]}
        return {one.id: {one.name, *_targets(checks[one.check_cell])} for one in self.key.exercises}

    @cached_property
    def names(self):
        """Every name that the notebook's own code defines."""
        return frozenset().union(*(one.names for _, one in self.definitions))

    def build(self, exercise_id, texts):
        """The `Program` for one attempt; `texts` are all of the student's by exercise id."""
        text, here = texts[exercise_id], self.places[exercise_id]
        earlier = self._earlier(text, here, texts)
        needed = self._needed(names("\n".join([text, *(code for _, code in earlier)])), here)
        future = _FUTURE.findall(text)  # must stand before all other code
        before = [*future, *(one.code for one in needed), *(self._guarded(*one) for one in earlier)]
        lines = "\n".join(before).count("\n") + 1 if before else 0
        modules = dict.fromkeys(module for one in needed for module in one.modules)
        return Program("\n".join([*before, _FUTURE.sub("pass", text)]) + "\n", lines, tuple(modules))

    def _earlier(self, text, here, texts):
        """The student's earlier attempts that this one uses by name, as (exercise, text)."""
        found, used = [], names(text)
        for one in sorted(self.key.exercises, key=lambda one: -self.places[one.id]):
            before = self.places[one.id] < here and texts.get(one.id)
            if before and used & self.assigned_names[one.id]:
                found.insert(0, (one, texts[one.id]))
                used |= names(texts[one.id])
        return found

    def _guarded(self, one, text):
        """An earlier attempt that may itself be broken, on lines that hold nothing of this attempt."""
        aliases = [f"    {name} = {one.name}" for name in sorted(self.assigned_names[one.id] - {one.name})]
        run = f"    exec(compile({text!r}, '<{one.name}>', 'exec'))"
        return "\n".join(["try:", run, *aliases, "except BaseException:", "    pass"])

    def _needed(self, used, here):
        found = []
        for place, one in reversed(self.definitions):
            if place < here and one.names & used:
                found.insert(0, one)
                used = used | one.uses
        return found


def names(text):
    """The names in a piece of code, those in its strings and comments too; attributes do not count."""
    return set(_NAMES.findall(text))


def importable(module):
    """Whether a module is installed here; the sandbox has the same libraries."""
    try:
        return importlib.util.find_spec(module.partition(".")[0]) is not None
    except (ImportError, ValueError):
        return False


def _is_own(cell, skipped):
    return cell["cell_type"] == "code" and cell["id"] not in skipped


def _targets(cell):
    """The names that a check's cell assigns: `softmax = course.check(…)`."""
    tree = parse(source(cell))
    assigned = [one for one in tree.body if isinstance(one, ast.Assign)] if tree else []
    return {target.id for one in assigned for target in one.targets if isinstance(target, ast.Name)}


def _definition(statement):
    """The `Definition` of a statement; None for one that does more than define something plain."""
    match statement:
        case ast.Import(names=aliases):
            return _import(statement, aliases, [alias.name for alias in aliases])
        case ast.ImportFrom(module=module, names=aliases, level=0):
            return _import(statement, aliases, [module])
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.AsyncFunctionDef(name=name):
            return _plain(statement, {name})
        case ast.Assign(targets=[ast.Name(id=name)], value=value) if _is_literal(value):
            return _plain(statement, {name})
        case ast.AnnAssign(target=ast.Name(id=name), value=value) if value and _is_literal(value):
            return _plain(statement, {name})
    return None


def _import(statement, aliases, modules):
    roots = {module.partition(".")[0] for module in modules}
    if roots & {"course_utils", "__future__"} or not all(map(importable, roots)):
        return None
    bound = {alias.asname or alias.name.partition(".")[0] for alias in aliases}
    return Definition(frozenset(bound), frozenset(), ast.unparse(statement), tuple(modules))


def _plain(statement, bound):
    code = ast.unparse(statement)
    return Definition(frozenset(bound), frozenset(names(code)), code)


def _is_literal(value):
    try:
        ast.literal_eval(value)
    except (ValueError, TypeError, SyntaxError):
        return False
    return True

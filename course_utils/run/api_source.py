"""A library's source as the check of its interface reads it."""

import ast
import importlib
import inspect
import sys
import textwrap
from contextlib import suppress
from difflib import get_close_matches
from functools import cache


def near(name, known):
    """`; the nearest is 'x'`, or nothing where no known name comes near."""
    found = get_close_matches(name, [str(one) for one in known], n=1)
    return f"; the nearest is {found[0]!r}" if found else ""


@cache
def function_tree(function):
    """The syntax tree of a function with its decorators, or None where there is no source."""
    with suppress(Exception):
        tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function)))).body[0]
        return tree if isinstance(tree, ast.FunctionDef | ast.AsyncFunctionDef) else None
    return None


@cache
def returns(function):
    """What a function returns, as expressions; empty where there is no source, or it yields."""
    tree = function_tree(function) if inspect.isfunction(function) else None
    nodes = list(ast.walk(tree)) if tree else []
    inner = [one for one in nodes[1:] if isinstance(one, ast.FunctionDef | ast.Lambda | ast.Yield | ast.YieldFrom)]
    found = [one.value for one in nodes if isinstance(one, ast.Return) and one.value is not None]
    return () if inner else tuple(found)


@cache
def module_tree(module):
    """The syntax tree of a module, or None where there is no source."""
    with suppress(Exception):
        return ast.parse(inspect.getsource(module))
    return None


@cache
def sets_attribute(kind, name):
    """Whether a class declares the attribute, or a method of it assigns `self.name`; false for a class in C."""
    if name in getattr(kind, "__annotations__", {}) or kind.__module__ == "builtins":
        return name in getattr(kind, "__annotations__", {})
    tree = module_tree(_home(kind))
    classes = (
        [one for one in ast.walk(tree) if isinstance(one, ast.ClassDef) and one.name == kind.__name__] if tree else []
    )
    return tree is not None and (not classes or any(_assigns(node, name) for one in classes for node in ast.walk(one)))


def _home(kind):
    """The module that defines a class; some classes name the package that shows them instead."""
    functions = [inspect.unwrap(one) for one in vars(kind).values() if inspect.isfunction(one)]
    return sys.modules.get(functions[0].__globals__["__name__"] if functions else kind.__module__)


def _assigns(node, name):
    if isinstance(node, ast.Call):
        return ast.unparse(node).startswith(("setattr(self,", "self.__dict__.update(", "vars(self)"))
    return isinstance(node, ast.Attribute) and node.attr == name and isinstance(node.ctx, ast.Store)


@cache
def names_for_type_checkers(module):
    """What a module imports only for type checkers, imported after all."""
    tree, found = module and module_tree(module), {}
    blocks = [one for one in ast.walk(tree) if isinstance(one, ast.If)] if tree else []
    for block in blocks:
        if ast.unparse(block.test).endswith("TYPE_CHECKING"):
            for node in block.body:
                found |= _import(node, module)
    return found


def _import(node, module):
    if not isinstance(node, ast.ImportFrom):
        return {}
    found = {}
    for alias in node.names:
        with suppress(Exception):
            package = module.__name__ if hasattr(module, "__path__") else module.__package__
            place = importlib.import_module("." * node.level + (node.module or ""), package)
            found[alias.asname or alias.name] = getattr(place, alias.name)
    return found

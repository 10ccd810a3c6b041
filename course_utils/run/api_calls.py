"""Whether the installed library still takes a call: its keywords, its number of arguments."""

import ast
import inspect
from dataclasses import dataclass
from functools import cache

from course_utils.run import api_source, api_stubs, api_values

_DEPTH = 6  # calls that a keyword is followed through
_KINDS = inspect.Parameter


@dataclass(frozen=True)
class Taken:
    """What became of a keyword: `taken` is None where it goes into a `**kwargs` that cannot be followed.

    `path` are the functions that it was handed through.
    """

    taken: bool | None
    path: tuple
    known: tuple = ()


def function_of(value):
    """The Python function that a call enters first: a class's `__init__`, an object's `__call__`; None in C."""
    thing = value.thing
    if value.made:
        thing = api_values.call_method(thing)
    elif isinstance(thing, type):
        thing = thing.__init__ if thing.__init__ is not object.__init__ else thing.__new__
    thing = inspect.unwrap(thing) if callable(thing) else None
    thing = getattr(thing, "__func__", thing)
    return thing if inspect.isfunction(thing) else None


def signature(value):
    """The parameters that a caller fills, by name; None where they are not known."""
    thing = api_values.call_method(value.thing) if value.made else value.thing
    try:
        parameters = dict(inspect.signature(thing).parameters)
    except (ValueError, TypeError):
        return None
    first = next(iter(parameters), None)
    if first and (value.bound or value.made or (isinstance(thing, type) and first == "self")):
        parameters.pop(first)  # some metaclasses show a class with the `self` of its `__init__`
    return parameters


def keyword(value, name):
    """What becomes of this keyword in a call of `value`, as a `Taken`."""
    parameters = signature(value)
    if parameters is None:
        known = api_stubs.keywords(value.thing)
        return Taken(None if known is None else name in known, (), known or ())
    if name in parameters and parameters[name].kind in (_KINDS.POSITIONAL_OR_KEYWORD, _KINDS.KEYWORD_ONLY):
        return Taken(True, (value,))
    if all(one.kind is not _KINDS.VAR_KEYWORD for one in parameters.values()):
        return Taken(False, (value,), tuple(parameters))
    return _follow(value, name, _DEPTH)


def _follow(value, name, depth):
    """The same for a keyword that lands in `**kwargs`."""
    function = function_of(value)
    used = _uses(function) if function else None
    if used is None or depth == 0:
        return Taken(None, (value,))
    if name in used.literals:
        return Taken(True, (value,))
    found = [_in_target(value, function, target, name, depth) for target in used.targets]
    path = (value, *(one for taken in found for one in taken.path))
    if any(one.taken for one in found):
        return Taken(True, path)
    if not used.is_whole or any(one.taken is None for one in found):
        return Taken(None, path)
    known = (*signature(value), *used.literals, *(one for taken in found for one in taken.known))
    return Taken(False, path, known)


def _in_target(value, function, target, name, depth):
    callee = _resolve(target, function, value.owner or (value.thing if isinstance(value.thing, type) else None))
    parameters = callee and signature(callee)
    if not callee or parameters is None:
        return Taken(None, ())
    if name in parameters:
        return Taken(True, (callee,))
    if any(one.kind is _KINDS.VAR_KEYWORD for one in parameters.values()):
        return _follow(callee, name, depth - 1)
    return Taken(False, (callee,), tuple(parameters))


@dataclass(frozen=True)
class Uses:
    """How a function uses its `**kwargs`: the names that it takes out, the calls that it hands them to.

    `is_whole` says that it does nothing else with them but look whether any are left.
    """

    literals: tuple
    targets: tuple
    is_whole: bool


@cache
def _uses(function):
    tree = api_source.function_tree(function)
    if tree is None or tree.args.kwarg is None:
        return None
    name, literals, targets, counted, looks = tree.args.kwarg.arg, [], [], 0, 0
    for node in ast.walk(tree):
        literal = _taken_out(node, name)
        literals += [literal] if literal else []
        handed = isinstance(node, ast.Call) and any(k.arg is None and _is(k.value, name) for k in node.keywords)
        targets += [node.func] if handed else []
        counted += bool(literal) + bool(handed)
        looks += _looks(node, name)
    total = sum(_is(node, name) for node in ast.walk(tree))
    return Uses(tuple(literals), tuple(targets), is_whole=0 < total == counted + looks)


def _looks(node, name):
    """Whether this is `if kwargs`, `len(kwargs)`, `kwargs.keys()` or the like."""
    if isinstance(node, ast.If):
        return _is(node.test, name)
    if isinstance(node, ast.FormattedValue):
        return _is(node.value, name)
    is_keys = isinstance(node, ast.Attribute) and node.attr == "keys" and _is(node.value, name)
    is_count = isinstance(node, ast.Call) and _is(node.func, "len") and _is(node.args[0], name)
    return is_keys or is_count


def _is(node, name):
    return isinstance(node, ast.Name) and node.id == name


def _taken_out(node, name):
    """The key in `kwargs.pop("key")`, `kwargs["key"]` and `"key" in kwargs`, or None."""
    key = None
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and _is(node.func.value, name):
        key = node.args[0] if node.func.attr in ("pop", "get", "setdefault") and node.args else None
    elif isinstance(node, ast.Subscript) and _is(node.value, name):
        key = node.slice
    elif isinstance(node, ast.Compare) and _is(node.comparators[0], name):
        key = node.left
    return key.value if isinstance(key, ast.Constant) else None


def _resolve(node, function, owner):
    """The `Value` of what a library's function calls: a name of its module, `self.f`, `cls(…)`, `super().f`; or None."""
    if isinstance(node, ast.Name):
        if node.id == "cls" and owner:
            return api_values.Value(owner, owner.__name__)
        thing = function.__globals__.get(node.id)
        return None if thing is None or node.id in function.__code__.co_varnames else api_values.Value(thing, node.id)
    if not isinstance(node, ast.Attribute):
        return None
    if ast.unparse(node.value) == "super()":
        return _above(owner, function, node.attr)
    if ast.unparse(node.value) in ("self", "cls"):
        return api_values.attribute_or_none(api_values.an(owner), node.attr) if owner else None
    return api_values.attribute_or_none(_resolve(node.value, function, owner), node.attr)


def _above(owner, function, name):
    """The method that `super().name` means in a function of one of the owner's classes."""
    line = owner.__mro__ if owner else ()
    here = [i for i, kind in enumerate(line) if inspect.unwrap(vars(kind).get(function.__name__, print)) is function]
    for kind in line[here[0] + 1 :] if here else ():
        if name in vars(kind):
            thing = vars(kind)[name]
            is_plain = inspect.isfunction(thing)
            return api_values.Value(thing if is_plain else getattr(kind, name), name, owner=owner, bound=is_plain)
    return None


def arguments(value, node):
    """A sentence where the number of arguments is wrong, or None."""
    parameters = signature(value)
    if parameters is None or any(isinstance(one, ast.Starred) for one in node.args):
        return None
    kinds = [one.kind for one in parameters.values()]
    places = [one for one in parameters.values() if one.kind in (_KINDS.POSITIONAL_ONLY, _KINDS.POSITIONAL_OR_KEYWORD)]
    if len(node.args) > len(places) and _KINDS.VAR_POSITIONAL not in kinds:
        return f"{value.name} takes {len(places)} arguments by position, not {len(node.args)}"
    given = {one.arg for one in node.keywords} | {one.name for one in places[: len(node.args)]}
    if None in given:
        return None
    named = [one for one in parameters.values() if one.kind not in (_KINDS.VAR_POSITIONAL, _KINDS.VAR_KEYWORD)]
    lacking = [one.name for one in named if one.default is _KINDS.empty and one.name not in given]
    return f"{value.name} needs {lacking[0]!r}" if lacking else None


def filled(value, node):
    """The names of all parameters that a call fills, also by position."""
    named = [one.arg for one in node.keywords if one.arg]
    parameters = signature(value) or {}
    if any(isinstance(one, ast.Starred) for one in node.args):
        return named
    places = [one.name for one in parameters.values() if one.kind is _KINDS.POSITIONAL_OR_KEYWORD]
    return [*places[: len(node.args)], *named]

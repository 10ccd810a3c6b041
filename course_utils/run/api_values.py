"""What an expression in a lesson is known to be, found without running it: a library's object, or one of its class."""

import ast
import builtins
import importlib
import inspect
import sys
import types
import typing
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, cached_property

from course_utils.run import api_source, api_stubs


@dataclass(frozen=True, eq=False)
class Value:
    """What is known: `thing` itself, or where `made` is true, that it is an object of the class `thing`.

    `owner` is the class that a method was looked up on, `bound` says that its first argument is
    filled. `items` are the values of a tuple, None for those that are not known. An object that a
    library `promised` in an annotation may be of a subclass.
    """

    thing: object
    name: str
    made: bool = False
    owner: type | None = None
    bound: bool = False
    items: tuple = ()
    promised: bool = False

    @property
    def is_own(self):
        """Whether it is Python's own or the lesson's, so that no library can change it."""
        kind = self.thing if self.made else self.owner
        return self.thing is OWN or (kind.__module__ == "builtins" if kind else _is_builtin(self.thing))


_FIELDS = (types.GetSetDescriptorType, types.MemberDescriptorType)
OWN = object()  # what the notebook defines itself


@dataclass(frozen=True)
class Missing:
    """A name that the installed library does not have."""

    text: str


def own(name):
    """The value of something that the notebook defines."""
    return Value(OWN, name)


def an(kind, promised=False):
    """The value of an object of this class."""
    return Value(kind, _name(kind), made=True, promised=promised)


def _name(thing):
    return f"{thing.__module__}.{thing.__qualname__}"


def _is_builtin(thing):
    name = getattr(thing, "__name__", None)
    return isinstance(name, str) and getattr(builtins, name, None) is thing


def imported(module, name=None):
    """The `Value` of `import module` or `from module import name`, or `Missing`.

    Raises ModuleNotFoundError where the whole package is not installed.
    """
    try:
        value = Value(importlib.import_module(module), module)
    except ModuleNotFoundError as error:
        if error.name == module.partition(".")[0]:
            raise
        return Missing(f"there is no module {module}{api_source.near(module, sys.modules)}")
    if name is None:
        return value
    found = attribute(value, name)
    if isinstance(found, Missing):
        with suppress(ModuleNotFoundError):  # a submodule that nobody has imported yet
            return Value(importlib.import_module(f"{module}.{name}"), f"{module}.{name}")
    return found


def attribute(value, name):
    """The `Value` of an attribute; None where it cannot be known, `Missing` where it certainly is not there."""
    if value is None or value.items or value.thing is OWN:
        return None
    return _of_instance(value, name) if value.made else _of_thing(value, name)


def _of_thing(value, name):
    try:
        found = getattr(value.thing, name)
    except AttributeError:
        known = [one for one in dir(value.thing) if not one.startswith("_")]
        return Missing(f"{value.name} has no {name!r}{api_source.near(name, known)}")
    except Exception:  # an optional part of the library that cannot be imported here
        return None
    owner = value.thing if isinstance(value.thing, type) else None
    return Value(found, f"{value.name}.{name}", owner=owner)


def _of_instance(value, name):
    kind = value.thing
    try:
        raw = inspect.getattr_static(kind, name)
    except AttributeError:
        unsure = (value.promised and kind.__subclasses__()) or _may_have(kind, name)
        return None if unsure else Missing(_not_there(value, name))
    if isinstance(raw, property | cached_property):
        return result_of(raw.fget if isinstance(raw, property) else raw.func, kind)
    if isinstance(raw, _FIELDS) or not (callable(raw) or hasattr(raw, "__get__")):
        return None  # the object's own value, of which the class says nothing
    with suppress(Exception):
        bound = not isinstance(raw, staticmethod | classmethod)
        return Value(getattr(kind, name), f"{value.name}.{name}", owner=kind, bound=bound)
    return None


def _may_have(kind, name):
    """Whether an object of this class can have the attribute although the class does not show it."""
    dynamic = any("__getattr__" in vars(one) or "__getattribute__" in vars(one) for one in kind.__mro__[:-1])
    return dynamic or any(api_source.sets_attribute(one, name) for one in kind.__mro__[:-1])


def _not_there(value, name):
    return f"an object of {value.name} has no {name!r}{api_source.near(name, dir(value.thing))}"


def called(value, node):
    """What a call gives, or None."""
    if value is None or value.items or value.thing is OWN:
        return None
    if value.made:
        return result_of(call_method(value.thing), value.thing)
    if isinstance(value.thing, type):
        return an(value.thing)
    for overload in typing.get_overloads(value.thing) if inspect.isfunction(value.thing) else ():
        if _fits(overload, node, value.bound):
            return result_of(overload, value.owner)
    return result_of(value.thing, value.owner)


def call_method(kind):
    """What runs when an object of this class is called, or None."""
    # Not kind.__call__, which is there for every class: it makes an object.
    return next((vars(one)["__call__"] for one in kind.__mro__ if "__call__" in vars(one)), None)


def attribute_or_none(value, name):
    """As `attribute`, with None for what is missing."""
    found = attribute(value, name)
    return None if isinstance(found, Missing) else found


def _fits(overload, node, bound):
    """Whether a call's constants are what the overload's `Literal` parameters allow."""
    given = [*([None] if bound else []), *node.args]
    with suppress(TypeError, ValueError):
        bounds = inspect.signature(overload).bind(*given, **{one.arg: one.value for one in node.keywords if one.arg})
        literals = {name: kind for name, kind in _hints(overload).items() if typing.get_origin(kind) is typing.Literal}
        constants = {name: bounds.arguments[name] for name in literals if name in bounds.arguments}
        return all(
            isinstance(one, ast.Constant) and one.value in typing.get_args(literals[name])
            for name, one in constants.items()
        )
    return False


def _hints(function):
    try:
        return typing.get_type_hints(function)
    except Exception:  # a name that exists only for type checkers
        return getattr(function, "__annotations__", {})


def result_of(function, owner):
    """The value that a function's return annotation promises, or None."""
    function = inspect.unwrap(function) if callable(function) else function
    annotation = getattr(function, "__annotations__", {}).get("return")
    if annotation is None:
        tensor, kind = api_stubs.result(function), _returned(function, owner)
        return an(tensor or kind, promised=not tensor) if tensor or kind else None
    if isinstance(annotation, str):
        annotation = _evaluate(annotation, inspect.getmodule(function))
    return _promised(annotation, owner)


def _returned(function, owner):
    """The class of what a function without annotation returns, where each `return` says `self` or calls one class."""
    texts = {ast.unparse(one) for one in api_source.returns(function)}
    if texts == {"self"}:
        return owner
    names = {text.partition("(")[0] for text in texts}
    kind = function.__globals__.get(names.pop()) if len(names) == 1 else None
    return kind if isinstance(kind, type) and all("(" in text for text in texts) else None


@cache
def _evaluate(text, module):
    names = api_source.names_for_type_checkers(module) | dict(vars(module) if module else {})
    with suppress(Exception):
        return eval(text, names)  # the library's own annotation, as typing.get_type_hints does
    return None


def _promised(annotation, owner):
    if annotation is typing.Self or getattr(annotation, "__name__", "") == "Self":
        return an(owner, promised=True) if owner else None
    if isinstance(annotation, typing.TypeVar) or annotation in (None, typing.Any, object):
        return None
    origin, given = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        real = [one for one in given if one is not type(None)]
        return _promised(real[0], owner) if len(real) == 1 else None
    if origin is tuple and given and Ellipsis not in given:
        items = tuple(_promised(one, owner) for one in given)
        return replace(an(tuple), items=items)
    kind = origin or annotation
    return an(kind, promised=True) if isinstance(kind, type) else None

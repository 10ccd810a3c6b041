"""How libraries mark what they are about to remove: decorators, warnings, default values and docstrings."""

import ast
import dataclasses
import inspect
import re
import sys
import typing
from functools import cache

from course_utils.run import api_source
from course_utils.run.api_calls import function_of, signature

_SENTINELS = ("deprecated", "warn")
_LONGEST = 220
_DIRECTIVE = r"\.\. deprecated::\s*(.*?)(?:\n\s*\n|$)"


def whole(value):
    """The library's words where what is called is deprecated altogether, or None."""
    thing, function = value.thing, function_of(value)
    marker = vars(thing).get("__deprecated__") if isinstance(thing, type) else getattr(thing, "__deprecated__", None)
    marker = marker or getattr(function, "__deprecated__", None)
    return _short(marker or _decorated(function) or _warned(function) or _documented(thing, function))


def parameter(value, name):
    """The library's words where this parameter is deprecated, or None."""
    function = function_of(value)
    own = (signature(value) or {}).get(name)
    if own is not None and isinstance(own.default, str) and own.default in _SENTINELS:
        return f"its default is {own.default!r}: leave it out"
    functions = [function, *_after(value.thing)]
    found = [words for one in functions if one for words in (_renamed(one, name), _told(one, name)) if words]
    return _short(found[0] if found else _entry(value.thing, function, name))


def _after(thing):
    """Further methods that look at a new object's fields."""
    after = getattr(thing, "__post_init__", None) if isinstance(thing, type) else None
    return [inspect.unwrap(after)] if after else []


def _short(text):
    text = " ".join(str(text).split()) if text else None
    return text if text is None or len(text) <= _LONGEST else text[:_LONGEST].rsplit(" ", 1)[0] + " …"


def _text(node):
    """The constant words of a string or an f-string, with … for what is filled in."""
    if isinstance(node, ast.JoinedStr):
        return "".join(one.value if isinstance(one, ast.Constant) else "…" for one in node.values)
    if isinstance(node, ast.BinOp):
        return (_text(node.left) or "") + (_text(node.right) or "")
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _last_name(node):
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


@cache
def _decorated(function):
    """`@deprecated("words")` in the source, for a decorator that leaves no marker."""
    tree = function and api_source.function_tree(function)
    for one in tree.decorator_list if tree else ():
        call = one if isinstance(one, ast.Call) else ast.Call(one, [], [])
        if _last_name(call.func) in ("deprecated", "_deprecated", "deprecate"):
            return next(filter(None, map(_text, call.args)), None) or "its decorator says so"
    return None


@cache
def _warned(function):
    """A deprecation warning that every call of the function gives."""
    tree = function and api_source.function_tree(function)
    return _warning_in(tree.body) if tree else None


def _warning_in(statements):
    for statement in statements:
        if isinstance(statement, ast.If) and _warning_in(statement.body) and _warning_in(statement.orelse):
            return _warning_in(statement.orelse)
        call = statement.value if isinstance(statement, ast.Expr) else None
        if isinstance(call, ast.Call) and _warns(call) and not any(one.arg == "take_from" for one in call.keywords):
            return " ".join(filter(None, map(_text, call.args)))
    return None


def _warns(call):
    name = _last_name(call.func)
    if name in ("deprecate", "warn_deprecated", "deprecation_warning", "deprecate_warn"):
        return True
    words = ast.unparse(call)
    is_warning = name in ("warn", "warning", "warning_once", "warn_external")
    return is_warning and ("DeprecationWarning" in words or "FutureWarning" in words or "deprecated" in words.lower())


@cache
def _renamed(function, name):
    """A decorator about this parameter, as `@deprecate_kwarg("old", new_name="new")`; or `deprecate("old", …)` within."""
    tree = api_source.function_tree(function)
    decorators = [one for one in tree.decorator_list if isinstance(one, ast.Call)] if tree else []
    for call in decorators:
        kind = _last_name(call.func)
        if (
            re.search("deprecat|legacy|rename_param|delete_param", kind)
            and "keyword_arg" not in kind
            and _names(call, name)
        ):
            return _instead(call) or "its decorator says so"
    inner = [one for one in ast.walk(tree) if isinstance(one, ast.Call)] if tree else []
    for call in inner:
        if _last_name(call.func) == "deprecate" and call.args and _text(call.args[0]) == name:
            return _text(call.args[-1])
    return None


def _names(call, name):
    """Whether a decorator is about this parameter, which may stand in a pair, and not only writes it as the new name."""
    return name in [_text(one) for one in ast.walk(call)] and _instead(call) != f"write {name!r}"


def _instead(call):
    named = {one.arg: _text(one.value) for one in call.keywords}
    positional = [text for one in call.args if (text := _text(one)) and not text[0].isdigit()]
    new = named.get("new_name") or named.get("new_arg_name") or named.get("new") or (positional[1:] or [None])[0]
    return f"write {new!r}" if new else named.get("additional_message")


@cache
def _told(function, name):
    """A text in the source that calls the parameter, in quotes, deprecated."""
    tree = api_source.function_tree(function)
    doc = ast.get_docstring(tree, clean=False) if tree else None
    for node in ast.walk(tree) if tree else ():
        text = _text(node) if isinstance(node, ast.Constant | ast.JoinedStr | ast.BinOp) else None
        if text and text != doc and _calls_deprecated(text, name):
            return text
    return None


def _calls_deprecated(text, name):
    # From the quoted name to the word within one sentence, and no "use" or "instead" on the way:
    # "Use `dtype` instead of `torch_dtype`, which is deprecated" is about the second.
    quoted = rf"[`'\"]+{re.escape(name)}(?:=\w+)?[`'\"]+"
    return re.search(rf"{quoted}(?:(?!\b[Uu]se\b|instead|\. ).){{0,60}}\bdeprecated\b", text, re.DOTALL) is not None


def _documented(thing, function):
    """`.. deprecated::`, or that this function is deprecated, in the docstring before its list of parameters."""
    text = inspect.getdoc(thing) or inspect.getdoc(function) if function else inspect.getdoc(thing)
    head = re.split(r"(?m)^\s*(?:Parameters\s*\n\s*-+|Args:|Arguments:|Attributes|Returns)", text or "")[0]
    directive = re.search(rf"(?s){_DIRECTIVE}", head)
    sentence = re.search(r"[Tt]his (?:function|class|method|module) is deprecated\b.*", head)
    return f"since {directive[1]}" if directive else sentence and sentence[0]


def _entry(thing, function, name):
    """The parameter's entry in a docstring of NumPy's or Google's form, where it begins with that it is deprecated."""
    lines = inspect.getmro(thing) if dataclasses.is_dataclass(thing) and isinstance(thing, type) else (thing,)
    overloads = typing.get_overloads(function) if function else ()
    for one in (*lines, *filter(None, [function]), *overloads):
        pattern = rf"(?m)^( *)`?{re.escape(name)}`?(?: ?\([^\n]*?\))? ?:([^\n]*(?:\n\1 +[^\n]*|\n *(?=\n))*)"
        entry = re.search(pattern, inspect.getdoc(one) or "")
        body = entry[2] if entry else ""
        directive = re.search(rf"(?s){_DIRECTIVE}", body)
        about = rf"\b{re.escape(name)}\b|[Tt]his (?:parameter|argument|keyword|option)"
        if directive and re.search(about, directive[1]):
            return f"since {directive[1]}"
        if re.match(r"\s*(?:[^\n]*\n)?\s*\[?\**Deprecated\b", body):
            return body
    return None


def method(name, packages):
    """The library's words where every method of this name in the loaded `packages` is deprecated, or None."""
    found = _methods(packages).get(name, ())
    words = None
    for one in found:
        words = _short(getattr(one, "__deprecated__", None) or _decorated(one) or _warned(one) or _documented(one, one))
        if words is None:
            return None
    return words


@cache
def _methods(packages):
    """The methods of all classes that are loaded from these packages, by name."""
    modules = [one for name, one in list(sys.modules.items()) if name.partition(".")[0] in packages and one]
    classes = {one for module in modules for one in list(vars(module).values()) if isinstance(one, type)}
    found = {}
    for kind in classes:
        if kind.__module__.partition(".")[0] in packages:
            for name, raw in vars(kind).items():
                thing = inspect.unwrap(raw) if inspect.isfunction(raw) else None
                found.setdefault(name, []).append(thing)
    return {name: things for name, things in found.items() if None not in things}

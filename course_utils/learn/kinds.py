"""What kind of value something is, by its exact type, and how to say it in a few words.

A clever `__eq__`, `__class__` or `__repr__` is never consulted: only the types named here are
read, and a subclass of one of them (save the library's own) counts as an unknown object.
Nothing is imported; a value of a library that isn't loaded cannot exist.
"""

import datetime
import inspect
import sys
import types
from dataclasses import dataclass

MANY_CHARACTERS = 60
MANY_ENTRIES = 6
_PLAIN = {
    type(None): "None",
    bool: "truth value",
    int: "number",
    float: "number",
    complex: "number",
    str: "string",
    bytes: "bytes",
    list: "list",
    tuple: "tuple",
    dict: "dict",
    set: "set",
    frozenset: "set",
    datetime.date: "date",
    datetime.datetime: "date",
    datetime.timedelta: "date",
}
_LIBRARY = {
    ("numpy", "ndarray"): "array",
    ("torch", "Tensor"): "tensor",
    ("torch.nn", "Parameter"): "tensor",
    ("pandas", "DataFrame"): "DataFrame",
    ("pandas", "Series"): "Series",
    ("pandas", "Timestamp"): "date",
    ("pandas", "Timedelta"): "date",
    ("pandas", "Period"): "date",
}


@dataclass(frozen=True, eq=False)
class Foreign:
    """Stands for a value of an unknown type that stayed in another process; it equals nothing but itself."""

    said: str


def library_type(module, name):
    """A library's class where the library is loaded, else None."""
    return getattr(sys.modules.get(module), name, None)


def kind_of(value):
    """One of the names above, "number" and "truth value" for numpy's scalars too, "index" for pandas', else "other"."""
    cls = type(value)
    if cls in _PLAIN:
        return _PLAIN[cls]
    for (module, name), kind in _LIBRARY.items():
        if cls is library_type(module, name):
            return kind
    return _scalar_kind(cls) or _index_kind(cls) or "other"


def _scalar_kind(cls):
    numpy = sys.modules.get("numpy")
    if not numpy or cls not in numpy.sctypeDict.values():
        return ""
    kinds = {"b": "truth value", "i": "number", "u": "number", "f": "number", "c": "number", "U": "string"}
    return kinds.get(numpy.dtype(cls).kind, "")


def _index_kind(cls):
    index = library_type("pandas", "Index")
    return "index" if index and issubclass(cls, index) and cls is library_type("pandas", cls.__name__) else ""


def plain(value):
    """A numpy scalar as the Python value it holds; anything else as it is."""
    if type(value) in _PLAIN or kind_of(value) not in ("truth value", "number", "string"):
        return value
    item = value.item()
    return float(item) if kind_of(item) == "number" and type(item) not in _PLAIN else item  # numpy.longdouble


def words(value):
    """The value's kind as it reads in a sentence: "an array of shape (3, 4)", "a generator"."""
    kind = kind_of(value)
    describe = _WORDS.get(kind)
    return describe(value) if describe else _other_words(value)


def shape(value):
    """An array's or tensor's shape as text: `(3, 4)`."""
    return str(tuple(int(length) for length in value.shape))


def _counted(name):
    return lambda value: f"an empty {name}" if not value else f"a {name} of {len(value)}"


_WORDS = {
    "None": lambda value: "None",
    "truth value": lambda value: f"a truth value ({value!r})",
    "number": lambda value: f"a number ({number(value)})",
    "string": lambda value: f"a string ({short(value)})",
    "bytes": lambda value: "a bytes object",
    "date": lambda value: f"a date ({value!r})",
    "list": _counted("list"),
    "tuple": _counted("tuple"),
    "dict": _counted("dict"),
    "set": _counted("set"),
    "array": lambda value: f"an array of shape {shape(value)}",
    "tensor": lambda value: f"a tensor of shape {shape(value)}",
    "DataFrame": lambda value: f"a DataFrame of {len(value)} rows and {value.shape[1]} columns",
    "Series": lambda value: f"a Series of {len(value)}",
    "index": lambda value: f"a pandas index of {len(value)}",
}


def _other_words(value):
    cls = type(value)
    if cls is Foreign:
        return value.said
    if cls in (types.FunctionType, types.BuiltinFunctionType, types.MethodType):
        return f"a function (`{value.__name__}`)"
    if isinstance(value, type):
        return f"the class `{value.__name__}` itself"
    if cls is types.GeneratorType:
        return "a generator (the function uses `yield`)"
    if inspect.iscoroutine(value):
        return "a coroutine (the function is declared `async`)"
    if value is ...:
        return "the placeholder `...`"
    return f"an object of type `{cls.__module__}.{cls.__qualname__}`".replace("builtins.", "")


def number(value):
    """A number in at most six significant digits."""
    value = plain(value)
    if type(value) is int:
        return str(value) if abs(value) < 10**15 else f"{value:.5e}" if abs(value) < 10**300 else "a huge whole number"
    return f"{value:.6g}"


def two_numbers(given, expected):
    """Both numbers as text, with as many digits as it takes to tell them apart."""
    pair = number(given), number(expected)
    return pair if pair[0] != pair[1] else (repr(plain(given)), repr(plain(expected)))


def short(value, depth=2):
    """The value on one line, long ones summarised; for messages, never for comparison."""
    kind = kind_of(value)
    if kind in _SHORT:
        return _SHORT[kind](value, depth)
    return words(value) if kind in ("other", "index") else repr(value)


def _text(value, depth):
    return repr(value) if len(value) <= MANY_CHARACTERS else f"{value[:MANY_CHARACTERS]!r}… ({len(value)} characters)"


def _entries(value, depth):
    if depth == 0 and value:
        return words(value)
    opening, closing = {"list": "[]", "tuple": "()", "set": "{}"}[kind_of(value)]
    shown = [short(entry, depth - 1) for entry in list(value)[:MANY_ENTRIES]]
    if len(value) > MANY_ENTRIES:
        shown.append(f"… ({len(value)} entries)")
    comma = "," if kind_of(value) == "tuple" and len(value) == 1 else ""
    return opening + ", ".join(shown) + comma + closing


def _pairs(value, depth):
    if depth == 0 and value:
        return words(value)
    shown = [f"{short(key, 0)}: {short(entry, depth - 1)}" for key, entry in list(value.items())[:MANY_ENTRIES]]
    return "{" + ", ".join(shown) + (f", … ({len(value)} keys)" if len(value) > MANY_ENTRIES else "") + "}"


def _array(value, depth):
    import numpy as np

    if value.dtype.kind in "OV":  # entries may be anything, and print anything
        return f"array of shape {shape(value)}, {value.dtype}"
    edge = 2 if value.ndim <= 2 else 1
    options = {"precision": 4, "suppress_small": False, "threshold": 12, "edgeitems": edge, "max_line_width": 10_000}
    entries = " ".join(np.array2string(value, separator=", ", **options).split())
    return f"array of shape {shape(value)}, {value.dtype}: {entries}"


def _tensor(value, depth):
    if value.is_meta:
        return f"tensor of shape {shape(value)}, {value.dtype}, without entries"
    return _array(as_array(value), depth).replace("array", "tensor", 1)


def as_array(tensor):
    """A tensor's entries as a numpy array on the CPU; bfloat16, which numpy lacks, as float32."""
    import torch

    tensor = tensor.detach().cpu()
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()


def _frame(value, depth):
    names = ", ".join(short(name, 0) for name in value.columns[:MANY_ENTRIES])
    return f"DataFrame of {len(value)} rows, columns {names}" + (", …" if value.shape[1] > MANY_ENTRIES else "")


def _series(value, depth):
    return f"Series of {len(value)}, {value.dtype}: {short(value.head(MANY_ENTRIES).tolist(), 1)}"


_SHORT = {
    "number": lambda value, depth: number(value),
    "truth value": lambda value, depth: repr(plain(value)),
    "string": lambda value, depth: _text(plain(value), depth),
    "bytes": _text,
    "list": _entries,
    "tuple": _entries,
    "set": _entries,
    "dict": _pairs,
    "array": _array,
    "tensor": _tensor,
    "DataFrame": _frame,
    "Series": _series,
}

"""Comparison by kind: what differs between an answer and the expected one, in a sentence.

- Truth values, whole numbers, strings and None are exact. Numbers accept an int for a float
  of the same value and the other way round, and numpy's scalars for Python's.
- Floats agree within `absolute + relative · |expected|`. NaN equals only NaN.
- Lists, tuples, dicts and sets are compared entry by entry, and never taken for one another.
- Arrays and tensors must agree in shape and in the family of the dtype (truth values, whole
  numbers, floats, …). The width is free: where either side is narrower than float64 the
  tolerance is loosened to what that width can hold.
- DataFrames and Series: columns, index, the family of each dtype, values. A Series' name is free.
- Anything else agrees only with itself; it needs the exercise's `drive`, which turns it into the kinds above; an estimator
  is compared by the predictions that its drive returns.
"""

import math
import types

from course_utils.learn import compare_arrays
from course_utils.learn.kinds import kind_of, plain, short, two_numbers, words
from course_utils.learn.tolerance import Tolerance, float_bits, relation

_ADVICE = {
    ("list", "array"): "wrap it in `np.array(…)`",
    ("array", "list"): "`.tolist()` turns it into a list",
    ("list", "tensor"): "wrap it in `torch.tensor(…)`",
    ("tensor", "array"): "`.numpy()` turns it into an array",
    ("array", "tensor"): "`torch.from_numpy(…)` turns it into a tensor",
    ("tensor", "number"): "`.item()` takes the number out of a tensor with one entry",
    ("array", "number"): "`.item()` takes the number out of an array with one entry",
    ("string", "number"): "return the number itself, not its text",
    ("tuple", "list"): "`list(…)` turns it into a list",
    ("list", "tuple"): "`tuple(…)` turns it into a tuple",
}
_VIEWS = tuple(map(type, ({}.keys(), {}.values(), {}.items())))
_LAZY = (types.GeneratorType, map, filter, zip, range, enumerate, reversed, *_VIEWS)


def difference(given, expected, relative=1e-6, absolute=1e-9):
    """What differs, as a sentence without its full stop; empty where the two agree."""
    return _compare(given, expected, Tolerance(relative, absolute))


def _compare(given, expected, tolerance):
    if given is expected:
        return ""
    kind, wanted = kind_of(given), kind_of(expected)
    if wanted not in _BY_KIND:
        return f"{words(expected)} cannot be compared: the exercise needs a drive"
    if kind != wanted:
        return _other_kind(given, expected, kind, wanted)
    return _BY_KIND[wanted](given, expected, tolerance)


def _has_several_entries(given):
    try:
        return math.prod(given.shape) != 1
    except Exception:  # a number has no shape, and a learner's class can do anything here
        return False


def _other_kind(given, expected, kind, wanted):
    listed = type(given) in _LAZY and wanted in ("list", "tuple", "array")
    advice = "collect it with `list(…)`" if listed else _ADVICE.get((kind, wanted))
    if wanted == "number" and _has_several_entries(given):
        advice = None  # `.item()` would fail on it
    wanted_words = words(expected) if wanted in ("array", "tensor") else _ANY[wanted]
    return f"{words(given)} where {wanted_words} is expected" + (f": {advice}" if advice else "")


_ANY = {
    **{kind: f"a {kind}" for kind in ("truth value", "number", "string", "list", "tuple", "dict", "set", "DataFrame")},
    **{"None": "None", "bytes": "a bytes object", "date": "a date", "Series": "a Series", "index": "a pandas index"},
}


def _exact(given, expected, tolerance):
    given, expected = plain(given), plain(expected)
    return "" if given == expected else f"{short(given)} where {short(expected)} is expected"


def _numbers(given, expected, tolerance):
    bits = min(float_bits(given), float_bits(expected))
    given, expected = plain(given), plain(expected)
    tolerance = tolerance.for_bits(bits, abs(expected)) if bits < 64 else tolerance
    if _close(given, expected, tolerance):
        return ""
    for name, test in (("NaN", _is_nan), ("infinite", _is_infinite)):
        if test(given) and not test(expected):
            return f"{name} where a finite number is expected"
    mine, right = two_numbers(given, expected)
    sign = "; the sign is wrong" if _close(-given, expected, tolerance) else ""
    return f"{mine} where {right} is expected{sign}"


def _close(given, expected, tolerance):
    if type(given) is complex and type(expected) is not complex:
        return False
    if given == expected or (_is_nan(given) and _is_nan(expected)):
        return True
    if type(expected) is int:
        return False
    try:
        return abs(given - expected) <= tolerance.absolute + tolerance.relative * abs(expected) < math.inf
    except OverflowError:  # a whole number too large for a float
        return False


def _is_nan(value):
    return value != value


def _is_infinite(value):
    return type(value) is float and math.isinf(value)


def _text(given, expected, tolerance):
    given, expected = plain(given), plain(expected)
    if given == expected:
        return ""
    if given.strip().lower() == expected.strip().lower():
        return f"{short(given)} where {short(expected)} is expected: they differ in capitals or in outer spaces"
    start = next((i for i, (a, b) in enumerate(zip(given, expected, strict=False)) if a != b), None)
    place = f", from character {start} on" if start and len(expected) > 20 else ""
    return f"{short(given)} where {short(expected)} is expected{place}"


def _sequence(given, expected, tolerance):
    if len(given) != len(expected):
        return f"{words(given)} where {len(expected)} entries are expected"
    for place, (mine, right) in enumerate(zip(given, expected, strict=True)):
        inner = _compare(mine, right, tolerance)
        if inner:
            return f"entry {place}: {inner}" + _relation(given, expected, tolerance)
    return ""


def _relation(given, expected, tolerance):
    """What holds for all entries of two lists of numbers at once."""
    if {kind_of(value) for value in [*given, *expected]} != {"number"} or len(expected) < 2:
        return ""
    found = relation([plain(value) for value in given], [plain(value) for value in expected], tolerance)
    return f"; {found}" if found else ""


def _dict(given, expected, tolerance):
    strange = _strange(given)
    if strange:
        return f"the dict has {strange} as a key"
    missing, extra = ([key for key in one if key not in two] for one, two in ((expected, given), (given, expected)))
    if missing:
        return f"the dict lacks the key {short(missing[0])}" + (f" and has {short(extra[0])} instead" if extra else "")
    if extra:
        return f"the dict has the key {short(extra[0])}, which is not expected"
    for key in expected:
        inner = _compare(given[key], expected[key], tolerance)
        if inner:
            return f"key {short(key)}: {inner}"
    return ""


def _strange(entries):
    """Words for the first entry whose own `__eq__` a lookup would consult, "" where there is none."""
    for entry in entries:
        if kind_of(entry) == "other":
            return words(entry)
        if kind_of(entry) in ("tuple", "set") and _strange(entry):
            return _strange(entry)
    return ""


def _set(given, expected, tolerance):
    strange = _strange(given)
    if strange:
        return f"the set has {strange} as an entry"
    lacks, extra = expected - given, given - expected
    if lacks:
        return f"the set lacks {short(min(lacks, key=repr))}"
    return f"the set has the unexpected {short(min(extra, key=repr))}" if extra else ""


def _arrays(given, expected, tolerance):
    if given.dtype.kind in "OV" and expected.dtype.kind in "OV":
        lists = given.ravel().tolist(), expected.ravel().tolist()
        return compare_arrays.shapes(given, expected) or _sequence(*lists, tolerance)
    return compare_arrays.arrays(given, expected, tolerance)


def _index(given, expected, tolerance):
    return _sequence(list(given), list(expected), tolerance)


def _frames(given, expected, tolerance):
    columns, wanted = list(given.columns), list(expected.columns)
    if columns != wanted and sorted(map(short, columns)) == sorted(map(short, wanted)):
        return "the columns are in another order"
    inner = _sequence(columns, wanted, tolerance)
    if inner:
        return f"the columns: {inner}"
    inner = _rows(given, expected, tolerance)
    if inner:
        return inner
    for place, name in enumerate(wanted):
        inner = _column(given.iloc[:, place], expected.iloc[:, place], tolerance)
        if inner:
            return f"column {short(name)}: {inner}"
    return ""


def _series(given, expected, tolerance):
    return _rows(given, expected, tolerance) or _column(given, expected, tolerance)


def _rows(given, expected, tolerance):
    if len(given) != len(expected):
        return f"{words(given)} where {len(expected)} rows are expected"
    inner = _index(given.index, expected.index, tolerance)
    return f"the index: {inner}" if inner else ""


def _column(given, expected, tolerance):
    if all(column.dtype.kind in "biufc" and not column.hasnans for column in (given, expected)):
        return compare_arrays.arrays(given.to_numpy(), expected.to_numpy(), tolerance)
    family = compare_arrays.families(given.dtype, expected.dtype)
    return family or _sequence(_with_none(given), _with_none(expected), tolerance)


def _with_none(column):
    """Entries as a list, whatever the dtype calls a missing one as None."""
    missing = column.isna().tolist()
    return [None if gap else entry for gap, entry in zip(missing, column.astype(object).tolist(), strict=True)]


_BY_KIND = {
    **dict.fromkeys(("None", "truth value", "bytes", "date"), _exact),
    "number": _numbers,
    "string": _text,
    "list": _sequence,
    "tuple": _sequence,
    "dict": _dict,
    "set": _set,
    "array": _arrays,
    "tensor": compare_arrays.tensors,
    "DataFrame": _frames,
    "Series": _series,
    "index": _index,
}

"""Comparison of arrays and tensors; `compare` says what counts as the same."""

from course_utils.learn.kinds import as_array, number, shape, short, two_numbers
from course_utils.learn.tolerance import float_bits, relation

_FAMILIES = {
    "b": "truth values",
    "i": "whole numbers",
    "u": "whole numbers",
    "f": "floats",
    "c": "complex numbers",
    "U": "strings",
    "T": "strings",
    "M": "dates",
    "m": "durations",
    "O": "objects",
}


def shapes(given, expected):
    """How two shapes differ, "" where they do not."""
    mine, right = tuple(given.shape), tuple(expected.shape)
    if mine == right:
        return ""
    without_ones = [tuple(length for length in sizes if length != 1) for sizes in (mine, right)]
    said = f"shape {shape(given)} where {shape(expected)} is expected"
    if mine == right[::-1]:
        return f"{said}: it is transposed"
    return f"{said}: they differ in axes of length 1" if without_ones[0] == without_ones[1] else said


def families(given, expected):
    """How two dtypes differ in kind, whatever their width; "" where they do not."""
    mine, right = (_FAMILIES.get(dtype.kind, str(dtype)) for dtype in (given, expected))
    return "" if mine == right else f"{mine} ({given}) where {right} ({expected}) are expected"


def arrays(given, expected, tolerance, bits=64):
    """What differs between two numpy arrays; `bits` is the width of the floats that they came from."""
    found = shapes(given, expected)
    if found:
        return found
    bits = min(bits, float_bits(given), float_bits(expected))
    wrong = ~_equal(given, expected, tolerance.for_bits(bits, _largest(expected)))
    family = families(given.dtype, expected.dtype)
    if family:
        return family if wrong.any() else f"{family}; the values agree, only the dtype does not"
    return _where(given, expected, wrong, tolerance) if wrong.any() else ""


def _largest(expected):
    import numpy as np

    finite = np.abs(expected[np.isfinite(expected)]) if expected.dtype.kind in "fc" else np.zeros(0)
    return float(finite.max()) if finite.size else 0.0


def _equal(given, expected, tolerance):
    import numpy as np

    kinds = given.dtype.kind + expected.dtype.kind
    if set(kinds) <= set("biufc") and set(kinds) & set("fc"):
        with np.errstate(all="ignore"):
            return tolerance.close(given, expected)
    if kinds in ("MM", "mm"):  # as whole numbers, NaT equals NaT
        given, expected = given.astype(expected.dtype).view("i8"), expected.view("i8")
    elif given.dtype.kind in "OV":  # the entries' own `==` is not to be trusted
        return np.zeros(expected.shape, dtype=bool)
    same = np.asarray(given == expected)
    return same if same.shape == expected.shape else np.zeros(expected.shape, dtype=bool)


def _where(given, expected, wrong, tolerance):
    import numpy as np

    index = tuple(int(i) for i in np.argwhere(wrong)[0])
    mine, right = given[index], expected[index]
    texts = two_numbers(mine, right) if given.dtype.kind in "iufc" else (short(mine), short(right))
    entry = f"{texts[0]} where {texts[1]} is expected"
    if not index:
        return entry
    said = _in_common(given, expected, tolerance) or f"{_count(wrong)} differ"
    return f"{said}; first at {list(index)}: {entry}"


def _count(wrong):
    return f"{number(int(wrong.sum()))} of {number(wrong.size)} entries"


def _in_common(given, expected, tolerance):
    if given.dtype.kind == "b":
        return "every truth value is the opposite" if (given != expected).all() else ""
    if given.dtype.kind not in "iufc":
        return ""
    if given.ndim == 2 and given.shape[0] == given.shape[1] and tolerance.close(given.T, expected).all():
        return "the array is transposed"
    return relation(given.ravel(), expected.ravel(), tolerance)


def tensors(given, expected, tolerance):
    """What differs between two torch tensors; the device and `requires_grad` are free."""
    if given.is_meta or expected.is_meta:
        return shapes(given, expected) or (
            "" if given.is_meta == expected.is_meta else "only one of the two has entries"
        )
    bits = min(t.dtype.itemsize * 8 if t.dtype.is_floating_point else 64 for t in (given, expected))
    return arrays(as_array(given), as_array(expected), tolerance, bits)

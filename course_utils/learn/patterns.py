"""What two sets of numbers have in common although they differ: a sign, a factor, an order…

Each function takes flat numpy arrays of equal length and a `close(given, expected)` that
compares entry by entry; it returns a sentence without its full stop, or an empty string.
"""


def pattern(given, expected, close, one_answer=True):
    """The first relation that explains the difference of all entries at once, "" where none does.

    `one_answer` is false for the answers to several cases, whose order means nothing.
    """
    if close(given, expected).all():
        return ""
    for find in (_not_finite, _sign, _order, _factor, _offset) if one_answer else (_sign, _factor, _offset):
        found = find(given, expected, close)
        if found:
            return found
    return ""


def _not_finite(given, expected, close):
    import numpy as np

    for name, test in (("NaN", np.isnan), ("infinite", np.isinf)):
        wrong = int((test(given) & np.isfinite(expected)).sum())
        if wrong:
            return f"{_share(wrong, len(given))} {name} where a finite number is expected"
    return ""


def _share(count, total):
    if count == total:
        return "it is" if total == 1 else "every entry is"
    return f"{count} of {total} entries {'is' if count == 1 else 'are'}"


def _sign(given, expected, close):
    if not expected.any() or not close(-given, expected).all():
        return ""
    return "the sign is wrong" if len(given) == 1 else "every sign is wrong: it is the expected answer times −1"


def _order(given, expected, close):
    import numpy as np

    if len(given) < 2 or np.iscomplexobj(given):
        return ""
    if close(given[::-1], expected).all():
        return "the same values in reverse order"
    return "the same values in another order" if close(np.sort(given), np.sort(expected)).all() else ""


def _factor(given, expected, close):
    import numpy as np

    usable = np.isfinite(given) & np.isfinite(expected) & (expected != 0)
    if len(np.unique(expected[usable])) < 2:  # any two single numbers have a ratio
        return ""
    factor = given[usable][np.abs(expected[usable]).argmax()] / expected[usable][np.abs(expected[usable]).argmax()]
    if factor == 0 or not close(given / factor, expected).all():
        return ""
    return f"every value is {_named(factor)} times what is expected"


def _named(factor):
    if not isinstance(factor, complex) and 1.5 < abs(1 / factor) < 10_000 and _is_whole(1 / factor):
        return f"1/{round(1 / factor)}" if factor > 0 else f"−1/{round(-1 / factor)}"
    return str(round(factor)) if _is_whole(factor) and abs(factor) < 10**6 else f"{factor:.5g}"


def _is_whole(number):
    return not isinstance(number, complex) and abs(number - round(number)) < 1e-6 * abs(number)


def _offset(given, expected, close):
    import numpy as np

    usable = np.isfinite(given) & np.isfinite(expected)
    if len(np.unique(expected[usable])) < 2:
        return ""
    offset = (given - expected)[usable].mean()
    if np.iscomplexobj(offset) or not close(given - offset, expected).all():
        return ""
    return f"every value is too {'large' if offset > 0 else 'small'} by {abs(offset):.5g}"

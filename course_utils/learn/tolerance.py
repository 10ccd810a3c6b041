"""How close two floats must be, and what a whole set of them has in common."""

from dataclasses import dataclass

from course_utils.learn.patterns import pattern

# What rounding alone may do: relative to the entry, and to the largest entry of the answer,
# since sums and differences carry the error of their largest term.
_ROUNDING = {32: (1e-5, 1e-6), 16: (1e-2, 1e-2)}


@dataclass(frozen=True)
class Tolerance:
    """`given` agrees where |given − expected| ≤ absolute + relative · |expected|, as in `numpy.isclose`."""

    relative: float = 1e-6
    absolute: float = 1e-9

    def for_bits(self, bits, largest):
        """Loosened to a float of this width in an answer whose largest entry is `largest`."""
        relative, of_largest = _ROUNDING.get(bits, (0.0, 0.0))
        return Tolerance(max(self.relative, relative), max(self.absolute, of_largest * largest))

    def close(self, given, expected):
        """Entry by entry for two numpy arrays; NaN agrees with NaN."""
        import numpy as np

        return np.isclose(given, expected, rtol=self.relative, atol=self.absolute, equal_nan=True)


def float_bits(value):
    """Width of one real number in a numpy array or scalar of floats; 64 for everything else."""
    dtype = getattr(value, "dtype", None)
    kind = getattr(dtype, "kind", "")
    bits = {"f": 8, "c": 4}.get(kind, 0) * getattr(dtype, "itemsize", 0)
    return bits if bits in _ROUNDING else 64


def relation(given, expected, tolerance, one_answer=True):
    """The pattern that two flat collections of numbers follow, "" for none or where floats cannot hold them."""
    import numpy as np

    try:
        given, expected = (np.asarray(values, dtype=complex) for values in (given, expected))
    except OverflowError:
        return ""
    if not given.imag.any() and not expected.imag.any():
        given, expected = given.real, expected.real
    with np.errstate(all="ignore"):
        return pattern(given, expected, tolerance.close, one_answer)

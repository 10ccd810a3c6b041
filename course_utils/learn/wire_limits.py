"""What the two directions of `wire` share: the limits, the names of dtypes and the error."""

import re

LIMIT_BYTES = 16 * 2**20
DEEPEST = 64
MOST_VALUES = 200_000
MOST_KEYS = 10_000  # of all dicts and sets together: keys chosen to collide cost the square of their number
LONGEST_WORDS = 200
MOST_AXES = 32
NUMPY_TYPE = re.compile(r"[<>|][biufcSUMm]\d{1,6}(\[\d{0,6}[A-Za-zμ]{1,2}\])?")
TORCH_TYPES = (
    *("float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "complex128", "complex64"),
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
)


class WireError(ValueError):
    """A value too large to send, or bytes that are no message."""


def allow(condition, complaint):
    """Raises WireError with this complaint unless the condition holds."""
    if not condition:
        raise WireError(complaint)

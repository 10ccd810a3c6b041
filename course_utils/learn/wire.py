"""Values as bytes and back, for values that come from where nothing is trusted.

A message is a line of JSON and the raw bytes of its arrays. Nothing in it is code: it is neither
unpickled nor imported, nor is it a Python literal, as the header of an `.npy` file is. Types are exact:
what is none of the types named here, a subclass of one included, arrives as a `Foreign`.

Decoding trusts nothing. Depth, number of values and size are limited, a claimed shape must match
the bytes that are there, and whatever is wrong is a `WireError`.
"""

import datetime
import json
import re
import sys

from course_utils.learn.kinds import library_type, words
from course_utils.learn.wire_limits import (
    DEEPEST,
    LIMIT_BYTES,
    LONGEST_WORDS,
    MOST_KEYS,
    MOST_VALUES,
    NUMPY_TYPE,
    TORCH_TYPES,
    WireError,
    allow,
)
from course_utils.learn.wire_reader import Reader

_BITS = 1_000  # a longer whole number travels in base 16: base 10 takes the square of its length
_MARKS_PER_VALUE = 5
_BUILTIN = {list: "list", tuple: "tuple", set: "set", frozenset: "frozenset"}
_SURROGATE = re.compile("[\ud800-\udfff]")


def encode(value, limit_bytes=LIMIT_BYTES, known_only=False):
    """The value as bytes.

    Raises WireError where it is nested deeper, larger or more numerous than `decode` allows, and with
    `known_only` where a value of no known type is in it.
    """
    writer = _Writer(limit_bytes, known_only)
    tree = writer.tree(value, 0)
    header = json.dumps([tree], separators=(",", ":")).encode()
    allow(len(header) + writer.size + 1 <= limit_bytes, f"more than {limit_bytes:,} bytes")
    _not_crowded(header)
    return b"\n".join((header, b"".join(writer.blobs)))


def decode(data, limit_bytes=LIMIT_BYTES):
    """The value in these bytes; what was of no known type is a `Foreign`.

    Raises WireError, and nothing else, where they are not exactly one message within the limits.
    """
    allow(len(data) <= limit_bytes, f"more than {limit_bytes:,} bytes")
    header, newline, rest = bytes(data).partition(b"\n")
    allow(newline, "no end of the header")
    _not_crowded(header)
    try:
        reader = Reader(memoryview(rest))
        [tree] = json.loads(header.decode("ascii"))
        value = reader.value(tree)
    except WireError:
        raise
    # What a library says of hostile data is not known in advance; memory and nesting are bounded above.
    except Exception as problem:
        raise WireError(f"garbled: {type(problem).__name__}") from None
    allow(not reader.rest, "bytes that belong to nothing")
    return value


def _not_crowded(header):
    # Before the JSON is read, since a value takes many times the memory of the comma that announces it.
    marks = header.count(b",") + header.count(b"[")
    allow(marks <= _MARKS_PER_VALUE * MOST_VALUES, f"more than {MOST_VALUES:,} values")


class _Writer:
    def __init__(self, limit_bytes, known_only):
        self.limit_bytes, self.known_only = limit_bytes, known_only
        self.count, self.keys, self.size, self.blobs = 0, 0, 0, []

    def tree(self, value, depth):
        self.count += 1
        allow(depth <= DEEPEST, f"nested more than {DEEPEST} deep")
        allow(self.count <= MOST_VALUES, f"more than {MOST_VALUES:,} values")
        cls = type(value)
        if cls in (dict, set, frozenset):
            self.keys += len(value)
            allow(self.keys <= MOST_KEYS, f"more than {MOST_KEYS:,} keys")
        if value is None or cls in (bool, float):
            return value
        if cls in _BUILTIN:
            return [_BUILTIN[cls], [self.tree(entry, depth + 1) for entry in value]]
        if cls is dict:
            return ["dict", [[self.tree(part, depth + 1) for part in pair] for pair in value.items()]]
        return self.leaf(value, cls)

    def leaf(self, value, cls):
        if cls is int:
            return value if value.bit_length() <= _BITS else ["int", hex(value)]
        if cls is str:
            self.reserve(len(value))
            lone = _SURROGATE.search(value)
            return ["text", value.encode("utf-32-le", "surrogatepass").hex()] if lone else value
        if cls is bytes:
            return ["bytes", self.blob(value, len(value))]
        if cls is complex:
            return ["complex", [value.real, value.imag]]
        return _moment(value, cls) or self.array(value, cls) or self.tensor(value, cls) or self.other(value)

    def other(self, value):
        allow(not self.known_only, f"{_said(value)} cannot be sent")
        return ["other", _said(value)]

    def array(self, value, cls):
        numpy = sys.modules.get("numpy")
        if not numpy or not (cls is numpy.ndarray or cls in numpy.sctypeDict.values()):
            return None
        if not NUMPY_TYPE.fullmatch(value.dtype.str) or (not value.dtype.itemsize and value.size):
            return None
        tag = "array" if cls is numpy.ndarray else "scalar"
        self.reserve(value.nbytes)
        return [tag, [value.dtype.str, list(value.shape), self.blob(value.tobytes(), 0)]]

    def tensor(self, value, cls):
        torch = sys.modules.get("torch")
        if cls is not library_type("torch", "Tensor") and cls is not library_type("torch.nn", "Parameter"):
            return None
        name = str(value.dtype).removeprefix("torch.")
        if not torch or name not in TORCH_TYPES or value.layout is not torch.strided or value.is_quantized:
            return None
        if value.is_meta:
            return ["meta", [name, list(value.shape)]]
        self.reserve(value.numel() * value.dtype.itemsize)
        flat = value.detach().cpu().resolve_conj().resolve_neg().contiguous().reshape(-1)
        return ["tensor", [name, list(value.shape), self.blob(flat.view(torch.uint8).numpy().tobytes(), 0)]]

    def blob(self, data, reserved):
        self.reserve(reserved)
        self.blobs.append(data)
        return len(data)

    def reserve(self, size):
        """Before the copy is made: a broadcast array may claim more than there is memory."""
        self.size += size
        allow(self.size <= self.limit_bytes, f"more than {self.limit_bytes:,} bytes")


def _said(value):
    """Words about a value of no known type, whose class may be anyone's."""
    try:
        return words(value)[:LONGEST_WORDS]
    except Exception:
        return "an object that cannot be described"


def _moment(value, cls):
    if cls is datetime.date:
        return ["date", value.isoformat()]
    if cls is datetime.datetime and (value.tzinfo is None or type(value.tzinfo) is datetime.timezone):
        return ["datetime", [value.isoformat(), value.fold]]
    if cls is datetime.timedelta:
        return ["timedelta", [value.days, value.seconds, value.microseconds]]
    return None

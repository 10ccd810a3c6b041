"""Reads a message of `wire`, whose bytes may be anyone's."""

import datetime
import math
import sys

from course_utils.learn.kinds import Foreign
from course_utils.learn.wire_limits import (
    DEEPEST,
    LONGEST_WORDS,
    MOST_AXES,
    MOST_KEYS,
    MOST_VALUES,
    NUMPY_TYPE,
    TORCH_TYPES,
    allow,
)


class Reader:
    """Takes arrays off the bytes in the order in which the header names them, each once."""

    def __init__(self, rest):
        self.rest, self.count, self.keys = rest, 0, 0

    def value(self, tree, depth=0):
        """The value that a header's tree stands for."""
        self.count += 1
        allow(depth <= DEEPEST, f"nested more than {DEEPEST} deep")
        allow(self.count <= MOST_VALUES, f"more than {MOST_VALUES:,} values")
        if type(tree) is not list:
            allow(type(tree) is not dict, "an unknown type")
            return tree
        tag, content = tree
        if tag in ("list", "tuple"):
            entries = [self.value(entry, depth + 1) for entry in _listed(content)]
            return entries if tag == "list" else tuple(entries)
        if tag in ("set", "frozenset", "dict"):
            self.keys += len(content)
            allow(self.keys <= MOST_KEYS, f"more than {MOST_KEYS:,} keys")
            return self.keyed(tag, _listed(content), depth)
        allow(type(tag) is str and tag in _LEAVES, "an unknown type")
        return _LEAVES[tag](self, content)

    def keyed(self, tag, content, depth):
        """A dict or set; a key that is there twice, or cannot be one, is refused."""
        if tag == "dict":
            pairs = [[self.value(part, depth + 1) for part in _listed(pair)] for pair in content]
            made = dict(pairs)
        else:
            made = {"set": set, "frozenset": frozenset}[tag](self.value(entry, depth + 1) for entry in content)
        allow(len(made) == len(content), "a key twice")
        return made

    def take(self, size):
        """The next bytes."""
        allow(type(size) is int and 0 <= size <= len(self.rest), "less data than claimed")
        taken, self.rest = self.rest[:size], self.rest[size:]
        return taken

    def array(self, content):
        """A numpy array of its own."""
        import numpy as np

        name, shape, size = content
        allow(type(name) is str and NUMPY_TYPE.fullmatch(name), "an unknown dtype")
        dtype = np.dtype(name)
        data = self.entries(shape, dtype.itemsize, size)
        _sound(data, dtype.kind, dtype.byteorder)
        return np.ndarray(tuple(shape), dtype, bytearray(data)) if len(data) else np.empty(tuple(shape), dtype)

    def tensor(self, content):
        """A torch tensor of its own, on the CPU."""
        import torch

        name, shape, size = content
        allow(name in TORCH_TYPES, "an unknown dtype")
        dtype = getattr(torch, name)
        data = self.entries(shape, dtype.itemsize, size)
        _sound(data, "b" if name == "bool" else "")
        if not data:
            return torch.empty(tuple(shape), dtype=dtype)
        return torch.frombuffer(bytearray(data), dtype=torch.uint8).view(dtype).reshape(tuple(shape))

    def meta(self, content):
        """A tensor without entries."""
        import torch

        name, shape = content
        allow(name in TORCH_TYPES, "an unknown dtype")
        _shape(shape)
        return torch.empty(tuple(shape), dtype=getattr(torch, name), device="meta")

    def entries(self, shape, itemsize, size):
        """The bytes of an array, of which there must be as many as its shape claims, before any memory is taken."""
        allow(type(size) is int and _shape(shape) * itemsize == size, "a shape that does not fit its data")
        allow(itemsize or not _shape(shape), "entries without size")
        return self.take(size)


def _listed(content):
    allow(type(content) is list, "a list is missing")
    return content


def _shape(shape):
    """The number of entries; Python's whole numbers do not overflow."""
    allow(type(shape) is list and len(shape) <= MOST_AXES, "a strange shape")
    allow(all(type(length) is int and 0 <= length < 2**63 for length in shape), "a strange length")
    return math.prod(shape)


def _sound(data, kind, order="="):
    """Refuses bytes that are no truth value and no character: what a library makes of them is its own secret."""
    import numpy as np

    if kind == "b" and data:
        allow(np.frombuffer(data, np.uint8).max() <= 1, "a truth value that is neither")
    if kind == "U" and data:
        allow(np.frombuffer(data, np.dtype("u4").newbyteorder(order)).max() <= sys.maxunicode, "no character")


def _text(reader, content):
    return bytes.fromhex(content).decode("utf-32-le", "surrogatepass")


def _datetime(reader, content):
    return datetime.datetime.fromisoformat(content[0]).replace(fold=content[1])


def _other(reader, content):
    allow(type(content) is str and len(content) <= LONGEST_WORDS, "words too long")
    return Foreign("".join(one if one.isprintable() else " " for one in content))


_LEAVES = {
    "int": lambda reader, content: int(content, 16),
    "text": _text,
    "bytes": lambda reader, content: bytes(reader.take(content)),
    "complex": lambda reader, content: complex(*map(float, content)),
    "date": lambda reader, content: datetime.date.fromisoformat(content),
    "datetime": _datetime,
    "timedelta": lambda reader, content: datetime.timedelta(*content),
    "array": Reader.array,
    "scalar": lambda reader, content: reader.array(content)[()],
    "tensor": Reader.tensor,
    "meta": Reader.meta,
    "other": _other,
}

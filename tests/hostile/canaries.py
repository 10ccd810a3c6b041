"""Texts by which a hidden number or array would be known again, wherever it turned up."""

import base64

import numpy as np

MOST_DIGITS = 11  # characters of a number, its point among them: chance does not write them
VARIED = 5  # different bytes of a number: fewer make 0.0, 1.0 and the like, which any file holds


def canaries(hidden, public):
    """Texts that tell a float or an array of the hidden cases, apart from what the public cases hold too."""
    known = {value for case in public for array in _arrays(case) for value in array.flatten().tolist()}
    found = set()
    for array in (array for case in hidden for array in _arrays(case)):
        values = array.flatten().tolist()
        for one, two in zip(values, [*values[1:], 0.0], strict=True):
            if one not in known:
                found |= {repr(abs(value))[:MOST_DIGITS] for value in (one, float(np.float32(one)))}
                found |= {one.hex().lstrip("-"), f"{one:.4f}, {two:.4f}", f"{one:.4e}, {two:.4e}"}
        found |= _of_bytes(array)
    return {text for text in found if len(text) >= MOST_DIGITS and len(set(text)) >= VARIED}


def _arrays(case):
    """The arrays of floats among a case's inputs."""
    values = [*case.args, *case.kwargs.values()]
    arrays = [value.numpy() if hasattr(value, "numpy") else value for value in values]
    return [array for array in arrays if getattr(array, "dtype", None) is not None and array.dtype.kind == "f"]


def _of_bytes(array):
    """The array's bytes: each entry in hexadecimal digits, and all in base64 wherever it may begin."""
    data, size = array.tobytes(), array.itemsize
    entries = {data[at : at + size] for at in range(0, len(data), size)}
    whole = [base64.b64encode(b"\0" * shift + data).decode()[4:-4] for shift in range(3)]
    pieces = {text[at : at + 20] for text in whole for at in range(0, len(text) - 20, 20)}
    return {entry.hex() for entry in entries if len(set(entry)) >= VARIED} | pieces

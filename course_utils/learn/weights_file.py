"""What a file of weights is and holds, by its header alone: no tensor is loaded, and no pickle is ever opened.

The format: 8 bytes with the header's length (little-endian), the header as JSON, then the tensors' bytes
without a gap (github.com/huggingface/safetensors).
"""

import json
import math
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

from course_utils.errors import CourseError

LENGTH_BYTES = 8
MOST_HEADER_BYTES = 100_000_000  # the format's own limit
PEEK_BYTES = 1024
MAGIC_ZIP, MAGIC_PICKLE, MAGIC_GGUF, MAGIC_LFS = b"PK", b"\x80", b"GGUF", b"version https://git-lfs"
_BITS = dict.fromkeys(("I64", "U64", "F64", "C64"), 64) | dict.fromkeys(("I32", "U32", "F32"), 32)
_BITS |= dict.fromkeys(("I16", "U16", "F16", "BF16"), 16)
_BITS |= dict.fromkeys(("BOOL", "I8", "U8", "F8_E4M3", "F8_E5M2", "F8_E8M0"), 8)
AGAIN = "Download it again."
SAFE = "Take the .safetensors file of the same model."


@dataclass(frozen=True)
class Weights:
    """What the header of a safetensors file says: how many tensors, their dtypes by name, the author's own remarks.

    `size_bytes` is that of the whole file.
    """

    tensors: int
    size_bytes: int
    dtypes: tuple[str, ...]
    metadata: dict


def check_weights(path):
    """The `Weights` of a safetensors file whose header is whole and agrees with the file's size; tensors stay on disk.

    Raises CourseError where there is no such file, where it is another kind of file (a pickle, a GGUF, a web page,
    a Git LFS pointer), and where it is cut off or damaged.
    """
    path = Path(path)
    try:
        size_bytes = _size_bytes(path)
        with open(path, "rb") as file:
            start = file.read(PEEK_BYTES)
            length = _header_bytes(path, start, size_bytes)
            file.seek(LENGTH_BYTES)
            header = _header(path, file.read(length))
    except OSError as error:
        raise CourseError(f"{path} cannot be read: {error.strerror or error}. Check its permissions.") from None
    return _weights(path, header, size_bytes, size_bytes - LENGTH_BYTES - length)


def _size_bytes(path):
    if not path.exists():
        raise CourseError(f"There is no file {path}. Check the name: it ends in .safetensors.")
    if path.is_dir():
        raise CourseError(f"{path} is a folder. Name one .safetensors file in it.")
    return path.stat().st_size


def _header_bytes(path, start, size_bytes):
    """The header's length, where this is the start of a safetensors file that can hold it."""
    length = int.from_bytes(start[:LENGTH_BYTES], "little")
    # A length may begin with a pickle's first byte or a page's "<"; the brace behind it tells them apart.
    if start[LENGTH_BYTES : LENGTH_BYTES + 1] != b"{" or length > MOST_HEADER_BYTES:
        raise CourseError(f"{path.name} {_other_kind(path, start)}")
    if LENGTH_BYTES + length > size_bytes:
        raise CourseError(
            f"{path.name} is cut off: its header alone is {length:,} bytes long, and the file ends after "
            f"{size_bytes:,} bytes. {AGAIN}"
        )
    return length


def _other_kind(path, start):
    """What a file is that is no safetensors file, and what to do about it, as the end of a sentence."""
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(MAGIC_ZIP) and not _is_plain_zip(path):
        return _pickle("a zip archive, in which torch.save keeps a pickle")
    if start.startswith(MAGIC_ZIP):
        return "is a zip archive without weights of PyTorch's. Unpack it and name the .safetensors file in it."
    if start.startswith(MAGIC_PICKLE):
        return _pickle("a pickle")
    if start.startswith(MAGIC_GGUF):
        return f"is a GGUF file, which llama.cpp and its relatives read, not diffusers. {SAFE}"
    if start.startswith(MAGIC_LFS):
        return _pointer(start)
    return _text_or_damage(start, text)


def _pickle(kind):
    return (
        f"is {kind}, whatever its name says: loading a pickle can run any program that its author wrote. "
        f"Nothing was loaded. {SAFE}"
    )


def _is_plain_zip(path):
    """Whether an archive's list of names can be read and has no pickle; nothing is unpacked."""
    try:
        with zipfile.ZipFile(path) as archive:
            return not any(name.endswith((".pkl", ".pickle")) for name in archive.namelist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return False


def _pointer(start):
    size = re.search(rb"^size (\d{1,15})$", start, re.MULTILINE)
    real = f" of {int(size[1]):,} bytes" if size else ""
    return (
        f"is a Git LFS pointer: a few lines of text that stand for the file{real}. "
        "Type: git lfs pull, or download the file itself."
    )


def _text_or_damage(start, text):
    if not start:
        return f"is empty. {AGAIN}"
    if text.startswith(b"<"):
        return (
            "is a web page: the download did not give the file, but probably a page that asks to log in. "
            "Log in or accept the model's terms, then download it again."
        )
    if text.startswith(b"{"):
        return "is JSON, such as an index or a configuration. Name a .safetensors file beside it."
    return f"is no safetensors file, or damaged: no header follows its first 8 bytes ({start[:8].hex(' ')}). {AGAIN}"


def _header(path, text):
    try:
        header = json.loads(text)
        if not isinstance(header, dict):
            raise ValueError("no object")
        return header
    except (ValueError, RecursionError):
        raise CourseError(f"{path.name} is damaged: its header is no valid JSON. {AGAIN}") from None


def _weights(path, header, size_bytes, data_bytes):
    """The summary of a header, once every tensor was found to lie where it should."""
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict):
        raise CourseError(f"{path.name} is damaged: its remarks (__metadata__) are no table. {AGAIN}")
    end = 0
    for name, entry in _in_order(path, header):
        _check_tensor(path, name, entry, end)
        end = entry["data_offsets"][1]
    if end != data_bytes:
        what = "is cut off" if end > data_bytes else "is damaged"
        raise CourseError(
            f"{path.name} {what}: its header promises {end:,} bytes of tensors, and {data_bytes:,} are there. {AGAIN}"
        )
    return Weights(len(header), size_bytes, tuple(sorted({one["dtype"] for one in header.values()})), metadata)


def _in_order(path, header):
    for name, entry in header.items():
        if not _is_entry(entry):
            raise CourseError(f"{path.name} is damaged: its header's entry of {_short(name)} cannot be read. {AGAIN}")
    return sorted(header.items(), key=lambda one: one[1]["data_offsets"])


def _is_entry(entry):
    """Whether a tensor's entry has a dtype by name, a shape and two offsets, all of the right type."""
    if not isinstance(entry, dict) or not isinstance(entry.get("dtype"), str):
        return False
    shape, offsets = entry.get("shape"), entry.get("data_offsets")
    if not isinstance(shape, list) or not isinstance(offsets, list) or len(offsets) != 2:
        return False
    return all(type(one) is int and one >= 0 for one in (*shape, *offsets))


def _check_tensor(path, name, entry, end):
    (begin, stop), bits = entry["data_offsets"], _BITS.get(entry["dtype"])
    if begin != end or stop < begin:
        raise CourseError(
            f"{path.name} is damaged: tensor {_short(name)} begins at byte {begin:,} of the data, not at {end:,}. {AGAIN}"
        )
    if bits is not None and math.prod(entry["shape"]) * bits != 8 * (stop - begin):
        shape = "×".join(map(str, entry["shape"])) or "scalar"
        raise CourseError(
            f"{path.name} is damaged: tensor {_short(name)} ({shape} {entry['dtype']}) has {stop - begin:,} bytes. {AGAIN}"
        )


def _short(name):
    return repr(name if len(name) <= 80 else f"{name[:79]}…")

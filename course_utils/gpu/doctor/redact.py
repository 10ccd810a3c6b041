"""Takes out of the facts what tells who and where the reader is: the JSON report is made to be posted in a forum."""

import re
from dataclasses import fields, is_dataclass, replace

# The fields that repeat what a machine or a library said; all others hold numbers or words of ours.
FREE_TEXT = {
    ("System", "visible_devices"),
    ("Storage", "allocator_settings"),
    ("Program", "name"),
    ("Work", "error"),
    ("Work", "cuda_error"),
    ("Work", "allocator_error"),
    ("Check", "detail"),
}
_PATTERNS = (
    (r"(?:GPU|MIG)-[0-9a-fA-F-]{6,}", "<id>"),
    (r"\bhf_[A-Za-z0-9]{6,}", "<token>"),
    (r"file:/+\S+", "<path>"),
    (r"\b[A-Za-z]:[\\/][^\s'\":,]*", "<path>"),
    (r"(?<![\w/.:])~?/(?!/)[\w.@+~-]+(?:/[\w.@+~-]*)*", "<path>"),
    (r"[\w.+-]+@[\w-]+\.[\w.-]+", "<mail>"),
)


def redact(facts, names=None):
    """`Facts`, or any dataclass in it, without user name, host name, paths, card identifiers and tokens.

    `names` are the words to remove, this machine's user and host unless given.
    """
    words = known_names() if names is None else names
    if isinstance(facts, tuple):
        return tuple(redact(one, words) for one in facts)
    if not is_dataclass(facts):
        return facts
    kind, changed = type(facts).__name__, {}
    for field in fields(facts):
        value = getattr(facts, field.name)
        is_text = isinstance(value, str) and (kind, field.name) in FREE_TEXT
        changed[field.name] = clean(value, words) if is_text else redact(value, words)
    return replace(facts, **changed)


def known_names():
    """The user's and the host's names, longest first."""
    import getpass
    import socket

    found = set()
    for ask in (getpass.getuser, socket.gethostname):
        try:
            found.add(ask())
        except (OSError, KeyError):
            continue  # a user without an entry in the system's list
    return sorted((name for name in found if name), key=len, reverse=True)


def clean(text, words):
    """One text with marks such as <path> in place of what tells who and where."""
    for pattern, mark in _PATTERNS:
        text = re.sub(pattern, mark, text)
    for word in words:
        text = re.sub(rf"(?<![\w<]){re.escape(word)}(?!\w)", "<name>", text)
    return text

"""No page tells where on the building machine something lay."""

import re
import sys
import tempfile
from pathlib import Path

from course_utils.learn.paths import cache_dir, data_dir, project_dir

# What holds for every machine; the folders of this one come before.
_ANYWHERE = (
    (re.compile(r"/tmp/ipykernel_\d+/\d+\.py"), "<cell>"),
    (re.compile(r"(?<![\w.:/-])/(?:home|Users)/[^/\s\"'<>]+"), "~"),
)


def of_this_machine():
    """Folders that no page may name, the longest first, and what is written instead."""
    folders = {
        str(cache_dir()): "~/.cache/course-utils",
        str(data_dir()): "~/.local/share/course-utils",
        str(project_dir()): "course",
        sys.prefix: "course/.venv",
        str(Path.home()): "~",
        tempfile.gettempdir(): "/tmp",
    }
    return sorted(((one, words) for one, words in folders.items() if one not in ("/", words)), key=_length)


def without_places(text):
    """The text with this machine's folders replaced."""
    for folder, words in of_this_machine():
        text = whole(folder).sub(words, text)
    for pattern, words in _ANYWHERE:
        text = pattern.sub(words, text)
    return text


def whole(folder):
    """A pattern for a folder's path that does not match within a longer word or an address."""
    return re.compile(rf"(?<![\w.:/-]){re.escape(folder)}(?![\w-])")


def _length(pair):
    return -len(pair[0])

"""Where a program stands: the line of the cell or file, told in words."""

import sys
import sysconfig
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Place:
    """A line of the reader's own code; `inner_*` is the function further in, where that is his too."""

    file: str
    line: int
    inner_file: str | None = None
    inner_line: int | None = None
    inner_function: str | None = None


def find(frame, home=None):
    """The `Place` of a frame: its innermost line in the file `home`, or without one of any code of the reader's.

    None where there is no such code on the stack.
    """
    inner = None
    while frame is not None:
        file = frame.f_code.co_filename
        if file == home or (inner is None and is_users(file)):
            here = (file, frame.f_lineno, frame.f_code.co_name)
            inner = inner or here
            if file == home or home is None:
                return Place(*here[:2]) if inner is here else Place(*here[:2], *inner)
        frame = frame.f_back
    return None


@cache
def is_users(file):
    """Whether a file is neither Python's, nor an installed package's, nor the course's."""
    libraries = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    libraries.append(str(Path(__file__).parents[1]))
    return not file.startswith(("<frozen", "<__array_function__", *libraries))


def words(place, home=None):
    """A place in words, such as "line 3 of this cell" or "train.py line 40"."""
    text = _line(place.file, place.line, home)
    if place.inner_file is None:
        return text
    return f"{text}, in {place.inner_function}() ({_line(place.inner_file, place.inner_line, home)})"


def _line(file, line, home):
    cell = cell_name(file)
    if cell is None:
        return f"{Path(file).name} line {line}"
    return f"line {line} of this cell" if file == home else f"line {line} of {cell}"


def cell_name(file):
    """How IPython calls the cell that has this file name, such as "cell In[3]", or None."""
    IPython = sys.modules.get("IPython")
    shell = IPython.get_ipython() if IPython else None
    named = shell.compile.format_code_name(file) if shell else None
    return named and f"cell {named[1]}"

"""What came of one case, and whose line it was that raised."""

import dis
import linecache
import os
import sysconfig
import types
from dataclasses import dataclass
from pathlib import Path

_COURSE = str(Path(__file__).resolve().parents[1])
_LIBRARIES = tuple(sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib", "purelib", "platlib"))
_LONGEST_ERROR = 200


@dataclass(frozen=True)
class Outcome:
    """What came of one case: a value, an error, or a `problem` that the sentence names.

    `error_kinds` are the names of the error's class and its bases. `own` is true where the
    learner's own line raised it. `changed` names the input that was altered.
    """

    value: object = None
    error: str = ""
    error_kinds: tuple[str, ...] = ()
    error_text: str = ""
    own: bool = False
    line: int | None = None
    line_text: str = ""
    printed: str = ""
    changed: str = ""
    returned_none: bool = False
    untouched: bool = False
    problem: str = ""
    interrupted: bool = False


def raised(error, attempt, returned_none=False):
    """The Outcome of an attempt that raised this error."""
    own, line, line_text = _place(error.__traceback__)
    kinds = tuple(cls.__name__ for cls in type(error).__mro__ if issubclass(cls, BaseException))
    stub = isinstance(error, NotImplementedError) and own and _only_raises(attempt)
    return Outcome(
        error=type(error).__name__,
        error_kinds=kinds,
        error_text=_error_text(error),
        own=own,
        line=line,
        line_text=line_text,
        returned_none=returned_none,
        untouched=stub or is_empty(attempt),
    )


def _error_text(error):
    try:
        text = " ".join(str(error).split())
    except Exception:
        return ""
    return text if len(text) <= _LONGEST_ERROR else f"{text[:_LONGEST_ERROR]}…"


def _place(traceback):
    """Whether the learner's own line raised it, and the last such line's number and text."""
    own, line, text = False, None, ""
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        own = not _is_library(file)
        if own:
            line, text = traceback.tb_lineno, linecache.getline(file, traceback.tb_lineno).strip()
        traceback = traceback.tb_next
    return own, line, text


def _is_library(file):
    return file.startswith((_COURSE + os.sep, "<frozen ", "<__array_function__", *_LIBRARIES))


def is_empty(attempt):
    """Whether the function does nothing at all: its body is `pass`, `...`, a docstring or a lone `return None`."""
    if type(attempt) is not types.FunctionType:
        return False
    code = attempt.__code__
    # `return 5` is the same byte code: it differs in its constants only.
    return code.co_consts[-1:] == (None,) and code.co_code in {one.__code__.co_code for one in (_empty, _documented)}


def _empty():
    pass


def _documented():
    """Nothing but a docstring."""


def _only_raises(attempt):
    """Whether a function uses neither its parameters nor any name but the error's: the stub as it was given."""
    if type(attempt) is not types.FunctionType:
        return True
    names = set(attempt.__code__.co_names) <= {"NotImplementedError"}
    touches = ("LOAD_FAST", "LOAD_DEREF", "STORE_")
    return names and not any(step.opname.startswith(touches) for step in dis.get_instructions(attempt))

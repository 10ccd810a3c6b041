"""Out of memory in a cell: what was asked, what holds the memory, what would help; the memory is freed, the cell still fails."""

import linecache
import re
import sys
import traceback
from dataclasses import dataclass

from course_utils.gpu import memory, nvml
from course_utils.gpu.monitor import places
from course_utils.gpu.oom import breakdown, remedies
from course_utils.gpu.oom.free import Freed, free_now

_CPU = "DefaultCPUAllocator: can't allocate memory"
# Libraries below torch report a failed allocation in their own words, as a RuntimeError.
_OTHERS = (_CPU, "std::bad_alloc", "CUDA out of memory", "CUDA error: out of memory", "_STATUS_ALLOC_FAILED")
# A card that is full already fails where a library makes its handle, and names no memory.
_OTHERS += ("CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`", "DEVICE_ALLOCATION_FAILED")
_UNITS = {"bytes": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_PLUMBING = ("_wrapped_call_impl", "_call_impl")  # how torch calls a module's forward
CAPPED = "<capped cell>"
_SIZE = r"([\d.]+) (bytes|KiB|MiB|GiB)"


@dataclass(frozen=True)
class Place:
    """Where the cell failed: its own line, the reader's innermost line where that is another, the functions on the way."""

    line: str
    code: str
    inner: str
    inner_code: str
    path: str


@dataclass(frozen=True)
class Report:
    """All that is said about one out-of-memory error; `freed` is None where the process that ran the cell has ended."""

    name: str
    message: str
    found: breakdown.Breakdown
    remedies: tuple
    place: Place | None
    traceback: str
    freed: Freed | None = None
    limit: str = ""


def is_oom(error):
    """Whether an error says that memory ran out: on the card, in torch's CPU allocator, in numpy or in Python."""
    if isinstance(error, MemoryError):
        return True
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(error, getattr(torch, "OutOfMemoryError", ())):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _OTHERS)


def on_card(error):
    """Whether the card ran out, and not RAM."""
    return any(word in str(error) for word in ("CUDA", "CUBLAS", "CUDNN"))


def asked_bytes(error):
    """How much was asked for, or None where the error does not say."""
    if hasattr(error, "shape") and hasattr(error, "dtype"):  # numpy's error carries both
        size = error.dtype.itemsize
        for one in error.shape:
            size *= one
        return size
    return _size(rf"[Tt]ried to allocate {_SIZE}", str(error))


def _dtype(error):
    return str(error.dtype) if isinstance(error, MemoryError) and hasattr(error, "dtype") else None


def free_bytes(error):
    """How much torch could still have taken on the card, by the error's own words, or None."""
    text = str(error)
    free, allowed = _size(rf"of which {_SIZE} is free", text), _size(rf"{_SIZE} allowed", text)
    held = _size(rf"{_SIZE} is allocated by PyTorch", text), _size(rf"{_SIZE} is reserved by PyTorch", text)
    if free is None or allowed is None or None in held:
        return free
    return max(0, min(free, allowed - sum(held)))


def _size(pattern, text):
    found = re.search(pattern, text)
    return int(float(found[1]) * _UNITS[found[2]]) if found else None


def use(error, start_bytes):
    """What the process holds in the place that ran out; `start_bytes` of RAM were Python's and its libraries' at the start."""
    if not on_card(error):
        used = anonymous_bytes()
        return breakdown.Use("RAM", max(0, used - start_bytes), runtime_bytes=min(used, start_bytes))
    now = memory.read()
    reserved, process = now.reserved_bytes or 0, now.process_bytes
    context = process - reserved if process is not None else None
    others = now.others_bytes if nvml.library() else None
    cache = reserved - (now.allocated_bytes or 0)
    return breakdown.Use("card", now.allocated_bytes or 0, cache, context, others, capped=_own_limit(error))


def _own_limit(error):
    # cap(), fit_batch_size and %%capped make torch refuse what the card has room for: then no other program is in the way.
    asked, free = asked_bytes(error), _size(rf"of which {_SIZE} is free", str(error))
    return None not in (asked, free) and free >= asked


def anonymous_bytes():
    """RAM that belongs to this process alone: tensors and Python's objects, but not the libraries' files."""
    import psutil

    found = psutil.Process().memory_info()
    return found.rss - getattr(found, "shared", 0)


def install(shell):
    """Let the shell teach where it would show an out-of-memory error; every other error looks as before.

    Installing it twice changes nothing. torch is not imported.
    """
    if getattr(shell, "course_oom", False):
        return
    shell.course_oom = True
    before, start, ordinary = shell.custom_exceptions, anonymous_bytes(), shell.CustomTB

    def handle(shell, kind, error, trace, tb_offset=None):
        if isinstance(error, (RuntimeError, MemoryError)) and is_oom(error):
            _teach(shell, kind, error, start)
        elif isinstance(error, before):
            ordinary(kind, error, trace, tb_offset=tb_offset)
        else:
            shell.showtraceback(running_compiled_code=True)

    shell.set_custom_exc((RuntimeError, MemoryError, *before), handle)


def _teach(shell, kind, error, start):
    from IPython.display import display

    from course_utils.gpu.oom import oom_html

    try:
        report = look(error, use(error, start), shell.user_ns, shell)
        display(oom_html.bundle(report), raw=True)
    except Exception:  # a report that fails must not hide the error that it is about
        shell.showtraceback((kind, error, error.__traceback__), running_compiled_code=True)
        raise
    shell._showtraceback(kind, error, oom_html.short(report))


def look(error, use, namespace, shell=None, free=None, limit=""):
    """The `Report` of an error that is being handled; with a shell, its memory is free when this returns."""
    trace = list(_links(error.__traceback__))
    hidden = getattr(shell, "user_ns_hidden", ())
    frames = [one.tb_frame for one in trace]
    if free is None:
        free = free_bytes(error) if use.place == "card" else memory.available_ram_bytes()
    found = breakdown.look(use, asked_bytes(error), free, namespace, hidden, frames, _dtype(error))
    where, text = place(trace), own_part(error)
    frames.clear()
    trace.clear()
    freed = free_now(shell, namespace, (error,)) if shell else None
    return Report(type(error).__name__, str(error), found, remedies.rank(found), where, text, freed, limit)


def place(trace):
    """The `Place` of a failure from the links of its traceback, outermost first, or None outside the reader's code."""
    own = [one for one in trace if places.is_users(one.tb_frame.f_code.co_filename)]
    if not own:
        return None
    home, last = own[0].tb_frame.f_code.co_filename, own[-1]
    codes = [one.tb_frame.f_code for one in trace[trace.index(own[0]) + 1 :]]
    steps = [f"{one.co_qualname}()" for one in codes if not _is_plumbing(one)]
    path = " → ".join(steps if len(steps) < 9 else [*steps[:4], "…", *steps[-4:]])
    words, code = _line(own[0], home)
    return Place(words, code, *(_line(last, home) if last is not own[0] else ("", "")), path)


def _is_plumbing(code):
    wrapper = "<locals>" in code.co_qualname and not places.is_users(code.co_filename)
    return wrapper or code.co_name in _PLUMBING


def _line(link, home):
    file, line = link.tb_frame.f_code.co_filename, link.tb_lineno
    if file == CAPPED:
        return f"line {line} of this cell", linecache.getline(file, line).strip()
    words = places.words(places.Place(file, line), home if places.cell_name(home) else None)
    return words, linecache.getline(file, line).strip()


def _links(trace):
    while trace is not None:
        yield trace
        trace = trace.tb_next


def own_part(error):
    # The frames above the cell are IPython's own.
    trace = error.__traceback__
    links = list(_links(trace))
    start = next((one for one in links if places.is_users(one.tb_frame.f_code.co_filename)), trace)
    return "".join(traceback.format_exception(type(error), error, start))

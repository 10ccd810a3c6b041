"""Peaks of memory over a stretch of a program, for stretches that nest.

The kernel and torch keep one high-water mark each. A stretch resets it when it begins, which
would lose what an enclosing stretch has seen: so before each reset the mark is noted in every
open stretch, and in the peak of the whole process.
"""

from dataclasses import dataclass
from threading import RLock

from course_utils.gpu import memory


@dataclass
class Peaks:
    """The highest that was seen, in bytes; `exact_rss` says that the kernel's own mark was reset at the start.

    Without that `rss_bytes` is right only where the stretch rose above all that came before it,
    and the highest sample has to serve.
    """

    rss_bytes: int = 0
    allocated_bytes: int | None = None
    reserved_bytes: int | None = None
    exact_rss: bool = False


_lock = RLock()
_open = []
_process = Peaks(exact_rss=True)


def begin():
    """Start a stretch; give what it returns to `end`."""
    with _lock:
        _note()
        exact = memory.reset_ram_peak()
        torch = memory.cuda()
        if torch:
            torch.cuda.reset_peak_memory_stats()
        started = Peaks(memory.ram()[0], exact_rss=exact)
        _open.append(started)
        return started


def end(stretch):
    """Finish a stretch, also where others that began after it are still open."""
    with _lock:
        _note()
        # By identity: two stretches with equal figures are equal to a dataclass.
        _open[:] = [one for one in _open if one is not stretch]


def of_process():
    """Peaks since the process began, whatever was reset by `begin` in between."""
    with _lock:
        _note()
        return Peaks(_process.rss_bytes, _process.allocated_bytes, _process.reserved_bytes, True)


def _note():
    rss, mark = memory.ram()
    vram = memory.torch_memory()
    for one in [*_open, _process]:
        one.rss_bytes = max(one.rss_bytes, (mark or rss) if one.exact_rss else rss)
        if vram:
            one.allocated_bytes = max(one.allocated_bytes or 0, vram.peak_allocated_bytes)
            one.reserved_bytes = max(one.reserved_bytes or 0, vram.peak_reserved_bytes)

"""How much memory is in use, on the card and in RAM, and the budget that a program may use."""

import sys
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock

from course_utils.gpu import nvml

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # in glibc's malloc.h


@dataclass(frozen=True)
class Reading:
    """Memory at one moment, in bytes; None where there is no card, or the driver hides it.

    `allocated_bytes` is held by live tensors, `reserved_bytes` by torch's cache as well (it
    contains the former), `process_bytes` by this process on the card (it adds the CUDA context),
    `others_bytes` by all other programs on the card. `rss_bytes` is this process's resident RAM.
    """

    allocated_bytes: int | None
    reserved_bytes: int | None
    process_bytes: int | None
    others_bytes: int | None
    card_free_bytes: int | None
    card_total_bytes: int | None
    rss_bytes: int


_on_card = True
_lock, _measuring, _for_good = Lock(), 0, False  # who wants freed blocks returned: so many `blocks_returned`, or all


def follow(device):
    """Say where this program computes: with "cpu" its readings are of RAM, though torch may have looked at a card."""
    global _on_card
    _on_card = device == "cuda"


def is_on_card():
    """False where the program said that it computes on the CPU."""
    return _on_card


def cuda():
    """The module torch where this process has opened a card already, else None: a reading must not open one."""
    if not _on_card:
        return None
    torch = sys.modules.get("torch")
    # While another thread imports torch, the module is there without all of its names.
    is_initialized = getattr(getattr(torch, "cuda", None), "is_initialized", None)
    return torch if is_initialized is not None and is_initialized() else None


def wait():
    """Wait until the card has done all that it was handed; at once where none is open, or where it has failed."""
    torch = cuda()
    if torch is None:
        return
    try:
        torch.cuda.synchronize()
    except RuntimeError:
        return  # the error belongs to the work before, and is raised there


def read():
    """Read everything once; takes well under a millisecond without a card."""
    card, vram = nvml.memory(), torch_memory()
    process = process_bytes() if card else None
    others = max(0, card.used_bytes - card.reserved_bytes - process) if card and process is not None else None
    return Reading(
        vram and vram.allocated_bytes,
        vram and vram.reserved_bytes,
        process,
        others,
        card and card.free_bytes,
        card and card.total_bytes,
        ram()[0],
    )


@dataclass(frozen=True)
class TorchMemory:
    """torch's allocator on the current card, in bytes; the peaks are since the last reset."""

    allocated_bytes: int
    reserved_bytes: int
    peak_allocated_bytes: int
    peak_reserved_bytes: int


def torch_memory():
    """The `TorchMemory` now, or None where this process has opened no card; one call, for it is asked often."""
    torch = cuda()
    if torch is None:
        return None
    stats = torch.cuda.memory.memory_stats_as_nested_dict()
    allocated, reserved = stats["allocated_bytes"]["all"], stats["reserved_bytes"]["all"]
    return TorchMemory(allocated["current"], reserved["current"], allocated["peak"], reserved["peak"])


def ram():
    """Resident RAM of this process now, and its high-water mark as the kernel keeps it (None where it keeps none), in bytes."""
    try:
        with open("/proc/self/status", "rb", buffering=0) as file:
            text = file.read()
    except FileNotFoundError:
        text = b""
    now, mark = _kib(text, b"VmRSS:"), _kib(text, b"VmHWM:")
    if now is None:
        import psutil

        now = psutil.Process().memory_info().rss
    return now, mark


def _kib(text, name):
    start = text.find(name)
    return None if start < 0 else int(text[start + len(name) : text.index(b"kB", start)]) * 1024


def ram_peak_bytes():
    """The high-water mark of resident RAM, in bytes, up to 0.2 MiB below `ram()`'s.

    Where it can it takes the one reading that keeps Python's global lock, so that nothing runs
    between it and a look at another thread's line.
    """
    return ram()[1] if _inherits_peak() else _usage_peak_bytes()


@cache
def _inherits_peak():
    # A program that a larger one started keeps, in getrusage, the larger one's peak as its own
    # lowest: JupyterLab's for a kernel. The mark in /proc begins afresh.
    mark = ram()[1]
    return mark is not None and _usage_peak_bytes() > mark + 1024**2


def _usage_peak_bytes():
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts in KiB


def reset_ram_peak():
    """Set the kernel's high-water mark back to what is resident now; False where that is not allowed.

    The number 5 is the kernel's word for it: man 5 proc_pid_clear_refs.
    """
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        return False
    return True


def process_bytes():
    """What this process holds on the card, context included, or None where the driver hides it (WSL2)."""
    import os

    mine = [one for one in nvml.processes() or () if one.pid == os.getpid()]
    return mine[0].used_bytes if mine else None


def available_ram_bytes():
    """RAM that programs can still take without swapping, within this process's control groups."""
    import psutil

    free = psutil.virtual_memory().available
    return max(0, min([free, *(limit - used for limit, used in _groups())]))


def _groups(root=Path("/sys/fs/cgroup"), mine=Path("/proc/self/cgroup")):
    """(limit, used) in bytes of this process's memory groups, its own up to the root, where a limit is set.

    Used leaves out pages of files that the kernel can drop.
    """
    try:
        lines = [line.split(":", 2) for line in mine.read_text().splitlines()]
    except OSError:
        return
    for _, controllers, path in lines:
        if controllers == "":
            yield from _limits(root, path, ("memory.max", "memory.current", "inactive_file"))
        elif controllers == "memory":  # version 1
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            yield from _limits(root / "memory", path, names)


def _limits(root, path, names):
    # A container sees its own group as the root, while /proc may still give the path from outside.
    folder = root / path.strip("/")
    for group in (folder, *folder.parents):
        if not group.is_relative_to(root):
            return
        try:
            limit, used = (int((group / name).read_text()) for name in names[:2])
            statistics = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        except (OSError, ValueError):  # no such file, or the word "max"
            continue
        yield limit, used - int(statistics.get(names[2], 0))


def return_blocks_at_once():
    """From now on glibc gives freed blocks of 1 MiB or more back to the system at once, so that RAM falls when tensors go.

    By default it keeps blocks of up to 32 MiB, and the peak of one and the same training step
    varied by a third between trials. It costs time, 53 % in one training step, so a program that
    measures only some blocks of its code takes `blocks_returned`.
    """
    global _for_good
    _for_good = True
    _malloc("mallopt", M_MMAP_THRESHOLD, 1024**2)


@contextmanager
def blocks_returned():
    """As `return_blocks_at_once`, within a block of code; call `trim` before the first reading. Blocks may nest."""
    global _measuring
    with _lock:
        _measuring += 1
        _malloc("mallopt", M_MMAP_THRESHOLD, 1024**2)
    try:
        yield
    finally:
        with _lock:
            _measuring -= 1
            if not (_measuring or _for_good):  # the largest that glibc's own rule comes to
                _malloc("mallopt", M_MMAP_THRESHOLD, 32 * 1024**2)
                _malloc("mallopt", M_TRIM_THRESHOLD, 64 * 1024**2)


def trim():
    """Give C's free heap back to the system, so that what is taken from it again counts as new."""
    _malloc("malloc_trim", 0)


def _malloc(name, *numbers):
    import ctypes

    function = getattr(ctypes.CDLL(None), name, None)  # glibc's own: musl and macOS have none
    if function:
        function(*numbers)

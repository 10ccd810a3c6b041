"""The memory budget: `cap(12)` holds torch to a 12 GB card, and `budget_bytes()` says what the program may use now."""

from dataclasses import dataclass

from course_utils.errors import CourseError
from course_utils.gpu import memory, nvml
from course_utils.gpu.device import GIB, show_bytes

# What torch sees of a card with that many gigabytes on its box, on Linux, in GiB: the driver keeps
# the rest. Each is the "total capacity" in an out-of-memory message that the owner of the card made
# public on GitHub.
VISIBLE_GIB = {
    6: 5.79,  # RTX 2060: facebookresearch/meshrcnn#92
    8: 7.78,  # RTX 3070: akshitac8/OW-DETR#46
    10: 9.78,  # RTX 3080: zai-org/CogVideo#34
    12: 11.70,  # RTX 4070 Ti: Kwai-Kolors/Kolors#11
    16: 15.61,  # RTX A4000: DengKaiCQ/VGGT-Long#6
    24: 23.64,  # RTX 4090: Nightmare-n/DepthAnyVideo#16
    32: 31.36,  # RTX 5090: TrajectoryCrafter/TrajectoryCrafter#20
}
# Cards of one size differ by their driver's share, 11.70 to 11.75 GiB among those of 12 GB.
SAME_SIZE = 0.97

_current = None


@dataclass(frozen=True)
class Cap:
    """A smaller card's memory: `allocator_bytes` = `visible_bytes` − `context_bytes` − `desktop_bytes`.

    `visible_bytes` is what torch sees of such a card. `context_bytes` was measured in this process;
    None where there is no card or the driver hides it, and then nothing is taken off for it.
    `capped` says whether torch's allocator was held to it, which takes a card.
    """

    nominal_gb: float
    visible_bytes: int
    context_bytes: int | None
    desktop_bytes: int
    capped: bool

    @property
    def allocator_bytes(self):
        """What torch may reserve."""
        return self.budget_bytes - (self.context_bytes or 0)

    @property
    def budget_bytes(self):
        """What this process may hold in all, CUDA context included."""
        return self.visible_bytes - self.desktop_bytes

    def __str__(self):
        shares = f"{show_bytes(self.visible_bytes)} less {show_bytes(self.desktop_bytes)} for the desktop"
        if not self.capped:
            return (
                f"No card here, so there is nothing to cap; budgets are those of a {self.nominal_gb:g} GB card: "
                f"{show_bytes(self.budget_bytes)} ({shares})."
            )
        context = show_bytes(self.context_bytes) if self.context_bytes is not None else "n/a, nothing taken off"
        return (
            f"Capped to a {self.nominal_gb:g} GB card: torch may reserve {show_bytes(self.allocator_bytes)} "
            f"({shares}, less the CUDA context: {context}). Engines other than torch are not capped."
        )


@dataclass(frozen=True)
class Budget:
    """What this program may hold, in bytes, and whose limit that is."""

    bytes: int
    reason: str


def cap(gb, desktop_gib=0.8):
    """Behave like a card with `gb` gigabytes on its box: hold torch's allocator, set the budget, print one line.

    `desktop_gib` is left to the desktop. `cap(None)` lifts the cap and returns None.
    Raises CourseError for a size nobody measured, one larger than this machine's card, or where
    torch holds more already.
    """
    global _current
    torch = _open_card()
    if gb is None:
        _current = None
        if torch:
            torch.cuda.set_per_process_memory_fraction(1.0)
        return None
    # Not mem_get_info: that makes the context, whose size is to be measured.
    total = torch.cuda.get_device_properties(0).total_memory if torch else None
    made = plan(gb, desktop_gib, total, context_bytes() if torch else None)
    if torch:
        _hold(torch, made, total)
    _current = made
    print(made)
    return made


def plan(gb, desktop_gib, total_bytes, context):
    """The `Cap` of a `gb` GB card on one with `total_bytes` (None: no card), whose CUDA context takes `context` bytes.

    Raises CourseError as `cap` does.
    """
    if gb not in VISIBLE_GIB:
        sizes = ", ".join(str(one) for one in VISIBLE_GIB)
        raise CourseError(f"cap({gb!r}): no card of that size was measured. Give one of {sizes}, such as cap(12).")
    visible, desktop = int(VISIBLE_GIB[gb] * GIB), int(desktop_gib * GIB)
    if total_bytes is not None and total_bytes < SAME_SIZE * visible:
        raise CourseError(
            f"cap({gb}) needs a card of {gb} GB or more, and this one has {show_bytes(total_bytes)}. "
            "Leave the cap out, or give a smaller size."
        )
    made = Cap(gb, min(visible, total_bytes or visible), context, desktop, capped=total_bytes is not None)
    if desktop < 0 or made.allocator_bytes <= 0:
        raise CourseError(f"desktop_gib={desktop_gib!r} must lie between 0 and the card's memory, such as 0.8.")
    return made


def _hold(torch, made, total_bytes):
    # The allocator refuses only what comes later: what torch holds already stays.
    torch.cuda.empty_cache()
    held = torch.cuda.memory_reserved()
    if held > made.allocator_bytes:
        raise CourseError(
            f"cap({made.nominal_gb:g}) leaves torch {show_bytes(made.allocator_bytes)}, and it holds "
            f"{show_bytes(held)} already. Restart the kernel and call cap first."
        )
    torch.cuda.set_per_process_memory_fraction(made.allocator_bytes / total_bytes)


def _open_card():
    # A driver is asked for first: without one, importing torch is two seconds for nothing.
    if nvml.library() is None:
        return None
    import torch

    if not torch.cuda.is_available():
        return None
    torch.cuda.init()
    return torch


def context_bytes():
    """What CUDA holds for this process besides torch's cache, measured after a first matmul, or None.

    Where the driver hides processes (WSL2) it is the growth of the whole card's use, which can be
    read only before the context is there. It grows a little with every new kind of kernel.
    """
    import torch

    before = None if torch.cuda.memory_reserved() else nvml.memory()
    square = torch.ones(64, 64, device="cuda")
    (square @ square).sum().item()
    process, reserved, after = memory.process_bytes(), torch.cuda.memory_reserved(), nvml.memory()
    if process is not None:
        return process - reserved
    grown = after.used_bytes - before.used_bytes - reserved if before and after else 0
    return grown if grown > 0 else None


def current():
    """The `Cap` in force, or None."""
    return _current


def budget():
    """The `Budget` now: the cap's, else the whole card's, else the RAM that is available."""
    if _current is not None:
        return Budget(_current.budget_bytes, f"a {_current.nominal_gb:g} GB card")
    torch, card = memory.cuda(), nvml.memory()
    if torch:
        return Budget(torch.cuda.get_device_properties(0).total_memory, "the card")
    if card and memory.is_on_card():
        return Budget(card.total_bytes, "the card")
    return Budget(memory.available_ram_bytes(), "available RAM")


def budget_of(budget_gib):
    """The `Budget` that a caller gave in GiB; None means the one in force.

    Raises CourseError where it is not a positive number.
    """
    if budget_gib is None:
        return budget()
    if isinstance(budget_gib, bool) or not isinstance(budget_gib, (int, float)) or not budget_gib > 0:
        raise CourseError(f"budget_gib={budget_gib!r} must be a positive number of GiB, such as budget_gib=11.7.")
    return Budget(int(budget_gib * GIB), "given")


def budget_bytes():
    """What this program may hold now, in bytes: on a card CUDA context included, else growth of its resident RAM."""
    return budget().bytes

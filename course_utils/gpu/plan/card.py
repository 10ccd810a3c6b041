"""For which card a plan is: its memory, its chip, and the CUDA context that this machine or a source says."""

from dataclasses import dataclass
from difflib import get_close_matches

from course_utils.errors import CourseError
from course_utils.gpu import cap, datasheet, device, memory
from course_utils.gpu.device import GIB

MIB = 1024**2
USUAL = "NVIDIA GeForce RTX 4070 Ti"  # the course's own card, where this machine has none
CORES = 128  # in a streaming multiprocessor of every card in the data sheets
# Measured contexts differ by torch, driver and the kernels that ran: 141 MiB on a T4 (torch 2.10), about 300 with lazy
# loading of kernels, which is CUDA's default since 12.2 (pytorch/pytorch#107667).
DEFAULT_CONTEXT_BYTES, CONTEXT_SPREAD_BYTES = 300 * MIB, 160 * MIB
GROWTH_BYTES = 64 * MIB  # room for kernels that are loaded later; an assumption, which the history replaces


@dataclass(frozen=True)
class Context:
    """What CUDA holds besides torch's cache; `spread_bytes` is how far it may be off, `source` who says so."""

    bytes: int
    spread_bytes: int
    source: str


@dataclass(frozen=True)
class Target:
    """A card to plan for; `budget_bytes` is what the process may hold: visible memory less the desktop's."""

    name: str
    capability: tuple[int, int]
    multiprocessors: int
    visible_bytes: int
    desktop_bytes: int
    context: Context

    @property
    def budget_bytes(self):
        return self.visible_bytes - self.desktop_bytes

    @property
    def chip(self):
        from course_utils.gpu.planner.kernels import Chip

        return Chip(self.capability, self.multiprocessors)


def target(request, measured_context=None, found=device.find_card):
    """The `Target` that a `Request` means: the card it names, else this machine's, else the course's.

    `measured_context` is this machine's own `Context`, None where nothing was measured.
    Raises CourseError for a card that is not in the table, or a desktop larger than its memory.
    """
    card = None if request.card else found()
    sheet = _sheet(request.card or (card.name if card else USUAL), card and card.total_bytes)
    visible = card.total_bytes if card else int(cap.VISIBLE_GIB[sheet.memory_gb] * GIB)
    if request.cap is not None:
        visible = min(visible, cap.plan(request.cap, request.desktop_gib, None, None).visible_bytes)
    desktop = int(request.desktop_gib * GIB)
    if desktop >= visible:
        raise CourseError(
            f"desktop_gib={request.desktop_gib:g} must lie below the card's {visible / GIB:.2f} GiB, such as 0.8."
        )
    name = sheet.name.removeprefix("NVIDIA GeForce ") + f" ({sheet.memory_gb} GB)"
    return Target(name, sheet.capability, sheet.cores // CORES, visible, desktop, context(request, measured_context))


def context(request, measured=None):
    """The `Context` that was given, else the one that was measured here, else the default."""
    if request.context_mib is not None:
        return Context(int(request.context_mib * MIB), 0, "given")
    if measured is not None and request.card is None:
        return measured
    return Context(
        DEFAULT_CONTEXT_BYTES, CONTEXT_SPREAD_BYTES, "default, pytorch/pytorch#107667; no card measured here"
    )


def measured(opened_only=False):
    """This machine's `Context` as it is now, or None where there is no card to ask or the driver hides it.

    It opens the card for that, unless `opened_only`: then only a card that this process uses already is read.
    """
    torch = memory.cuda()
    if torch is not None:
        reading = memory.read()
        known = None not in (reading.process_bytes, reading.reserved_bytes)
        size = reading.process_bytes - reading.reserved_bytes if known else None
    else:
        size = None if opened_only or device.find_card() is None else cap.context_bytes()
    return Context(size, GROWTH_BYTES, "measured in this process") if size else None


def _sheet(name, total_bytes):
    known = {_short(one): one for one in reversed(datasheet.SHEETS)}
    by_size = {f"{_short(one)} {one.memory_gb}gb": one for one in datasheet.SHEETS}
    wanted = _short_name(name)
    exact = datasheet.find(f"NVIDIA GeForce {wanted}".lower(), total_bytes)
    sheet = exact or by_size.get(wanted) or by_size.get(wanted.replace(" gb", "gb")) or known.get(wanted)
    if sheet is None:
        near = known[get_close_matches(wanted, known, n=1, cutoff=0.0)[0]]
        raise CourseError(
            f"There is no card {name!r} in the table of GeForce cards from the RTX 30 series on. The nearest is "
            f"{near.name.removeprefix('NVIDIA GeForce ')!r}; a name with two sizes takes one, such as 'RTX 3060 12GB'."
        )
    return sheet


def _short(sheet):
    return _short_name(sheet.name)


def _short_name(name):
    return " ".join(name.lower().replace("nvidia", "").replace("geforce", "").split())

"""Notice when an overfull card spills into the computer's RAM: nothing fails, but every step takes far longer."""

import time
import warnings
from dataclasses import dataclass
from statistics import median

from course_utils.gpu import nvml

SLOWER = 2
FULL = 0.02  # of the card is free, or less
RECENT = 5  # steps
WARM_UP = 2  # steps: the first ones load kernels and build the optimiser's state
READ_SECONDS = 0.25  # asking the driver takes longer than a small step

ADVICE = (
    "On Windows and WSL2 the driver moves what does not fit into the computer's RAM (since 536.40). Switch that "
    "off to get an out-of-memory error instead: NVIDIA Control Panel, Manage 3D settings, "
    '"CUDA - Sysmem Fallback Policy", "Prefer No Sysmem Fallback" (driver 546.01 or newer), then restart the '
    "kernel. Or make it fit: a smaller batch, or close other programs."
)


class SpillWarning(UserWarning):
    """Steps became slow while the card's memory was full."""


@dataclass(frozen=True)
class Step:
    """One step of work that is the same every time; `free_share` of the card's memory is 0 to 1, None if unknown."""

    seconds: float
    free_share: float | None


def slowdown(steps):
    """How many times slower the recent steps are than the earlier ones if that is a spill, else None.

    A spill is both: the median of the last `RECENT` steps is more than `SLOWER` times that of the
    steps before, and over those recent steps the card was full. The steps before must be at
    least as many; the first `WARM_UP` are left out.
    """
    counted = steps[WARM_UP:]
    earlier, recent = counted[:-RECENT], counted[-RECENT:]
    if len(earlier) < RECENT or any(one.free_share is None for one in recent):
        return None
    ratio = median(one.seconds for one in recent) / max(median(one.seconds for one in earlier), 1e-9)
    full = median(one.free_share for one in recent) <= FULL
    return ratio if full and ratio > SLOWER else None


def card_free_share():
    """The share of the card's own memory that is free, 0 to 1, or None where no driver answers."""
    card = nvml.memory()
    return card and card.free_bytes / card.total_bytes


class Watch:
    """Call `step()` after every step of the same work; it warns once, when the steps look like a spill.

    It keeps the first 200 steps and the last 200. A run that spills from its first step on has no
    faster step to be compared with, and goes unnoticed.
    """

    def __init__(self, clock=time.perf_counter, free_share=card_free_share):
        """`clock` and `free_share` are read once a step, `free_share` at most every `READ_SECONDS`."""
        self._clock, self._free_share = clock, free_share
        self._last = self._read_at = None
        self._share, self._warned = None, False
        self.steps = []

    def step(self):
        """Note that a step ended; the first call only starts the clock."""
        now = self._clock()
        if self._read_at is None or now - self._read_at >= READ_SECONDS:
            self._share, self._read_at = self._free_share(), now
        if self._last is not None:
            self._keep(Step(now - self._last, self._share))
        self._last = now

    def _keep(self, step):
        self.steps.append(step)
        if len(self.steps) > 400:
            del self.steps[200]
        ratio = None if self._warned or step.free_share is None else slowdown(self.steps)
        if ratio is not None:
            self._warned = True
            text = f"The last {RECENT} steps took {ratio:.1f} times as long as those before, and the card is full. {ADVICE}"
            warnings.warn(text, SpillWarning, stacklevel=3)

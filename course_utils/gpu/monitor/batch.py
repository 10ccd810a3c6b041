"""`fit_batch_size`: the largest batch whose training step stays within the budget, by trying."""

import traceback
from dataclasses import dataclass
from itertools import count

from course_utils.bars import bar
from course_utils.errors import CourseError
from course_utils.gpu import cap, memory
from course_utils.gpu.device import show_bytes
from course_utils.gpu.monitor import peaks
from course_utils.gpu.oom import oom
from course_utils.gpu.oom.free import collect

STEPS = 2  # optimiser state appears at the end of the first, so the second holds more
LARGEST = 65_536  # where no limit is given: a step whose memory does not grow would go on for ever
RAM_SHARE = 0.9  # of the RAM that is available; beyond it Linux kills the process instead of refusing


@dataclass(frozen=True)
class Trial:
    """One batch size: the peak of two steps in bytes (None: not reached or not tried), and what came of it."""

    batch_size: int
    peak_bytes: int | None
    fits: bool
    outcome: str


@dataclass(frozen=True)
class Fit:
    """The largest batch size that was measured to fit, and every size that was tried, smallest first.

    `memory` is "VRAM", and a peak is what torch reserved plus the CUDA context (if the driver
    shows it), or "RAM", and a peak is how far resident RAM rose above where the search began.
    """

    batch_size: int
    budget_bytes: int
    budget_reason: str
    memory: str
    curve: tuple[Trial, ...]

    def __str__(self):
        rows = [f"  {one.batch_size:>7,}  {show_bytes(one.peak_bytes):>11}  {one.outcome}" for one in self.curve]
        head = f"batch size {self.batch_size:,} fits the budget of {show_bytes(self.budget_bytes)} {self.memory}"
        return "\n".join([f"{head} ({self.budget_reason})", f"  {'batch':>7}  {'peak':>11}  outcome", *rows])

    def plot(self):
        """A matplotlib figure of batch size against memory (GiB) with the budget; `alt` describes it."""
        from course_utils.gpu.monitor import batch_plot

        return batch_plot.draw(self)

    @property
    def alt(self):
        """What `plot()` shows, for those who do not see it."""
        fitting = [one for one in self.curve if one.fits]
        failing = [str(one.batch_size) for one in self.curve if not one.fits]
        return (
            f"{self.memory} against batch size: from {show_bytes(fitting[0].peak_bytes)} at batch "
            f"{fitting[0].batch_size} to {show_bytes(fitting[-1].peak_bytes)} at batch {fitting[-1].batch_size}, the "
            f"largest found within the budget of {show_bytes(self.budget_bytes)}; "
            f"too large: {', '.join(failing) or 'none that was tried'}."
        )


def fit_batch_size(step, start=1, limit=None, budget_gib=None, precision=0.0):
    """Find the largest batch size for which `step(batch_size)`, one whole training step, stays within the budget.

    Doubles from `start` until a size does not fit or `limit` (default 65,536) is reached, then
    bisects, until the gap is 1 or at most the share `precision` of the answer (0.02 is 2 %). Two
    steps at each size, so the model learns on the way. A size is too large if it
    runs out of memory or if its measured peak passes the budget (`budget_gib` in GiB, else
    `cap.budget`). On a card torch's allocator is held to the budget meanwhile; on a CPU a size
    that would take more than 90 % of the available RAM, as the sizes before foretell, is not tried,
    and from then on freed blocks of 1 MiB or more go back to the system at once.
    Errors of `step` other than running out of memory pass through.
    Raises CourseError for wrong arguments, or where `start` does not fit.
    """
    budget = _checked(step, start, limit, budget_gib, precision)
    limit = LARGEST if limit is None else limit
    # The bar comes first: what it takes is not the step's.
    with bar("trying batch sizes", unit="sizes") as tell, _Meter(budget.bytes) as meter:
        first = meter.trial(step, start)
        if not first.fits:
            raise CourseError(_nothing_fits(first, budget))
        counted = count(1)

        def trial(size):
            tell(next(counted))
            return meter.trial(step, size)

        curve = search(trial, first, limit, precision)
    fitting = max(one.batch_size for one in curve if one.fits)
    return Fit(fitting, budget.bytes, budget.reason, meter.memory, tuple(curve))


def search(trial, first, limit, precision=0.0):
    """Double from `first`, a `Trial` that fits, then bisect; `trial(size)` gives the next ones. Sorted by size.

    The answer has been tried and fits, and the next size up (with a `precision`, one that is at
    most this share larger) was tried and does not, also where memory does not grow with every size.
    """
    tried = {first.batch_size: first}
    low, high = first.batch_size, None
    while high is None and low < limit:
        size = min(2 * low, limit)
        tried[size] = trial(size)
        low, high = (size, None) if tried[size].fits else (low, size)
    while high is not None and high - low > max(1, precision * low):
        size = (low + high) // 2
        tried[size] = trial(size)
        low, high = (size, high) if tried[size].fits else (low, size)
    return [tried[size] for size in sorted(tried)]


class _Meter:
    """Runs trials and measures them from one common start; on a card the allocator is held to the budget."""

    def __init__(self, budget_bytes):
        self.budget_bytes = budget_bytes
        self._measured, self._fraction = [], None
        self._returned = memory.blocks_returned()

    def __enter__(self):
        self._returned.__enter__()
        collect()
        self._base = memory.ram()[0]
        return self

    def __exit__(self, *error):
        self._returned.__exit__(None, None, None)
        collect()
        torch = memory.cuda()
        if torch and self._fraction is not None:
            torch.cuda.set_per_process_memory_fraction(self._fraction)

    @property
    def memory(self):
        return "VRAM" if memory.cuda() else "RAM"

    def trial(self, step, size):
        """Two steps at one size, and the memory that they left given back."""
        self._hold()
        if self.memory == "RAM" and foretell(self._measured, size) > self._ram_room():
            return Trial(size, None, False, "not tried: would take nearly all RAM")
        stretch = peaks.begin()
        try:
            for _ in range(STEPS):
                step(size)
        except Exception as error:
            if not oom.is_oom(error):
                raise
            traceback.clear_frames(error.__traceback__)  # they hold the step's tensors
            return Trial(size, None, False, "out of memory")
        finally:
            peaks.end(stretch)
            collect()
        return self._judged(size, stretch)

    def _judged(self, size, stretch):
        peak = max(0, stretch.rss_bytes - self._base)
        if stretch.reserved_bytes is not None:
            peak = stretch.reserved_bytes + (_context() or 0)
        self._measured.append((size, peak))
        fits = peak <= self.budget_bytes
        return Trial(size, peak, fits, "fits" if fits else "over the budget")

    def _ram_room(self):
        return RAM_SHARE * (memory.available_ram_bytes() + max(0, memory.ram()[0] - self._base))

    def _hold(self):
        torch = memory.cuda()
        if torch is None or self._fraction is not None:  # no card is open, or it is held already
            return
        context, held = _context() or 0, torch.cuda.memory_reserved()
        if context + held > self.budget_bytes:
            raise CourseError(
                f"This process holds {show_bytes(context + held)} already, more than the budget of "
                f"{show_bytes(self.budget_bytes)}. Delete variables and call course.free(), or give a larger budget_gib."
            )
        self._fraction = torch.cuda.get_per_process_memory_fraction()
        allowed = (self.budget_bytes - context) / torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(min(self._fraction, allowed))


def foretell(measured, size):
    """The peak to expect at `size`, in bytes, from (size, peak) pairs: memory is a constant plus so much an example.

    One pair gives the upper bound without a constant, none gives 0.
    """
    if not measured:
        return 0
    (near, peak), *others = sorted(measured, reverse=True)
    if not others:
        return peak * size / near
    other, lower = others[0]
    slope = max(0, (peak - lower) / (near - other)) if near != other else 0
    return peak + slope * (size - near)


def _context():
    process, vram = memory.process_bytes(), memory.torch_memory()
    return None if process is None or vram is None else process - vram.reserved_bytes


def _checked(step, start, limit, budget_gib, precision):
    if not callable(step):
        raise CourseError(f"step={step!r} is not a function. Give one that runs a step: fit_batch_size(step).")
    for name, value in (("start", start), ("limit", limit)):
        if name == "limit" and value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise CourseError(f"{name}={value!r} must be a whole number from 1, such as {name}=8.")
    if limit is not None and limit < start:
        raise CourseError(f"limit={limit} is below start={start}. Give a larger limit, or a smaller start.")
    if not isinstance(precision, (int, float)) or not 0 <= precision < 1:
        raise CourseError(f"precision={precision!r} must be a share from 0 to below 1, such as precision=0.02.")
    return cap.budget_of(budget_gib)


def _nothing_fits(trial, budget):
    smaller = "Start smaller, such as start=1." if trial.batch_size > 1 else "Use a smaller model or input."
    peak = f" with a peak of {show_bytes(trial.peak_bytes)}" if trial.peak_bytes is not None else ""
    return (
        f"Batch size {trial.batch_size} does not fit the budget of {show_bytes(budget.bytes)} ({budget.reason}): "
        f"{trial.outcome}{peak}. {smaller} Lower precision or checkpointing also help."
    )

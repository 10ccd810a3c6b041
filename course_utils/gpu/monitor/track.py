"""`track`: the memory that a block of code takes, its peak, and where that stood."""

import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field

from course_utils.errors import CourseError
from course_utils.gpu import cap, memory
from course_utils.gpu.device import show_bytes
from course_utils.gpu.monitor import peaks, places, spill
from course_utils.gpu.monitor.timeline import Timeline

_begun = []  # at most one: what `latest` answers


@dataclass
class Track:
    """What a block took, in bytes and seconds; filled in when the block ends, also by an error. None: no reading.

    On a card the number is VRAM: `peak_allocated_bytes` equals `torch.cuda.max_memory_allocated()`
    over the block, `peak_reserved_bytes` adds torch's cache, and `peak_process_bytes` the CUDA
    context. Resident RAM is measured on every machine; `rss_source` says how. `where` says at
    which line or module the peak stood, `line` gives the line's number where there is one.
    """

    label: str
    budget_bytes: int
    budget_reason: str
    before: memory.Reading
    after: memory.Reading | None = None
    seconds: float | None = None
    peak_allocated_bytes: int | None = None
    peak_reserved_bytes: int | None = None
    peak_process_bytes: int | None = None
    peak_rss_bytes: int | None = None
    rss_source: str | None = None
    where: str | None = None
    line: int | None = None
    samples: list = field(default_factory=list, repr=False)
    _watch: spill.Watch = field(default_factory=spill.Watch, repr=False)

    @property
    def memory(self):
        """Which memory `peak_bytes` is about: "VRAM" where this process has opened a card, else "RAM"."""
        return "RAM" if self.peak_allocated_bytes is None else "VRAM"

    @property
    def peak_bytes(self):
        """The number to record: allocated VRAM at its peak, else how far resident RAM rose above its start."""
        if self.peak_allocated_bytes is not None:
            return self.peak_allocated_bytes
        return None if self.peak_rss_bytes is None else max(0, self.peak_rss_bytes - self.before.rss_bytes)

    @property
    def counted_bytes(self):
        """What counts against the budget: the process on the card (without its context if hidden), else the rise of RAM."""
        if self.memory == "RAM":
            return self.peak_bytes
        return self.peak_reserved_bytes if self.peak_process_bytes is None else self.peak_process_bytes

    @property
    def fits(self):
        """Whether `counted_bytes` stayed within the budget; None before the block has ended."""
        return None if self.counted_bytes is None else self.counted_bytes <= self.budget_bytes

    def step(self):
        """Call it after every step of a loop: it warns once where the card spills into RAM (`gpu.spill`)."""
        self._watch.step()

    def plot(self):
        """A matplotlib figure of memory over time with the budget; `alt` describes it in a sentence.

        Raises CourseError inside the block.
        """
        from course_utils.gpu.monitor import timeline_plot

        return timeline_plot.draw(self)

    @property
    def alt(self):
        """What `plot()` shows, for those who do not see it."""
        from course_utils.gpu.monitor import timeline_plot

        return timeline_plot.describe(self)

    def __str__(self):
        if self.after is None:
            return f"{self.label}: still running"
        return "\n".join([_peak_line(self), _budget_line(self)])


@contextmanager
def track(label="this block", model=None, budget_gib=None):
    """Measure a block: `with course.track("training") as m: …`; prints a summary in a notebook.

    With `model` the place of the peak is one of its modules, through hooks that are removed
    afterwards; they take a reading at every module, so leave it out where seconds matter.
    `budget_gib` (GiB) replaces the budget in force (`cap.budget`). Blocks may nest.
    Raises CourseError for a budget that is not a positive number, and for a model that is none.
    """
    if model is not None and not hasattr(model, "named_modules"):
        raise CourseError(
            f"model={type(model).__name__} is not a torch.nn.Module. Give the model itself, or leave it out."
        )
    done, home = begin(label, budget_gib), places.find(sys._getframe())
    try:
        with measured(done, model, home and home.file):
            yield done
    finally:
        if _in_notebook():
            print(done)


def begin(label, budget_gib=None):
    """A `Track` whose block is about to start. Raises CourseError for a budget that is not a positive number."""
    budget = cap.budget_of(budget_gib)
    memory.trim()  # or memory that lay free in the heap would be taken, and no rise seen
    begun = Track(label, budget.bytes, budget.reason, memory.read())
    _begun[:] = [begun]
    return begun


def latest():
    """The `Track` that began last in this process, or None."""
    return _begun[0] if _begun else None


@contextmanager
def measured(done, model=None, home=None):
    """Run a block and fill in `done`; `home` is the file or cell whose lines are meant."""
    with memory.blocks_returned():
        yield from _measured(done, model, home)


def _measured(done, model, home):
    stretch = peaks.begin()
    modules = _hooked(model)
    timeline = Timeline(home, stretch.exact_rss)
    timeline.start()
    started = time.perf_counter()
    try:
        yield
    finally:
        memory.wait()
        done.seconds = time.perf_counter() - started
        timeline.stop()
        if modules:
            modules.remove()
        peaks.end(stretch)
        _fill(done, stretch, timeline, modules)


def _hooked(model):
    if model is None:
        return None
    from course_utils.gpu.monitor.modules import ModuleWatch

    return ModuleWatch(model)


def _fill(done, stretch, timeline, modules):
    done.after, done.samples = memory.read(), timeline.samples
    done.peak_rss_bytes = max(stretch.rss_bytes, *(one.rss_bytes for one in timeline.samples))
    done.rss_source = "the kernel's high-water mark" if stretch.exact_rss else "samples"
    done.peak_allocated_bytes, done.peak_reserved_bytes = stretch.allocated_bytes, stretch.reserved_bytes
    done.peak_process_bytes = _process_peak(done, timeline.samples)
    high = timeline.ram_high if done.memory == "RAM" else timeline.vram_high
    if modules and modules.where and modules.level_bytes >= 0.99 * high.level_bytes:
        done.where = modules.where
    else:
        done.where, done.line = _words(high, timeline.home)


def _process_peak(done, samples):
    after = done.after
    if after.process_bytes is None or after.reserved_bytes is None:
        return None
    # The driver keeps no peak of its own. The context only grows, so torch's peak plus the
    # context is exact; memory that another engine takes in this process is seen by the samples.
    context = after.process_bytes - after.reserved_bytes
    return max(done.peak_reserved_bytes + context, *(one.process_bytes or 0 for one in samples))


def _words(high, home):
    before, after = high.before, high.after
    if before is None and after is None:
        return None, None
    if after is None:
        return f"or after {places.words(before, home)}", before.line
    if before is None or before == after or high.standing:
        return places.words(after, home), after.line
    return f"between {places.words(before, home)} and {places.words(after, home)}", after.line


def _peak_line(done):
    if done.memory == "RAM":
        peak = f"RAM peak {show_bytes(done.peak_rss_bytes)} resident, {show_bytes(done.peak_bytes)} above its start"
        peak += "" if done.rss_source != "samples" else " (from samples, may be too low)"
    else:
        peak = (
            f"VRAM peak {show_bytes(done.peak_allocated_bytes)} allocated, {show_bytes(done.peak_reserved_bytes)} "
            f"reserved, {show_bytes(done.peak_process_bytes)} process"
        )
    where = f"; peak at {done.where}" if done.where else ""
    return f"{done.label}: {peak}; {done.seconds:.1f} s{where}"


def _budget_line(done):
    ends = [one.rss_bytes if done.memory == "RAM" else one.allocated_bytes or 0 for one in (done.before, done.after)]
    verdict = "within" if done.fits else "OVER"
    return (
        f"  before {show_bytes(ends[0])}, after {show_bytes(ends[1])}; "
        f"{verdict} the budget of {show_bytes(done.budget_bytes)} ({done.budget_reason})"
    )


def _in_notebook():
    IPython = sys.modules.get("IPython")
    return bool(IPython and IPython.get_ipython())

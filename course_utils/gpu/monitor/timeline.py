"""Memory over time: a thread that samples, the place of the highest moment, and the figure."""

import sys
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from statistics import median

from course_utils.gpu import memory, nvml
from course_utils.gpu.monitor import places

# A short block is looked at often, a long one every 50 ms, as long as the thread stays within its
# share of a core: 2 ms for the beginning, and 0.4 % of the time that has passed.
SHORTEST_SECONDS, LONGEST_SECONDS = 0.005, 0.05
GRACE_SECONDS, SHARE = 0.002, 0.004
DRIVER_SECONDS = 0.5  # listing the programs on the card takes about a millisecond
MOST_SAMPLES = 2000
RISE = 1.005  # a rise by less does not move the place: resident memory creeps by single pages


@dataclass(frozen=True)
class Sample:
    """Memory at one moment, in bytes; `process_bytes` and `used_bytes` (by all programs) are the driver's, or None."""

    seconds: float
    rss_bytes: int
    allocated_bytes: int | None
    reserved_bytes: int | None
    process_bytes: int | None
    used_bytes: int | None

    @property
    def level_bytes(self):
        """What a figure's curve is about: allocated VRAM, else resident RAM."""
        return self.rss_bytes if self.allocated_bytes is None else self.allocated_bytes


@dataclass
class High:
    """The highest level so far and the places of the two looks between which it came (None: outside the block).

    `standing` says that it still stood at the second look.
    """

    level_bytes: int
    before: object = None
    after: object = None
    standing: bool = True
    last: object = field(default=None, repr=False)

    def see(self, current, mark, place):
        """Take in a look: what is in use now, the high-water mark (None: unknown), and where the program stands.

        A known mark alone decides: `current` may have been read a moment after the place.
        """
        top = current if mark is None else mark
        if top > RISE * self.level_bytes:
            self.level_bytes, self.before, self.after = top, self.last, place
            self.standing = current > 0.95 * top
        self.last = place or self.last


class Timeline:
    """Samples of memory from `start()` to `stop()`, at most `MOST_SAMPLES` of them: then each is the highest of several."""

    def __init__(self, home=None, exact_rss=True):
        """`home`: the file whose lines are meant, as in its frames' `co_filename`; `exact_rss`: see `peaks.Peaks`."""
        self.home, self.exact_rss = home, exact_rss
        self.samples = []
        self.ram_high, self.vram_high = High(memory.ram()[0]), High(0)
        self._watched = threading.get_ident()
        self._each, self._skipped = 1, 0
        self._driver_asked, self._driver_said = -DRIVER_SECONDS, (None, None)
        self._stop = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True, name="course memory timeline")

    def start(self):
        """Begin; the thread that calls this is the one whose lines are looked at."""
        self._place()  # the first call reads where the libraries lie, which the thread's time would pay for
        self._began = time.perf_counter()
        self._look(None)
        self.thread.start()

    def stop(self):
        """Take the last sample and end the thread."""
        self._stop.set()
        self.thread.join()
        self._look(None)  # the watched thread has left the block

    def _run(self):
        self._look(self._place)
        pause, looks, costs = SHORTEST_SECONDS, 0, deque(maxlen=15)
        while not self._stop.wait(pause):
            started = time.thread_time()
            elapsed = self._look(self._place)
            looks += 1
            costs.append(time.thread_time() - started)
            # The median, for Python collects its garbage in whichever thread happens to run.
            pause = next_pause(elapsed, looks * median(costs))

    def _look(self, place):
        elapsed = time.perf_counter() - self._began
        # Peak and place first: the readings after them let the watched thread run on.
        mark = memory.ram_peak_bytes() if self.exact_rss else None
        vram = memory.torch_memory()
        place = place() if callable(place) else place
        rss, _ = memory.ram()
        self.ram_high.see(rss, mark, place)
        if vram:
            self.vram_high.see(vram.allocated_bytes, vram.peak_allocated_bytes, place)
        allocated, reserved = (vram.allocated_bytes, vram.reserved_bytes) if vram else (None, None)
        self._keep(Sample(elapsed, rss, allocated, reserved, *self._driver(elapsed)))
        return elapsed

    def _place(self):
        return places.find(sys._current_frames().get(self._watched), self.home)

    def _driver(self, elapsed):
        if elapsed - self._driver_asked >= DRIVER_SECONDS:
            card = nvml.memory()
            self._driver_asked = elapsed
            self._driver_said = (memory.process_bytes(), card.used_bytes) if card else (None, None)
        return self._driver_said

    def _keep(self, sample):
        if self._skipped and self.samples[-1].level_bytes < sample.level_bytes:
            self.samples[-1] = sample
        elif not self._skipped:
            self.samples.append(sample)
        self._skipped = (self._skipped + 1) % self._each
        if len(self.samples) == MOST_SAMPLES:
            self.samples, self._each, self._skipped = thin(self.samples), 2 * self._each, 0


def next_pause(elapsed, spent):
    """Seconds until the next look, after `elapsed` seconds in which the thread took `spent` seconds of a core."""
    wished = min(max(elapsed / 50, SHORTEST_SECONDS), LONGEST_SECONDS)
    return max(wished, (spent - GRACE_SECONDS) / SHARE - elapsed)


def thin(samples):
    """Half as many samples: of each two the higher one, so that no peak is lost."""
    return [max(samples[i : i + 2], key=lambda one: one.level_bytes) for i in range(0, len(samples), 2)]

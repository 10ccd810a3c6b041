"""One worker that is started ahead of its notebook, so that what it loads costs that notebook no time."""

import threading
from dataclasses import dataclass, field

from course_utils.run.containment import Containment
from course_utils.run.execute import Worker, start_worker


@dataclass
class Spares:
    """Workers for `expected` notebooks, all held by one `Containment`; any thread may take one."""

    held: Containment
    expected: int
    spare: Worker | None = None
    closed: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self):
        """The `Worker` that is ready, else a new one; the next is started while more notebooks are expected."""
        with self.lock:
            self.expected -= 1
            ready, self.spare = self.spare, None
        if ready is not None and ready.process.poll() is not None:  # killed while it waited
            ready.discard()
            ready = None
        worker = ready or start_worker(self.held)
        self._refill()
        return worker

    def _refill(self):
        with self.lock:
            if self.spare is None and self.expected > 0 and not self.closed:
                self.spare = start_worker(self.held)

    def close(self):
        """End the worker that nobody took."""
        with self.lock:
            self.closed, left, self.spare = True, self.spare, None
        if left is not None:
            left.discard()

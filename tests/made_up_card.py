"""A card that exists only as numbers: torch's allocator and the driver's readings, for machines without one."""

from types import SimpleNamespace

import pytest

from course_utils.gpu import memory, nvml
from course_utils.gpu.monitor import peaks

GIB = 1024**3


class MadeUpCard:
    """Stands for the module torch; `take` and `give` move bytes, the cache keeps what was given back."""

    def __init__(self, total_bytes=80 * GIB, context_bytes=GIB // 2, others_bytes=GIB):
        self.total_bytes, self.context_bytes, self.others_bytes = total_bytes, context_bytes, others_bytes
        self.allocated = self.reserved = self.peak_allocated = self.peak_reserved = 0
        self.fraction, self.hidden = 1.0, False
        self.OutOfMemoryError = type("OutOfMemoryError", (RuntimeError,), {})
        self.cuda = SimpleNamespace(
            memory=SimpleNamespace(memory_stats_as_nested_dict=self._stats),
            reset_peak_memory_stats=self._reset,
            synchronize=lambda: None,
            empty_cache=self._empty,
            memory_reserved=lambda: self.reserved,
            mem_get_info=lambda: (self.total_bytes - self.reserved, self.total_bytes),
            get_device_properties=lambda index: SimpleNamespace(total_memory=self.total_bytes),
            get_per_process_memory_fraction=lambda: self.fraction,
            set_per_process_memory_fraction=self._hold,
        )

    def take(self, count):
        """Allocate, or raise the error that torch raises."""
        reserved = max(self.reserved, self.allocated + count)
        if reserved > self.fraction * self.total_bytes:
            raise self.OutOfMemoryError("CUDA out of memory. Tried to allocate.")
        self.allocated, self.reserved = self.allocated + count, reserved
        self.peak_allocated = max(self.peak_allocated, self.allocated)
        self.peak_reserved = max(self.peak_reserved, self.reserved)

    def give(self, count):
        """Free tensors; the cache keeps their memory."""
        self.allocated -= count

    def _stats(self):
        return {
            "allocated_bytes": {"all": {"current": self.allocated, "peak": self.peak_allocated}},
            "reserved_bytes": {"all": {"current": self.reserved, "peak": self.peak_reserved}},
        }

    def _reset(self):
        self.peak_allocated, self.peak_reserved = self.allocated, self.reserved

    def _empty(self):
        self.reserved = self.allocated

    def _hold(self, fraction):
        self.fraction = fraction

    def driver_memory(self):
        """What NVML says of the whole card."""
        used = self.reserved + self.context_bytes + self.others_bytes
        return nvml.Memory(self.total_bytes, used, self.total_bytes - used)

    def process_bytes(self):
        """What NVML says of this process, None where the driver hides it."""
        return None if self.hidden else self.reserved + self.context_bytes


@pytest.fixture
def card(monkeypatch):
    """A made-up 80 GiB card that this process has opened."""
    made = MadeUpCard()
    monkeypatch.setattr(memory, "cuda", lambda: made)
    monkeypatch.setattr(memory, "process_bytes", made.process_bytes)
    monkeypatch.setattr(nvml, "memory", made.driver_memory)
    monkeypatch.setattr(peaks, "_process", peaks.Peaks(exact_rss=True))  # this process's peaks on this card
    return made

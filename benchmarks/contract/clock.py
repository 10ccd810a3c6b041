"""Timing on a device that works on after the call has returned, and modules made in place."""

import time
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch


@dataclass(frozen=True)
class Timing:
    """`count` units of work took `seconds`; `details` are further readings by name, units in the name."""

    seconds: float
    count: float | None
    unit: str | None
    details: dict = field(default_factory=dict)


def now(device):
    """Seconds of a monotonic clock, after the device has done all its work."""
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def seconds_of(step, device, warm, steps):
    """Seconds of `steps` calls, after `warm` calls that do not count: libraries load and choose kernels in those."""
    for _ in range(warm):
        step()
    started = now(device)
    for _ in range(steps):
        step()
    return now(device) - started


@contextmanager
def made_on(device, dtype):
    """Modules made inside have their weights in this type on this device from the start, so nothing is ever larger."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            yield
    finally:
        torch.set_default_dtype(before)

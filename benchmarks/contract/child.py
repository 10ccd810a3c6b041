"""One row in its own process: hold the cap, run, and read what it took."""

import importlib
import os
import sys
import time
import traceback
from contextlib import redirect_stdout
from dataclasses import asdict

from contract.results import Record, settings
from course_utils.errors import CourseError
from course_utils.gpu import memory, nvml
from course_utils.gpu.device import installed_version
from course_utils.gpu.oom.oom import is_oom


def measure(row, device, cap_gb, tiny, connection):
    """Send the row's `Record` through the connection; what its work raises becomes the record's reason."""
    used_before, started = nvml.memory(), time.perf_counter()
    try:
        prepare(device, cap_gb)
        outcome = _run(row, device, tiny)
    except Exception as error:
        no_memory = is_oom(error)
        outcome = {"status": "out of memory" if no_memory else "failed", "reason": in_one_line(error)}
        if not no_memory:
            traceback.print_exc()
    connection.send(
        Record(
            name=row.name,
            what=row.what,
            device=device,
            tiny=tiny,
            settings=settings(row, tiny),
            **outcome,
            **readings(device, used_before),
            wall_seconds=round(time.perf_counter() - started, 2),
            versions=versions(row),
        )
    )


def prepare(device, cap_gb):
    """Open the device, hold torch to the cap where one is given (0: none), and start counting; the `Cap` or None."""
    import torch

    torch.manual_seed(0)
    if device != "cuda":
        torch.set_num_threads(1)  # toy sizes: on a busy machine two threads wait for each other longer than they work
        return None
    torch.cuda.init()
    held = None
    if cap_gb:
        from course_utils.gpu.cap import cap

        with redirect_stdout(sys.stderr):
            held = cap(cap_gb)
    torch.cuda.reset_peak_memory_stats()
    return held


def _run(row, device, tiny):
    module, _, function = row.work.partition(".")
    timing = getattr(importlib.import_module(f"contract.{module}"), function)(device, **settings(row, tiny))
    rate = timing.count / timing.seconds if timing.count else None
    return {
        "status": "measured",
        "reason": None,
        "seconds": _digits(timing.seconds),
        "rate": _digits(rate),
        "rate_unit": timing.unit,
        "details": {name: _digits(value) for name, value in timing.details.items()},
    }


def _digits(value):
    return float(f"{value:.5g}") if isinstance(value, float) else value


def readings(device, used_before):
    """The row's memory in bytes, each None where it cannot be had.

    `allocated_bytes` and `reserved_bytes` are torch's own peaks. `context_bytes` is what the card
    holds for this process outside torch's cache, read at the row's end, when every kernel is
    loaded; it does not shrink before. So `process_bytes`, the process's peak, is that and the peak
    of the cache. Where the driver hides the process, the context is the growth of the whole card's
    use, with other programs' changes in it, and `process_bytes` is None. `rss_bytes` is the peak of
    resident RAM.
    """
    found = dict.fromkeys(("allocated_bytes", "reserved_bytes", "process_bytes", "context_bytes", "context_source"))
    found["rss_bytes"] = peak_rss_bytes()
    torch = memory.cuda()
    if device != "cuda" or torch is None:
        return found
    reserved = torch.cuda.max_memory_reserved()
    found |= {"allocated_bytes": torch.cuda.max_memory_allocated(), "reserved_bytes": reserved}
    process, now = memory.process_bytes(), torch.cuda.memory_reserved()
    if process is not None:
        return found | {
            "process_bytes": process - now + reserved,
            "context_bytes": process - now,
            "context_source": "process",
        }
    after = nvml.memory()
    if used_before is None or after is None:
        return found
    return found | {"context_bytes": after.used_bytes - used_before.used_bytes - now, "context_source": "card"}


def peak_rss_bytes():
    """Peak of resident RAM since this process began (the kernel's VmHWM), or None outside Linux."""
    try:
        with open("/proc/self/status", encoding="utf-8") as status:
            lines = [line.split() for line in status if line.startswith("VmHWM:")]
    except OSError:
        return None
    return int(lines[0][1]) * 1024 if lines else None


def versions(row):
    """Versions of what the row used."""
    names = ("torch", *row.packages)
    return {"python": sys.version.split()[0]} | {name: installed_version(name) for name in names}


def in_one_line(error):
    """An error's type and the first line of what it says, at most 300 characters."""
    first = (str(error).strip() or "no message").splitlines()[0]
    return f"{type(error).__name__}: {first}"[:300]


def look(device, cap_gb, connection):
    """Send what heads a result file: device, card, driver, torch, CUDA, cap; or a dictionary with `error`."""
    import torch

    used = nvml.memory()
    try:
        held = prepare(device, cap_gb)
        card = torch.cuda.get_device_properties(0) if device == "cuda" else None
        connection.send(
            {
                "device": device,
                "card": card and card.name,
                "card_total_bytes": card and card.total_memory,
                "card_used_before_bytes": used and used.used_bytes,
                "driver": nvml.driver_version(),
                "torch": torch.__version__,
                "cuda": torch.version.cuda,
                "cap": asdict(held) | {"allocator_bytes": held.allocator_bytes} if held else None,
                "cpu_count": len(os.sched_getaffinity(0)),
            }
        )
    except Exception as error:
        connection.send(
            {"error": in_one_line(error), "sentence": str(error) if isinstance(error, CourseError) else None}
        )

"""The process behind `%%capped`: run one cell with little memory, and write down how it went.

Run as `python -m course_utils.gpu.oom.capped FOLDER GIB SECONDS`; the cell is FOLDER/cell.py.
"""

import json
import linecache
import resource
import signal
import sys
import traceback
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from course_utils.gpu import memory
from course_utils.gpu.device import GIB
from course_utils.gpu.oom import breakdown, free, oom, oom_html

CARD, RAM = "card", "RAM"


def main(folder, gib, seconds):
    """Run the cell and write outcome.json: `place`, `peak_bytes`, and a `report` or an `error` where it failed."""
    # Should the notebook's kernel die, nobody is left to stop this process.
    signal.alarm(int(seconds) + 10)
    source = Path(folder, "cell.py").read_text()
    place, start = hold(gib)
    outcome = {"place": place} | run(source, place, start, int(gib * GIB))
    Path(folder, "outcome.json").write_text(json.dumps(outcome))


def hold(gib):
    """Cap this process: torch's allocator where there is a card, else RAM; the place and the bytes it held at the start."""
    import torch

    warm_up(torch)
    if torch.cuda.is_available():
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, gib * GIB / total))
        return CARD, 0
    memory.return_blocks_at_once()  # else glibc keeps freed blocks, and a smaller batch seems to need as much
    free.collect()  # what the start up left to be freed would be room above the cap
    start = data_bytes()
    memory.reset_ram_peak()
    # The limit counts memory that is promised, not only what is touched: malloc fails, nothing is killed.
    resource.setrlimit(resource.RLIMIT_DATA, (start + int(gib * GIB), resource.RLIM_INFINITY))
    return RAM, start


def warm_up(torch):
    """Let the libraries take what they keep for good, threads and their stacks, before the cell's memory is counted."""
    ones = torch.ones(256, 256, requires_grad=True)
    (ones @ ones).relu().sum().backward()
    torch.nn.functional.conv2d(torch.ones(2, 3, 32, 32), torch.ones(8, 3, 3, 3))


def run(source, place, start, cap_bytes):
    """Run the cell's text as a program of its own; how it went."""
    before = resident()
    # A main module of its own: the cell sees none of the names here, and its classes can be pickled.
    sys.modules["__main__"] = ModuleType("__main__")
    namespace = vars(sys.modules["__main__"])
    linecache.cache[oom.CAPPED] = (len(source), None, source.splitlines(keepends=True), oom.CAPPED)
    try:
        exec(compile(source, oom.CAPPED, "exec"), namespace)
        failure = {}
    except BaseException as error:  # whatever it is, the notebook must hear of it
        used = data_bytes() - start
        if place == RAM:
            resource.setrlimit(resource.RLIMIT_DATA, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        failure = _failure(error, place, used, cap_bytes, namespace)
    return {"peak_bytes": peak_bytes(place, before)} | failure


def _failure(error, place, used, cap_bytes, namespace):
    if not (isinstance(error, Exception) and oom.is_oom(error)):
        words = "".join(traceback.format_exception_only(error)).strip()
        return {"error": words, "traceback": oom.own_part(error)}
    limit = f"capped at {cap_bytes / GIB:g} GiB"
    if place == CARD and oom.on_card(error):
        # The cap is on torch's allocator: context and other programs lie outside it, and closing them would not help.
        use = replace(oom.use(error, 0), context_bytes=0, others_bytes=0, capped=True)
        report = oom.look(error, use, namespace, limit=limit)
    else:
        use = breakdown.Use(RAM, used, capped=True)
        report = oom.look(error, use, namespace, free=max(0, cap_bytes - used), limit=limit)
    return {"report": oom_html.bundle(report)}


def data_bytes():
    """What the kernel holds against RLIMIT_DATA: memory that this process can write and shares with nobody."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmData:"))


def resident():
    """Bytes of RAM now, and how many of them are pages of files: the libraries, which any program may drop and read anew."""
    import psutil

    found = psutil.Process().memory_info()
    return found.rss, found.shared


def peak_bytes(place, before):
    """The most that the cell held: of tensors on the card, else of RAM above the start, without the libraries' pages."""
    if place == CARD:
        import torch

        return torch.cuda.max_memory_allocated()
    (rss, files), (_, files_now) = before, resident()
    return max(0, (memory.ram()[1] or 0) - rss - (files_now - files))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]))

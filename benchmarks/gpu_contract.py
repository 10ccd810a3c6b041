"""Measure on a CUDA card what the course claims, as if it had 12 GB: `python benchmarks/gpu_contract.py`.

Each row runs in its own process. The result file is written after every row, into
`benchmarks/results/<card>-<date>.json`, from which the passports and `course syllabus` read the
measured video memory: type that afterwards. `--tiny` runs every row at toy size on the CPU: it tests this script, and its
figures mean nothing.
"""

import argparse
import sys
import time
from fnmatch import fnmatch
from functools import partial
from pathlib import Path

from contract import child, processes, results
from contract.rows import every_row

from course_utils.gpu import nvml
from course_utils.gpu.device import show_bytes
from course_utils.learn.measured import FOLDER
from course_utils.learn.paths import project_dir

ROW_SECONDS = 150
START_SECONDS = 120


def main():
    """Run the chosen rows; exit status 0, 1 where a row failed, 2 for wrong use."""
    options = _options()
    if options.list:
        return print("\n".join(f"{row.name:36}{row.what}" for row in every_row()))
    return measure(options, chosen(options.rows))


def measure(options, rows):
    """Run the rows one by one, and write the file after each."""
    ends = time.monotonic() + 60 * options.minutes
    device = options.device or ("cpu" if options.tiny else "cuda")
    context, machine = open_machine(device, options.cap, {name for row in rows for name in row.packages})
    head = results.heading(machine, options.tiny)
    folder = options.out or (project_dir() / "runs" / "gpu_contract" if options.tiny else FOLDER)
    path = results.path_of(folder, head)
    records, order = results.earlier(path, head), [row.name for row in every_row()]
    print(f"{head['card'] or 'CPU'} · driver {head['driver'] or 'n/a'} · torch {head['torch']} · cap {_cap(head)}")
    found = []
    for row in rows:
        found.append(run(row, records, context, device, options, ends))
        results.add(records, found[-1])
        results.write(path, head, records, order)
        print(line(found[-1]), flush=True)
    print(path)
    sys.exit(1 if any(record.status == "failed" for record in found) else 0)


def _options():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", nargs="+", default=["*"], metavar="PATTERN", help="such as 'llama*' or sd15-1-plain")
    parser.add_argument("--cap", type=int, default=12, metavar="GB", help="behave like a card of that size; 0: no cap")
    parser.add_argument("--minutes", type=float, default=9, help="rows not begun by then are skipped")
    parser.add_argument("--out", type=Path, help="folder of the result; benchmarks/results by default")
    parser.add_argument("--tiny", action="store_true", help="toy sizes on the CPU, into runs/gpu_contract")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="where --tiny runs")
    parser.add_argument("--list", action="store_true", help="show the rows and end")
    options = parser.parse_args()
    if options.device == "cpu" and not options.tiny:
        parser.error("a CPU runs the rows only at toy size: add --tiny")
    return options


def chosen(patterns):
    """The rows whose name fits one of the patterns; ends the program where a pattern fits none."""
    rows = every_row()
    for pattern in patterns:
        if not any(fnmatch(row.name, pattern) for row in rows):
            _stop(f"no row is called {pattern!r}. See `python benchmarks/gpu_contract.py --list`.")
    return [row for row in rows if any(fnmatch(row.name, pattern) for pattern in patterns)]


def open_machine(device, cap_gb, packages):
    """How children start, and what one of them saw; ends the program where the device cannot be used."""
    if device == "cuda" and nvml.library() is None:
        _stop("no NVIDIA driver answers here. `--tiny` runs every row at toy size on the CPU.")
    for method in ("forkserver", "spawn"):
        context = processes.starter(device, method, packages)
        machine = processes.ask(context, child.look, (device, cap_gb), START_SECONDS)
        if isinstance(machine, processes.Ending):
            machine = {"error": machine.text, "sentence": None}
        if "error" not in machine:
            return context, machine
        if machine["sentence"]:
            _stop(f"{machine['sentence']} Here: `--cap 0` for no cap, or `--cap 8`.")
        print(f"{method}: {machine['error']}", file=sys.stderr)
    _stop("the card could not be opened. See `course doctor`.")


def run(row, records, context, device, options, ends):
    """The `Record` of one row, whatever becomes of it."""
    blank = partial(results.without_measuring, row, device=device, tiny=options.tiny)
    left, over = ends - time.monotonic(), f"the {options.minutes:g} minutes were over (--minutes, --rows)"
    reason = results.why_not(row, records) or (over if left <= 0 else None)
    if reason:
        return blank("skipped", reason)
    arguments = (row, device, options.cap, options.tiny)
    record = processes.ask(context, child.measure, arguments, min(left, ROW_SECONDS))
    if not isinstance(record, processes.Ending):
        return record
    if record.kind == "time" and left < ROW_SECONDS:
        return blank("skipped", f"cut off: {over}")
    return blank("failed", record.text)


def line(record):
    """A record in one line: torch's peak, the process's peak, the rate or the reason."""
    words = record.reason
    if record.status == "measured":
        words = f"{record.rate:.4g} {record.rate_unit}" if record.rate else f"{record.seconds:.3g} s"
    if record.device == "cuda":
        sizes = f"{show_bytes(record.allocated_bytes):>11}{show_bytes(record.process_bytes):>11}"
    else:
        sizes = f"{'RAM ' + show_bytes(record.rss_bytes):>22}"
    return f"{record.name:36}{record.status:14}{sizes}  {words}"


def _cap(head):
    return f"{head['cap']['nominal_gb']:g} GB" if head["cap"] else "none"


def _stop(sentence):
    print(f"gpu_contract: {sentence}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)

"""What the gauge costs a kernel: `python benchmarks/gauge_cost.py`.

Two kernels idle side by side over the same minute, one with a gauge on show, and the processor time
of each is read from the system. No page is open: what the browser and Jupyter's server spend is not
counted. On a machine without a card neither are NVML's readings.
"""

import argparse
import json
import os
import time
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from statistics import median

import psutil
from jupyter_client.manager import start_new_kernel

from course_utils.gpu import nvml
from course_utils.gpu.device import installed_version
from course_utils.learn.paths import project_dir, write_atomically

PACKAGES = ("anywidget", "ipykernel", "ipywidgets", "psutil")
RESULT = project_dir() / "benchmarks" / "results" / "gauge_cost.json"
WITHOUT = "import torch, anywidget, psutil\nfrom course_utils.gpu.gauge.gauge import gauge"
WAYS = {"without": WITHOUT, "with": f"{WITHOUT}\ngauge()"}


def main():
    """Measure, print and write the result."""
    options = _options()
    rounds = [measure(options.seconds) for _ in range(options.rounds)]
    record = _record(options.seconds, rounds)
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(RESULT, json.dumps(record, indent=1) + "\n")
    print(json.dumps(record, indent=1))


def _options():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=60)
    return parser.parse_args()


def measure(seconds):
    """Processor seconds of each way's kernel over this time."""
    with ExitStack() as stack:
        processes = {way: stack.enter_context(kernel(code)) for way, code in WAYS.items()}
        time.sleep(3)  # let what the start left over settle
        before = {way: _busy_seconds(process) for way, process in processes.items()}
        time.sleep(seconds)
        return {way: round(_busy_seconds(process) - before[way], 3) for way, process in processes.items()}


@contextmanager
def kernel(code):
    """The process of a kernel that has run this code, started as Jupyter's server starts one."""
    manager, client = start_new_kernel(env=os.environ | {"JPY_SESSION_NAME": "gauge_cost.ipynb"})
    try:
        reply = client.execute_interactive(code, timeout=120, output_hook=lambda message: None)
        if reply["content"]["status"] != "ok":
            raise SystemExit("\n".join(reply["content"]["traceback"]))
        yield psutil.Process(manager.provisioner.pid)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def _busy_seconds(process):
    times = process.cpu_times()
    return times.user + times.system


def _record(seconds, rounds):
    shares = [100 * (one["with"] - one["without"]) / seconds for one in rounds]
    return {
        "what": "processor time of an idle kernel with and without the gauge",
        "date": datetime.now(UTC).date().isoformat(),
        "cores": psutil.cpu_count(),
        "card": nvml.name(),
        "versions": {name: installed_version(name) for name in PACKAGES},
        "seconds": seconds,
        "processor_seconds": rounds,
        "percent_of_a_core": [round(one, 2) for one in shares],
        "median_percent_of_a_core": round(median(shares), 2),
    }


if __name__ == "__main__":
    main()

"""Seconds of `course doctor`, beside what it cannot do without: `python benchmarks/doctor_time.py`.

The two ways take turns, so that a busy moment of the machine falls on both. The doctor's limit on
a machine without a card is 8 s on two cores.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from course_utils.gpu.device import installed_version
from course_utils.learn.paths import project_dir, write_atomically

RESULT = project_dir() / "benchmarks" / "results" / "doctor_time.json"
WAYS = {
    "import torch": [sys.executable, "-c", "import torch"],
    "course doctor": [str(Path(sys.executable).parent / "course"), "doctor"],
}


def main():
    """Measure, write the result and print it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    seconds = measure(parser.parse_args().rounds)
    middle = {name: median(values) for name, values in seconds.items()}
    record = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {"system": platform.platform(terse=True), "cores": os.cpu_count()},
        "versions": {name: installed_version(name) for name in ("torch", "bitsandbytes")},
        "seconds": seconds,
        "median_seconds": middle,
        "doctor_per_import": round(middle["course doctor"] / middle["import torch"], 2),
    }
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(RESULT, json.dumps(record, indent=1) + "\n")
    print(json.dumps(record, indent=1))


def measure(rounds):
    """Seconds of each way, one a round, after one round that is not counted."""
    seconds = {name: [] for name in WAYS}
    for number in range(rounds + 1):
        for name, command in WAYS.items():
            started = time.perf_counter()
            subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
            if number:
                seconds[name].append(round(time.perf_counter() - started, 2))
    return seconds


if __name__ == "__main__":
    main()

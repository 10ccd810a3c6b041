"""How much slower training is under `track`: `python benchmarks/monitor_overhead.py`.

One process trains the same small convolutional network in blocks of steps, every other block
under `track` (its timeline samples meanwhile). The two kinds take turns and swap places every
round, so that a busy moment of the machine falls on both. Processor time counts all threads,
the sampling one too, and is hardly touched by other programs; wall time is.
"""

import argparse
import json
import os
import platform
import sys
import time
from contextlib import nullcontext
from datetime import UTC, datetime
from statistics import median

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as `course lab` sets it: threads that spin would be counted

from course_utils.gpu.device import installed_version
from course_utils.gpu.memory import cuda
from course_utils.gpu.monitor.timeline import Timeline
from course_utils.gpu.monitor.track import begin, measured
from course_utils.learn.paths import project_dir, write_atomically

RESULT = project_dir() / "benchmarks" / "results" / "monitor_overhead.json"


def main():
    """Measure, print the ratios and write the result."""
    options = _options()
    step = training_step()
    record = _record(options, measure(step, options.rounds, options.steps), thread_percent(step))
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(RESULT, json.dumps(record, indent=1) + "\n")
    print(json.dumps({name: value for name, value in record.items() if name != "blocks"}, indent=1))


def _options():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=60, help="pairs of blocks")
    parser.add_argument("--steps", type=int, default=40, help="training steps in a block")
    return parser.parse_args()


def training_step():
    """A function that runs one step: two convolutions on 64 pictures of 32×32, Adam."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    layers = [nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, stride=2), nn.ReLU(), nn.Flatten()]
    model = nn.Sequential(*layers, nn.Linear(32 * 15 * 15, 10)).to(device)
    optimizer = torch.optim.Adam(model.parameters())
    pictures, labels = torch.randn(64, 3, 32, 32, device=device), torch.randint(10, (64,), device=device)

    def step():
        loss = nn.functional.cross_entropy(model(pictures), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()

    return step


def measure(step, rounds, steps):
    """A (plain, tracked) pair of blocks each round, after one round that is not counted."""
    _block(step, steps, nullcontext())
    pairs = []
    for number in range(rounds):
        done = begin("block")
        kinds = [("plain", nullcontext()), ("tracked", measured(done))]
        pair = {name: _block(step, steps, context) for name, context in kinds[:: 1 if number % 2 else -1]}
        pairs.append(pair | {"samples": len(done.samples)})
    return pairs


def thread_percent(step, seconds=10):
    """What the sampling thread alone takes of one core while the network trains, in percent."""
    timeline = Timeline()
    timeline.start()
    clock = time.pthread_getcpuclockid(timeline.thread.ident)
    started = time.perf_counter()
    while time.perf_counter() - started < seconds:
        step()
    used = time.clock_gettime(clock)
    timeline.stop()
    return round(100 * used / seconds, 3)


def _block(step, steps, context):
    wall, processor = time.perf_counter(), time.process_time()
    with context:
        for _ in range(steps):
            step()
    return {"seconds": time.perf_counter() - wall, "processor_seconds": time.process_time() - processor}


def _record(options, pairs, thread):
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "device": "cuda" if cuda() else "cpu",
        "processor": _processor(),
        "cpu_count": len(os.sched_getaffinity(0)),
        "load_average": [round(one, 2) for one in os.getloadavg()],
        "versions": {"python": sys.version.split()[0], "torch": installed_version("torch")},
        "rounds": options.rounds,
        "steps_per_block": options.steps,
        "median_block_seconds": round(median(pair["plain"]["seconds"] for pair in pairs), 3),
        "samples_per_second": round(median(pair["samples"] / pair["tracked"]["seconds"] for pair in pairs), 1),
        "sampling_thread_percent_of_a_core": thread,
        "slower_percent": {key: _slower(pairs, key) for key in ("processor_seconds", "seconds")},
        "blocks": pairs,
    }


def _slower(pairs, key):
    """Median of the rounds' ratios, and between which values 95 % of such medians lie (bootstrap)."""
    import random

    ratios = [100 * (pair["tracked"][key] / pair["plain"][key] - 1) for pair in pairs]
    draw = random.Random(0)
    medians = sorted(median(draw.choices(ratios, k=len(ratios))) for _ in range(2000))
    return {"median": round(median(ratios), 2), "from": round(medians[50], 2), "to": round(medians[-51], 2)}


def _processor():
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.partition(":")[2].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()


if __name__ == "__main__":
    main()

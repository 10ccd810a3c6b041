"""What is left after kill -9 at random moments: `python benchmarks/kill_storm.py`.

Small notebooks, each with a child in a session of its own, run again and again in a cache of their own. At a
random moment the runner, a worker or a kernel is killed; the run is resumed until it ends. Counted are processes
that live 5 s after the runner, lessons without their result at the end, and files that are not whole.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import psutil

from course_utils.gpu.device import installed_version
from course_utils.learn.paths import project_dir, write_atomically

RESULT = project_dir() / "benchmarks" / "results" / "kill_storm.json"
COURSE = str(Path(sys.executable).with_name("course"))
LESSONS = 4
PATIENCE_SECONDS = 5
VICTIMS = ("runner", "worker", "kernel")
CELL = """
import os, subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", MARK], start_new_session=True)
time.sleep(0.3)
with open(os.path.join(os.environ["COURSE_ARTEFACTS"], "weights"), "w") as file:
    file.write("trained " * 20000)
with open(os.environ["COURSE_RECEIPT"], "w") as file:
    file.write('{"profile": "smoke", "checks": [], "metrics": {}}')
"""


@dataclass
class Count:
    """What went wrong, and what was shot at."""

    kills: Counter = field(default_factory=Counter)
    orphans: int = 0
    lost: int = 0
    corrupt: int = 0
    resumed: int = 0
    problems: list = field(default_factory=list)


def main():
    """Shoot, count, print and write the result."""
    options = _options()
    dice, count = random.Random(options.seed), Count()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["COURSE_RUNS_DIR"] = str(Path(folder) / "runs")
        number = 0
        while sum(count.kills.values()) < options.kills:
            number += 1
            storm(Path(folder), number, dice, count)
            print(
                f"{sum(count.kills.values())} kills, {count.orphans} orphans, {count.lost} lost, {count.corrupt} corrupt"
            )
    record = {
        "date": datetime.now(UTC).date().isoformat(),
        "cpu_count": len(os.sched_getaffinity(0)),
        "versions": {"python": sys.version.split()[0], "papermill": installed_version("papermill")},
        "seed": options.seed,
        "lessons_a_run": LESSONS,
        "runs": number,
        "kills": dict(count.kills),
        "resumed": count.resumed,
        "orphans_after_5_s": count.orphans,
        "lost_results": count.lost,
        "corrupt_files": count.corrupt,
        "problems": count.problems,
    }
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(RESULT, json.dumps(record, indent=1) + "\n")
    print(json.dumps(record, indent=1))


def _options():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=8)
    return parser.parse_args()


def storm(folder, number, dice, count):
    """One run, shot at and resumed until it is done."""
    mark, notebooks = uuid4().hex, folder / f"notebooks{number}"
    notebooks.mkdir()
    paths = [_notebook(notebooks / f"lesson{one}.ipynb", mark, f"{number}-{one}") for one in range(LESSONS)]
    report = folder / f"report{number}"
    words = [*map(str, paths), "--report", str(report), "--jobs", "2", "--retries", "9"]
    ended = _shot_at(words, mark, dice, count)
    while not ended:
        _look_for_damage(report, count)
        count.resumed += 1
        if not (report / "report.json").exists():  # killed before it had written anything
            ended = _shot_at(words, mark, dice, count)
        else:
            ended = _shot_at(["--resume", "--report", str(report)], mark, dice, count)
    _look_for_damage(report, count)
    _look_for_losses(report, count)


def _notebook(path, mark, name):
    cells = [("parameters", f'PROFILE = "auto"\nMARK = "{mark}"'), ("work", CELL), ("last", f"print({name!r})")]
    content = {
        "nbformat": 4,
        "nbformat_minor": 4,
        "metadata": {},
        "cells": [
            {"cell_type": "code", "metadata": {"tags": [tag]}, "source": code, "outputs": [], "execution_count": None}
            for tag, code in cells
        ],
    }
    path.write_text(json.dumps(content))
    return path


def _shot_at(words, mark, dice, count):
    """Start the command and shoot once at a random moment; whether it came to its own end."""
    runner = subprocess.Popen([COURSE, "run", *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    victim = dice.choice(VICTIMS)
    time.sleep(dice.uniform(0.2, 6))
    target = _find(runner, victim)
    tree = [process for process in _tree(runner) if process.pid != runner.pid]
    if target is not None and runner.poll() is None:
        target.kill()
        count.kills[victim] += 1
    if victim != "runner" or target is None:
        complaint = runner.communicate()[1]
        if runner.returncode not in (0, -9):
            count.problems.append(f"{victim}: exit status {runner.returncode}: {complaint.strip()[-300:]}")
    runner.wait()
    _look_for_orphans(tree, mark, count)
    return runner.returncode != -9


def _find(runner, victim):
    """The process to kill, or None where there is none at this moment."""
    for process in _tree(runner):
        try:
            words = process.cmdline()
        except psutil.Error:
            continue
        if victim == "runner" and process.pid == runner.pid:
            return process
        if victim == "worker" and "course_utils.run.worker" in words and words[0] == sys.executable:
            return process
        if victim == "kernel" and "ipykernel_launcher" in words:
            return process
    return None


def _tree(runner):
    try:
        root = psutil.Process(runner.pid)
        return [root, *root.children(recursive=True)]
    except psutil.Error:
        return []


def _look_for_orphans(tree, mark, count):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (left := _living(tree, mark)) and time.monotonic() < deadline:
        time.sleep(0.1)
    count.orphans += len(left)
    count.problems += [f"orphan: {name}" for name in left]
    for process in tree:
        if process.is_running():
            process.kill()


def _living(tree, mark):
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        is_marked = mark in (process.info["cmdline"] or ())
        if (is_marked or process in tree) and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(" ".join(process.info["cmdline"] or ["n/a"])[:100])
    return found


def _look_for_damage(report, count):
    """Every file under its final name must be whole: notebooks and JSON parse, artefacts have their length."""
    for path in (*report.rglob("*"), *(Path(os.environ["COURSE_RUNS_DIR"]) / ".cache").rglob("*")):
        if not path.is_file() or any(part.startswith(".part-") for part in path.parts) or path.name.endswith(".part"):
            continue
        try:
            if path.suffix in (".json", ".ipynb"):
                json.loads(path.read_text())
            elif path.name == "weights" and path.stat().st_size != len("trained ") * 20000:
                raise ValueError(f"{path.stat().st_size} bytes")
        except ValueError as error:
            count.corrupt += 1
            count.problems.append(f"corrupt: {path}: {error}")


def _look_for_losses(report, count):
    """At the end every lesson has passed, with copy, receipt and artefact."""
    rows = json.loads((report / "report.json").read_text())["lessons"]
    for row in rows:
        files = [report / row["notebook"], report / "receipts" / f"{row['lesson']}.json"]
        files.append(report / "artefacts" / row["lesson"] / "weights")
        if row["status"] != "passed" or not all(path.exists() for path in files):
            count.lost += 1
            count.problems.append(f"lost: {row['lesson']} {row['status']} {row['error']}")


if __name__ == "__main__":
    main()

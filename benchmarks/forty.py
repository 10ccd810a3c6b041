"""Forty trivial notebooks in every way, and a thousand that are only planned: a part of `runner_overhead.py`."""

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from statistics import median

COUNT, JOBS = 40, 2
COURSE = str(Path(sys.executable).with_name("course"))
OURS, WARM = "course run, 2 jobs", "course run again, from the cache"
PAPERMILL = "papermill, one after another"
NBCLIENT = "nbclient, 2 processes"
FRESH = "nbclient, 2 at a time, a process each"
# A peer's notebook whose kernel does not start is counted: the exit status is how many of them failed.
_PAPERMILL = """
import sys, papermill
failed = 0
for path in sys.argv[1:]:
    try:
        papermill.execute_notebook(path, path + ".out", kernel_name="python3", progress_bar=False)
    except Exception:
        failed += 1
sys.exit(failed)
"""
_NBCLIENT = """
import sys, nbformat, nbclient
failed = 0
for path in sys.argv[1:]:
    notebook = nbformat.read(path, 4)
    try:
        nbclient.NotebookClient(notebook, kernel_name="python3").execute()
    except Exception:
        failed += 1
    nbformat.write(notebook, path + ".out")
sys.exit(failed)
"""
SHARE, ALL = "two notebooks that train, each with its share of the threads", "each with all of them"
_TRAIN = """
import torch
net = torch.nn.Sequential(torch.nn.Linear(512, 1024), torch.nn.ReLU(), torch.nn.Linear(1024, 512))
optimiser = torch.optim.SGD(net.parameters(), 0.01)
for _ in range(500):
    optimiser.zero_grad()
    net(torch.randn(64, 512)).square().mean().backward()
    optimiser.step()
"""
_LESSON = "import course_utils as course\nlesson = course.start('week01')\ncourse.check('week01.loss', None)"
_PLAN = """
import json, resource, sys, time
from pathlib import Path
started = time.perf_counter()
from course_utils.learn.catalog import lesson_of
from course_utils.learn.paths import project_dir
from course_utils.run import cache, plan, prepare, schedule
from course_utils.run.reach import Tree
folder = Path(sys.argv[1])
lessons = [lesson_of(path) for path in sorted(folder.glob("*.ipynb"))]
made = plan.make(lessons, "smoke", None, 2, 900, folder / "report", None)
tree, passed = Tree(project_dir()), {}
schedule.order(made.graph, made.needs)
for one in made.notebooks:
    earlier = {name: passed[name] for name in made.graph[one.lesson]}
    key = passed[one.lesson] = prepare.prepare(made, tree, one, earlier).key
    assert cache.get(key) is None
print(json.dumps({"notebooks": len(lessons), "seconds": round(time.perf_counter() - started, 2),
                  "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))
"""


def measure(folder, make, rounds):
    """Seconds of each way, one a round, how many of ours passed, and the most that our runner held in bytes."""
    home = folder / "forty"
    home.mkdir()
    paths = [str(make(home / f"lesson{number:02d}.ipynb")) for number in range(COUNT)]
    seconds = {name: [] for name in (OURS, WARM, PAPERMILL, NBCLIENT, FRESH)}
    passed, peaks, failed = [], [], {PAPERMILL: 0, NBCLIENT: 0, FRESH: 0}
    for number in range(rounds):
        for name, way in (
            (OURS, partial(_ours, paths, folder / f"cold{number}", passed, peaks)),
            (WARM, partial(_ours, paths, folder / f"warm{number}", None, peaks)),
            (PAPERMILL, partial(_together, [(_PAPERMILL, paths)])),
            (NBCLIENT, partial(_together, [(_NBCLIENT, paths[one::JOBS]) for one in range(JOBS)])),
            (FRESH, partial(_one_by_one, paths)),
        ):
            if name == FRESH and number:
                continue  # by far the slowest: once is enough
            started = time.perf_counter()
            found = way()
            seconds[name].append(round(time.perf_counter() - started, 2))
            if name in failed:
                failed[name] += found
        subprocess.run([COURSE, "cache", "clear"], check=True, stdout=subprocess.DEVNULL)
    medians = {name: median(values) for name, values in seconds.items()}
    ratios = {name: round(medians[OURS] / medians[name], 2) for name in (PAPERMILL, NBCLIENT, FRESH)}
    return {
        "notebooks": COUNT,
        "jobs": JOBS,
        "seconds": seconds,
        "median_seconds": medians,
        "ratio_of_medians": ratios,
        "passed": passed,
        "failed_of_peers": failed,
        "runner_peak_bytes": max(peaks),
    }


def plan_a_thousand(folder, make):
    """Seconds and peak memory of planning a thousand notebooks: graph, keys and cache look-ups, in a process of its own."""
    home = folder / "thousand"
    home.mkdir()
    for number in range(1000):
        make(home / f"week{number:04d}_made.ipynb", [f"week{number // 2:04d}"] if number else [], _LESSON)
    done = subprocess.run([sys.executable, "-c", _PLAN, str(home)], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def two_that_compute(folder, make, rounds):
    """Seconds of two notebooks at once that train a small net, each with its share of the cores and each with all."""
    home = folder / "two"
    home.mkdir()
    paths = [str(make(home / f"train{number}.ipynb", code=_TRAIN)) for number in range(2)]
    every = str(len(os.sched_getaffinity(0)))
    ways = {SHARE: {}, ALL: dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), every)}
    seconds = {name: [] for name in ways}
    for number in range(rounds):
        for name, variables in ways.items():
            report = folder / f"two{number}{len(variables)}"
            command = [COURSE, "run", *paths, "--jobs", "2", "--no-cache", "--report", str(report)]
            started = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ | variables)
            seconds[name].append(round(time.perf_counter() - started, 2))
    return {"seconds": seconds, "median_seconds": {name: median(values) for name, values in seconds.items()}}


def show(many, planned, two):
    """Print all results."""
    print()
    for name, value in many["median_seconds"].items():
        ratio = many["ratio_of_medians"].get(name)
        print(f"{name:40}{value:8.2f} s" + ("" if ratio is None else f"   course run takes {ratio:.2f} of it"))
    print(f"passed of {COUNT}: {many['passed']}; the runner held {many['runner_peak_bytes'] / 1024**2:.0f} MiB")
    print(", ".join(f"{name}: {value:.1f} s" for name, value in two["median_seconds"].items()))
    print(f"{planned['notebooks']} planned in {planned['seconds']} s with {planned['peak_bytes'] / 1024**2:.0f} MiB")


def _ours(paths, report, passed, peaks):
    command = [COURSE, "run", *paths, "--jobs", str(JOBS), "--report", str(report)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    peaks.append(usage.ru_maxrss * 1024)
    rows = json.loads((report / "report.json").read_text())["lessons"]
    if passed is not None:
        passed.append(sum(row["status"] == "passed" and not row["from_cache"] for row in rows))
    elif not all(row["from_cache"] for row in rows):
        raise SystemExit("A lesson ran although nothing had changed.")


def _together(commands):
    processes = [
        subprocess.Popen([sys.executable, "-c", code, *paths], stderr=subprocess.DEVNULL) for code, paths in commands
    ]
    return sum(process.wait() for process in processes)


def _one_by_one(paths):
    with ThreadPoolExecutor(JOBS) as threads:
        return sum(threads.map(lambda path: _together([(_NBCLIENT, [path])]), paths))

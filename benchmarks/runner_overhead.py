"""What the runner adds to notebooks' time, against plain nbclient and papermill: `python benchmarks/runner_overhead.py`.

One trivial notebook, then forty of them with two jobs, then a thousand that are only planned. The ways
take turns, so that a busy moment of the machine falls on all of them. The strictest comparisons are with
peers that import once for all notebooks, while the runner gives each notebook a process tree of its own.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import forty

from course_utils.gpu.device import installed_version
from course_utils.learn.catalog import lesson_of
from course_utils.learn.paths import project_dir, write_atomically
from course_utils.run.course import run_course

PACKAGES = ("papermill", "nbclient", "ipykernel", "jupyter-client")
RESULT = project_dir() / "benchmarks" / "results" / "runner_overhead.json"
FRESH = "import nbformat, nbclient, sys; nbclient.NotebookClient(nbformat.read(sys.argv[1], 4)).execute()"


def main():
    """Measure, print a table and write the result."""
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["COURSE_RUNS_DIR"] = str(Path(folder) / "runs")
        seconds = measure(trivial_notebook(Path(folder) / "trivial.ipynb"), Path(folder), options.rounds)
        many = forty.measure(Path(folder), trivial_notebook, options.rounds_of_forty)
        planned = forty.plan_a_thousand(Path(folder), trivial_notebook)
        two = forty.two_that_compute(Path(folder), trivial_notebook, 3)
    record = _record(options.rounds, seconds) | {"forty": many, "planned": planned, "two": two}
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(RESULT, json.dumps(record, indent=1) + "\n")
    _show(record)
    forty.show(many, planned, two)


def _options():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--rounds-of-forty", type=int, default=5)
    return parser.parse_args()


def trivial_notebook(path, builds_on=(), code="print(1 + 1)"):
    """The path of a new notebook whose cells cost nothing."""
    import nbformat
    from nbformat.v4 import new_code_cell, new_notebook

    parameters = new_code_cell('PROFILE = "auto"', metadata={"tags": ["parameters"]})
    course = {"builds_on": list(builds_on)}
    nbformat.write(new_notebook(cells=[parameters, new_code_cell(code)], metadata={"course": course}), path)
    return path


def measure(path, folder, rounds):
    """Seconds of each way, one a round, after one round that is not counted."""
    ways = {
        "nbclient, imported before": _plain,
        "nbclient, new process": _fresh,
        "run_course": lambda path: _ours(path, folder / "report"),
    }
    seconds = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            started = time.perf_counter()
            way(path)
            if number:
                seconds[name].append(round(time.perf_counter() - started, 3))
    return seconds


def _plain(path):
    import nbclient
    import nbformat

    nbclient.NotebookClient(nbformat.read(path, 4)).execute()


def _fresh(path):
    subprocess.run([sys.executable, "-c", FRESH, str(path)], check=True)


def _ours(path, report_dir):
    from rich.console import Console

    report = run_course([lesson_of(path)], report_dir=report_dir, console=Console(file=io.StringIO()))
    if report.status != "passed":
        raise SystemExit(f"The trivial notebook {report.status}: {report.lessons[0].error}")


def _record(rounds, seconds):
    medians = {name: round(median(values), 3) for name, values in seconds.items()}
    ours = medians["run_course"]
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cpu_count": len(os.sched_getaffinity(0)),
        "versions": {"python": sys.version.split()[0]} | {name: installed_version(name) for name in PACKAGES},
        "rounds": rounds,
        "seconds": seconds,
        "median_seconds": medians,
        "overhead_seconds": {name: round(ours - one, 3) for name, one in medians.items() if name != "run_course"},
    }


def _show(record):
    print(f"{'way':28}{'median s':>10}{'fastest s':>11}{'slowest s':>11}{'run_course adds s':>19}")
    for name, values in record["seconds"].items():
        added = record["overhead_seconds"].get(name)
        row = f"{name:28}{record['median_seconds'][name]:10.2f}{min(values):11.2f}{max(values):11.2f}"
        print(row + ("" if added is None else f"{added:19.2f}"))


if __name__ == "__main__":
    main()

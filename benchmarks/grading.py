"""Grading by `course grade` and by nbgrader, on this machine in one run: `python benchmarks/grading.py`.

Speed: submissions of one exercise that uses torch and of one that does not, no two texts alike: right in several
styles, wrong in known ways, and a few that were never touched. nbgrader grades fewer, one after the other as it does,
and its seconds, without those of its start, are scaled up. Both get notebooks of the imports and the graded exercise
alone; nbgrader would run the rest of a lesson too. One style of the plain exercise uses torch. With `--attacks`: every
hostile submission, and the points that each gives.
"""

import argparse
import json
import os
import random
import runpy
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import psutil
from nbgrader_course import NbgraderCourse

from course_utils.gpu.device import installed_version
from course_utils.learn.catalog import find_exercise
from course_utils.learn.paths import project_dir, write_atomically
from course_utils.run.modes import answer

sys.path.append(str(project_dir() / "tests"))

from hostile import school

COURSE = str(Path(sys.executable).with_name("course"))
RESULTS = project_dir() / "benchmarks" / "results"
PACKAGES = ("torch", "numpy", "nbgrader", "nbclient", "ipykernel")
_SMALL = "A run with smaller counts than these is printed and not written to the results."
STUB_SHARE = 0.05
WRONG_SHARE = 0.35
SAMPLE_SECONDS = 0.25


def main():
    """Measure, print and write the result."""
    options = _options()
    if options.attacks:
        _attacks(options.only)
        return
    record = _facts() | {
        "torch": _compared("week03.conv2d", options.torch, options.nbgrader, options.jobs),
        "trivial": _compared("week03.output_size", options.trivial, 0, options.jobs),
    }
    if options.torch >= 100 and options.trivial >= 1000 and options.nbgrader >= 10:
        write_atomically(RESULTS / "grading.json", json.dumps(record, indent=1) + "\n")
    print(json.dumps(record, indent=1))


def _options():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0], epilog=_SMALL)
    parser.add_argument("--torch", type=int, default=100, help="submissions of week03.conv2d")
    parser.add_argument("--trivial", type=int, default=1000, help="submissions of week03.output_size")
    parser.add_argument("--nbgrader", type=int, default=20, help="submissions that nbgrader grades; 0 leaves it out")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--attacks", action="store_true", help="hostile submissions instead of speed")
    parser.add_argument("--only", nargs="*", help="with --attacks: the names of some")
    return parser.parse_args()


def _attacks(names):
    import attacks

    rows = attacks.rows(names)
    attacks.show(rows)
    if names is None:
        write_atomically(RESULTS / "grading_attacks.json", json.dumps(_facts() | {"attacks": rows}, indent=1) + "\n")


def _facts():
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cpu_count": len(os.sched_getaffinity(0)),
        "versions": {"python": sys.version.split()[0]} | {name: installed_version(name) for name in PACKAGES},
    }


def _compared(exercise_id, count, theirs, jobs):
    """Figures of both graders for `count` submissions of one exercise, of which nbgrader grades `theirs`."""
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        key_path, notebook = school.release(folder, (exercise_id,))
        notebook = school.reduced(notebook)
        texts = _texts(exercise_id, count)
        for student, text in texts.items():
            school.hand_in(
                folder / "submissions", student, school.filled(notebook, {school.name_of(exercise_id): text})
            )
        ours = _course(key_path, folder, jobs)
        found = {"exercise": exercise_id, "submissions": count, "jobs": jobs, "course_grade": ours}
        if not theirs:
            return found
        few = dict(list(texts.items())[:theirs])
        seconds, start = _nbgrader(folder, notebook, exercise_id, few)
        scaled = start + (seconds - start) / len(few) * count
        return found | {
            "nbgrader": {
                "submissions": len(few),
                "seconds": round(seconds, 2),
                "start_seconds": round(start, 2),
                "scaled_seconds": round(scaled, 1),
            },
            "times_faster": round(scaled / ours["seconds"], 1),
        }


def _texts(exercise_id, count):
    """Student → text, no two alike: each holds a number of its own, most in a statement that does nothing."""
    exercise, dice = find_exercise(exercise_id), random.Random(5)
    functions = runpy.run_path(str(project_dir() / "tests" / "right_answers" / f"{exercise.lesson}.py"))["RIGHT"]
    right = [school.as_typed(one, school.name_of(exercise_id)) for one in functions[exercise_id]]
    wrong = [answer(exercise, f"mistakes-{number}") for number in range(1, len(exercise.mistakes) + 1)]
    stub = f"def {school.name_of(exercise_id)}(*args):\n    raise NotImplementedError"
    texts = {}
    for number in range(count):
        chance = dice.random()
        text = stub if chance < STUB_SHARE else dice.choice(wrong if chance < STUB_SHARE + WRONG_SHARE else right)
        own = f"{text}  # {number}" if text is stub else _marked(text, number)
        texts[f"student{number:04}"] = own
    return texts


def _marked(text, number):
    """The text with a statement of its own at the start of its first function."""
    lines = text.splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith("def "))
    return "\n".join([*lines[: start + 1], f"    own_number = {number}", *lines[start + 1 :]])


def _course(key_path, folder, jobs):
    out = folder / "grades.csv"
    words = [COURSE, "grade", str(folder / "submissions"), "--key", str(key_path), "--out", str(out)]
    started = time.perf_counter()
    process = subprocess.Popen(
        [*words, "--jobs", str(jobs)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    with _Peak(process.pid) as peak:
        said = process.communicate()[0]
    seconds = time.perf_counter() - started
    if process.returncode:
        raise SystemExit(f"course grade failed:\n{said[-2000:]}")
    return {"seconds": round(seconds, 2), "peak_pss_bytes": peak.bytes}


class _Peak:
    """The largest sum of proportional set sizes of a process and all below it, sampled in a thread."""

    def __init__(self, pid):
        self.bytes, self.pid, self.over = 0, pid, threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *problem):
        self.over.set()
        self.thread.join()

    def _watch(self):
        while not self.over.wait(SAMPLE_SECONDS):
            self.bytes = max(self.bytes, sum(map(_pss_bytes, _tree(self.pid))))


def _tree(pid):
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.Error:
        return []


def _pss_bytes(process):
    try:
        return process.memory_full_info().pss
    except (psutil.Error, OSError):
        return 0


def _nbgrader(folder, notebook, exercise_id, texts):
    """Seconds of `nbgrader autograde` for these texts, without the making of the assignment, and of its start alone."""
    course = NbgraderCourse(folder / "nbgrader")
    course.assign(notebook)
    for student, text in texts.items():
        course.submit(student, school.filled(notebook, {school.name_of(exercise_id): text}))
    (_, start), (said, seconds) = _timed(course.run, "autograde", "--version"), _timed(course.autograde)
    graded = course.points()
    if len(graded) != len(texts):
        raise SystemExit(f"nbgrader graded {len(graded)} of {len(texts)}:\n{said[-2000:]}")
    return seconds, start


def _timed(call, *words):
    """What a call returned, and its seconds."""
    started = time.perf_counter()
    return call(*words, seconds=None), time.perf_counter() - started


if __name__ == "__main__":
    main()

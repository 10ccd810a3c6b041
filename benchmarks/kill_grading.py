"""What is lost when `course grade` is killed at random moments: `python benchmarks/kill_grading.py`.

A small class is graded once in peace. Then it is graded again and again into folders of their own, each time killed
with SIGKILL at a random moment and started anew until it comes to its end. Counted are grades that a later start did
not keep, grades that differ from the undisturbed ones, students that are missing or doubled, files that are not
whole, and processes that live 5 s after the grader.
"""

import argparse
import csv
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psutil

from course_utils.learn.paths import project_dir, write_atomically

sys.path.append(str(project_dir() / "tests"))

from hostile import school

RESULT = project_dir() / "benchmarks" / "results" / "kill_grading.json"
COURSE = str(Path(sys.executable).with_name("course"))
STUDENTS = 16
PATIENCE_SECONDS = 5
# Slow enough for a kill to strike among them, and each text its own.
SLOW = "import time\n\ntime.sleep({seconds})\nown_number = {number}\n"


@dataclass
class Count:
    """What went wrong."""

    kills: int = 0
    starts: int = 0
    kept: int = 0
    lost: int = 0
    changed: int = 0
    doubled: int = 0
    broken: int = 0
    orphans: int = 0
    problems: list = field(default_factory=list)


def main():
    """Kill, count, print and write the result."""
    options = _options()
    dice, count = random.Random(options.seed), Count()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        key_path = _class(folder, dice)
        peace = folder / "peace"
        peace.mkdir()
        started = time.monotonic()
        _start(key_path, peace).communicate()
        seconds, expected = time.monotonic() - started, _marks(peace)
        while count.kills < options.kills:
            storm(key_path, folder / f"storm{count.starts}", seconds, expected, dice, count)
            print(f"{count.kills} kills, {count.kept} grades kept, {count.lost} lost, {count.doubled} doubled")
    record = {
        "date": datetime.now(UTC).date().isoformat(),
        "cpu_count": len(os.sched_getaffinity(0)),
        "versions": {"python": sys.version.split()[0]},
        "seed": options.seed,
        "students": STUDENTS,
        "undisturbed_seconds": round(seconds, 1),
        **vars(count),
    }
    if options.kills >= 20:
        write_atomically(RESULT, json.dumps(record, indent=1) + "\n")
    print(json.dumps(record, indent=1))


def _options():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=20, help="fewer than 20 are not written to the results")
    parser.add_argument("--seed", type=int, default=9)
    return parser.parse_args()


def _class(folder, dice):
    key_path, notebook = school.release(folder)
    for number in range(STUDENTS):
        texts = dice.choice([school.right_texts, school.wrong_texts])()
        slow = SLOW.format(seconds=round(dice.uniform(0.05, 0.3), 3), number=number)
        texts = {name: f"{slow}\n\n{text}" for name, text in texts.items()}
        school.hand_in(folder / "submissions", f"student{number:02}", school.filled(notebook, texts))
    return key_path


def _start(key_path, out):
    words = [str(key_path.parent / "submissions"), "--key", str(key_path), "--out", str(out / "grades.csv")]
    command = [COURSE, "grade", *words, "--feedback", str(out / "feedback"), "--jobs", "2"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def storm(key_path, out, seconds, expected, dice, count):
    """One grading, killed and started anew until it comes to its end by itself."""
    out.mkdir()
    known = set()
    while True:
        grader = _start(key_path, out)
        count.starts += 1
        tree = _killed_at(grader, dice.uniform(0.1, 1.1 * seconds))
        said = grader.communicate()[0]
        _look_for_orphans(tree, count)
        if grader.returncode != -signal.SIGKILL:
            break
        count.kills += 1
        known = _look_into_the_journal(out, known, count)
    if grader.returncode:
        raise SystemExit(f"course grade ended with {grader.returncode}:\n{said[-2000:]}")
    kept = int((re.search(r"(\d+) kept", said) or ["0", "0"])[1])
    count.kept += kept
    _note(count, "lost", max(0, len(known) - kept), "grades of the journal were not kept")
    _compare(out, expected, count)


def _killed_at(grader, delay):
    """Kill the grader after `delay` seconds if it still runs; the processes that hung below it."""
    try:
        grader.wait(delay)
        return []
    except subprocess.TimeoutExpired:
        pass
    try:
        tree = psutil.Process(grader.pid).children(recursive=True)
    except psutil.Error:
        tree = []
    grader.kill()
    return tree


def _look_into_the_journal(out, before, count):
    """The grades that it holds after a kill; those of the kill before must still be there."""
    journal, results = out / "grades.journal", out / "grades.results.json"
    lines = journal.read_bytes().splitlines(keepends=True) if journal.exists() else []
    rows = [json.loads(line.partition(b" ")[2]) for line in lines if line.endswith(b"}\n")]
    places = [(row["exercise"], row["mark"]["run_sha256"]) for row in rows]
    _note(count, "doubled", len(places) - len(set(places)), "grades stand twice in the journal")
    if results.exists():  # killed after the end: the results hold them all
        _note(count, "broken", _is_broken(results), "results are not whole")
        return set()
    _note(count, "lost", len(before - set(places)), "grades left the journal")
    return set(places)


def _is_broken(path):
    try:
        json.loads(path.read_text())
    except ValueError:
        return 1
    return 0


def _compare(out, expected, count):
    """The results at the end must be those of the undisturbed grading, a row a student."""
    found = _marks(out)
    changed = [id for id in expected if found.get(id) != expected[id]]
    _note(count, "changed", len(changed), f"grades differ: {changed}")
    with open(out / "grades.csv", newline="", encoding="utf-8-sig") as file:
        ids = [row["id"] for row in csv.DictReader(file)]
    _note(count, "lost", len(set(expected) - set(ids)), "students are missing")
    _note(count, "doubled", len(ids) - len(set(ids)), "students stand twice in the grades")
    _note(count, "broken", len(list(out.rglob("*.part"))), "files were left half-written")


def _marks(out):
    """Student → exercise → mark, without the seconds, which no two gradings share."""
    records = json.loads((out / "grades.results.json").read_text())["records"]
    return {one["id"]: {id: {**mark, "seconds": None} for id, mark in one["marks"].items()} for one in records}


def _look_for_orphans(tree, count):
    _, left = psutil.wait_procs(tree, timeout=PATIENCE_SECONDS)
    _note(count, "orphans", len(left), f"processes live on: {[one.pid for one in left]}")
    for process in left:
        process.kill()


def _note(count, name, number, sentence):
    if number:
        setattr(count, name, getattr(count, name) + number)
        count.problems.append(f"{number} {sentence}")


if __name__ == "__main__":
    main()

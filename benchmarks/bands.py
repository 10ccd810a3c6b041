"""Run a lesson over several seeds and commit the range of each metric: `python benchmarks/bands.py week01`.

A lesson draws its own value in this band. One run with one seed says little about another:
other seeds mean other splits and other starting weights.
"""

import argparse
import json
import subprocess
from datetime import UTC, datetime

from course_utils.gpu.device import installed_version
from course_utils.learn import bands, catalog
from course_utils.learn.paths import project_dir, write_atomically
from course_utils.run.course import run_course

PACKAGES = ("numpy", "scikit-learn", "torch")


def main():
    """Measure one lesson in each profile and write its band file; a profile that is not measured now keeps its values."""
    options = _options()
    lesson = catalog.resolve(options.lesson)
    bands.FOLDER.mkdir(exist_ok=True)
    measured = {profile: measure(lesson, profile, options.seeds) for profile in options.profiles}
    path = bands.FOLDER / f"{lesson.id}.json"
    before = json.loads(path.read_text()) if path.exists() else {"profiles": {}}
    write_atomically(path, json.dumps(_record(lesson, measured, before), indent=1) + "\n")


def _options():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("lesson")
    parser.add_argument("--profiles", nargs="+", default=["smoke", "cpu"])
    parser.add_argument("--seeds", type=int, default=10)
    return parser.parse_args()


def measure(lesson, profile, seeds):
    """Each metric's values over seeds 0, 1, …, in that order."""
    values = {}
    for seed in range(seeds):
        folder = project_dir() / "runs" / "bands" / f"{lesson.id}-{profile}-{seed}"
        done = run_course([lesson], profile=profile, parameters={"SEED": seed}, report_dir=folder)
        if done.status != "passed":
            raise SystemExit(f"{lesson.id} failed with seed {seed}; see {folder}.")
        for name, metric in done.lessons[0].metrics.items():
            if not metric["machine"]:  # this machine's speed would say nothing about another's
                values.setdefault(name, []).append(metric["value"])
    return values


def _record(lesson, measured, before):
    kept = {name: values for name, values in before["profiles"].items() if name not in measured}
    origin = {name: before[name] for name in ("commit", "date") if name in before}
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
    return {
        "lesson": lesson.id,
        "commit": commit.stdout.strip(),
        "date": datetime.now(UTC).date().isoformat(),
        "versions": {name: installed_version(name) for name in PACKAGES},
        **({"kept": before.get("kept", {}) | dict.fromkeys(kept, origin)} if kept else {}),
        "profiles": measured | kept,
    }


if __name__ == "__main__":
    main()

"""How often the cases of a release misjudge: `python benchmarks/seeds.py [--seeds 300]`, some minutes.

Each release draws its own cases. Every right answer of tests/right_answers must pass whatever is drawn, and every
known mistake must get its own sentence. Prints the exceptions and writes results/seeds.json.
"""

import argparse
import json
import os
import runpy
import warnings
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime

from course_utils.learn import catalog
from course_utils.learn.check import examine
from course_utils.learn.paths import project_dir, write_atomically

RESULT = project_dir() / "benchmarks" / "results" / "seeds.json"


def main():
    """Judge every answer with every seed, a process for each core."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=300, help="how many draws of each exercise's cases")
    seeds = parser.parse_args().seeds
    os.environ["OMP_NUM_THREADS"] = "1"
    with ProcessPoolExecutor() as pool:
        counts = sum(pool.map(misjudged, range(seeds)), Counter())
    misjudgements = dict(sorted((name, count) for name, count in counts.items() if name not in ("right", "mistakes")))
    judged = {"right_answers": counts["right"], "known_mistakes": counts["mistakes"]}
    today = datetime.now(UTC).date().isoformat()
    result = json.dumps({"date": today, "seeds": seeds, "judged": judged, "misjudged": misjudgements}, indent=1)
    print(result)
    write_atomically(RESULT, result + "\n")


def misjudged(seed):
    """How many answers were judged with one seed, and the names of those that were judged wrongly."""
    warnings.simplefilter("ignore")
    found = Counter()
    for exercise in (one for lesson in catalog.lessons() for one in catalog.exercises_of(lesson.id).values()):
        for right in right_answers(exercise):
            found["right"] += 1
            if examine(exercise, given(exercise, right), seed).status != "passed":
                found[f"{exercise.id}: {right.__name__} is refused"] += 1
        for mistake in exercise.mistakes:
            found["mistakes"] += 1
            if examine(exercise, given(exercise, mistake.solution), seed).message != mistake.message:
                found[f"{exercise.id}: not told {mistake.message!r}"] += 1
    return found


def right_answers(exercise):
    """The functions of tests/right_answers for an exercise."""
    return runpy.run_path(str(project_dir() / "tests" / "right_answers" / f"{exercise.lesson}.py"))["RIGHT"][
        exercise.id
    ]


def given(exercise, solution):
    """What a learner hands to the check."""
    return solution() if exercise.value else solution


if __name__ == "__main__":
    main()

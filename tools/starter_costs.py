"""What lessons take before a machine has run them itself, from reports of real runs:

    python tools/starter_costs.py runs/2026-11-28_10-00-00/report.json …

writes course_utils/run/costs.json. Only lessons that passed and did not come from the cache count;
where two reports have the same lesson in the same profile, the later one on the command line counts.
The days of the runs and this machine's cores go with it, so it runs on the machine that made the reports;
`course syllabus` then says the same in the syllabus.
"""

import argparse
import json
from pathlib import Path

from course_utils.run import history, machine


def main(paths, target=history.STARTER):
    """Collect and write; the number of measured pairs of lesson and profile."""
    reports = [json.loads(Path(path).read_text()) for path in paths]
    costs = dict(pair for report in reports for pair in measured(report))
    dates = sorted({report["started"][:10] for report in reports})
    history.write(target, costs, dates=dates, cores=machine.usable_cores())
    return len(costs)


def measured(report):
    """Pairs ((lesson, profile), Cost) in a `report.json`."""
    for row in report["lessons"]:
        if row["status"] == "passed" and not row.get("from_cache"):
            yield (row["lesson"], row["profile"]), history.Cost(row["seconds"], row["peak_bytes"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reports", nargs="+", type=argparse.FileType(), metavar="report.json")
    files = [file.name for file in parser.parse_args().reports]
    print(f"{main(files)} lessons in a profile written to {history.STARTER}")

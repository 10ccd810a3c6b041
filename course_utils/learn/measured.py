"""The video memory that was measured: `benchmarks/gpu_contract.py` writes it, passports and syllabus read it here.

A passport names rows of the contract in `vram.measured`, such as `["sd15-1-plain", "sd15-4-plain"]`.
`python benchmarks/gpu_contract.py --list` shows them.
"""

import json

from course_utils.errors import CourseError
from course_utils.gpu.device import show_bytes
from course_utils.learn.paths import project_dir

FOLDER = project_dir() / "benchmarks" / "results"
KIND = "gpu contract"
NOT_YET = "not measured yet"
# Cards of one size on the box differ by a few per cent in what torch sees of them.
SAME_SIZE = 1.05


def measured_text(rows, folder=None):
    """The measured memory of a lesson for reading: the largest of its rows, with card, date and cap.

    `rows` are names or None. It is the newest result that has them all, as the whole process on the
    card, CUDA context included. A row that ran out of memory says so; "not measured yet" where no
    result has them all. Raises CourseError for a file in `folder` that is no JSON.
    """
    for result in results(folder or FOLDER):
        found = [record for record in result["rows"] if record["name"] in (rows or ())]
        usable = [record for record in found if record["status"] == "out of memory" or _bytes(record) is not None]
        if rows and len(usable) == len(set(rows)):
            return f"{_largest(usable)} ({_where(result)})"
    return NOT_YET


def results(folder):
    """The results of the contract from cards, newest first; those at toy size or from a CPU are no measurements."""
    read = [_read(path) for path in sorted(folder.glob("*.json"))]
    cards = [one for one in read if one.get("kind") == KIND and one["device"] == "cuda" and not one["tiny"]]
    return sorted(cards, key=lambda one: one["date"], reverse=True)


def _read(path):
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CourseError(f"{path.name} is not JSON ({error}). Restore it with `git checkout -- {path}`.") from error
    return content if isinstance(content, dict) else {}


def _bytes(record):
    # Where the driver hides processes (WSL2, containers), torch's cache and the context add up to the same.
    if record["status"] != "measured":
        return None
    if record["process_bytes"] is not None:
        return record["process_bytes"]
    parts = (record["reserved_bytes"], record["context_bytes"])
    return None if None in parts else sum(parts)


def _largest(records):
    if any(record["status"] == "out of memory" for record in records):
        return "out of memory"
    return show_bytes(max(map(_bytes, records)))


def _where(result):
    card = result["card"].removeprefix("NVIDIA ").removeprefix("GeForce ")
    cap = result["cap"]
    larger = cap and result["card_total_bytes"] > SAME_SIZE * cap["visible_bytes"]
    return f"{card}, {result['date'][:10]}" + (f", capped to {cap['nominal_gb']:g} GB" if larger else "")

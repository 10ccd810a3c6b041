"""Pairs of prediction and measurement, kept on this machine; only its own overhead, the CUDA context, is learned from them."""

import json
import os
from pathlib import Path
from statistics import median

from course_utils.errors import CourseError
from course_utils.gpu.plan.card import Context

KEPT = 20  # newest pairs of a card that the context is fitted to


def path():
    """The file in the learner's own folder; `COURSE_DATA_DIR` overrides the folder."""
    import platformdirs

    return Path(os.environ.get("COURSE_DATA_DIR") or platformdirs.user_data_path("course-utils")) / "plans.jsonl"


def append(pair, file=None):
    """Add a pair, a dictionary, as a line of the file."""
    file = Path(file or path())
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as out:
        out.write(json.dumps(pair) + "\n")


def read(file=None):
    """The pairs, oldest first; raises CourseError for a line that is not one."""
    file = Path(file or path())
    if not file.is_file():
        return []
    pairs = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        try:
            pairs.append(dict(json.loads(line)))
        except (ValueError, TypeError) as error:
            raise CourseError(
                f"Line {number} of {file} is damaged ({error}). Delete that line, or the file."
            ) from error
    return pairs


def context(file=None):
    """This machine's `Context`, the median over the newest measurements on a card, or None where there is none."""
    measured = [one["measured_context_bytes"] for one in read(file) if one.get("measured_context_bytes")]
    if not measured:
        return None
    newest = measured[-KEPT:]
    middle = int(median(newest))
    spread = max(abs(one - middle) for one in newest)
    return Context(middle, spread, f"measured here, {len(newest)} times")

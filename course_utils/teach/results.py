"""`NAME.results.json`: every mark of a class with its history, signed with the release's key."""

import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from course_utils.errors import CourseError
from course_utils.learn.paths import write_atomically
from course_utils.teach import marks
from course_utils.teach.key import signature
from course_utils.teach.marks import Mark

FORMAT = 1
_ADVICE = "Give the .results.json that lies beside the table."


@dataclass(frozen=True)
class Record:
    """A student's results; `marks` are by the exercise's id and empty where nothing could be graded.

    `handed_in` says how the submission stands to its deadline, `time` is ISO text or None, `problem` is why nothing
    was graded.
    """

    id: str
    name: str = ""
    email: str = ""
    lms_id: str = ""
    source: str = ""
    time: str | None = None
    handed_in: str = "n/a"
    problem: str = ""
    remarks: tuple[str, ...] = ()
    marks: Mapping[str, Mark] = field(default_factory=dict)

    @property
    def points(self):
        """The sum over all exercises."""
        return round(sum(mark.points for mark in self.marks.values()), 2)


@dataclass(frozen=True)
class Results:
    """A class in one round; `refused` are the files that were not graded as (student, file, reason).

    `history` holds what earlier gradings said and a later one changed, as plain data.
    """

    release: str
    name: str
    lesson: str
    round: int
    graded: str
    exercises: tuple[tuple[str, int], ...]
    versions: Mapping
    records: tuple[Record, ...]
    refused: tuple[tuple[str, str, str], ...] = ()
    history: tuple[Mapping, ...] = ()

    @property
    def max_points(self):
        """What a student can earn in all."""
        return sum(points for _, points in self.exercises)


def write(path, results, key):
    """Write the signed file."""
    content = as_data(results)
    content["signature"] = signature(key, _canonical(content))
    write_atomically(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def as_data(results):
    """The results as plain data, without a signature."""
    people = [
        {**vars(one), "marks": {id: marks.as_data(mark) for id, mark in one.marks.items()}} for one in results.records
    ]
    return json.loads(json.dumps({"format": FORMAT, **vars(results), "records": people}))


def read(path, key):
    """The `Results` in a file.

    Raises CourseError where it is no such file, where it belongs to another release, and where it was changed.
    """
    content = _load(path)
    if content.get("format") != FORMAT:
        raise CourseError(
            f"{path} is not a results file of `course grade`, or one of another version. Choose another --out."
        )
    if content.get("release") != key.release_id:
        raise CourseError(f"{path} belongs to another release. Choose another --out, or the key of that release.")
    if not is_valid(content, key):
        raise CourseError(f"{path} was changed after it was written. Restore it, or choose another --out.")
    return _parsed(content)


def _load(path):
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise CourseError(f"{path} cannot be read: {error.strerror}. {_ADVICE}") from None
    except (ValueError, RecursionError):
        raise CourseError(f"{path} is not a results file: it is not JSON. {_ADVICE}") from None
    return content if isinstance(content, dict) else {}


def is_valid(content, key):
    """Whether the plain data of a results file bears the right signature."""
    said = content.get("signature")
    unsigned = {name: value for name, value in content.items() if name != "signature"}
    right = signature(key, _canonical(unsigned))
    return isinstance(said, str) and hmac.compare_digest(said.encode("utf-8", "replace"), right.encode())


def _canonical(content):
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def _parsed(content):
    rows = [_record(row) for row in content["records"]]
    known = {name: content[name] for name in Results.__dataclass_fields__}
    return Results(
        **{
            **known,
            "records": tuple(rows),
            "exercises": tuple(map(tuple, content["exercises"])),
            "refused": tuple(map(tuple, content["refused"])),
            "history": tuple(content["history"]),
        }
    )


def _record(row):
    found = {id: marks.from_data(mark) for id, mark in row["marks"].items()}
    return Record(**{**row, "marks": found, "remarks": tuple(row["remarks"])})


def with_history(results, before):
    """The results with what changed since the earlier ones, `Results` or None, at the end of their history."""
    if before is None:
        return results
    old = {(one.id, id): mark for one in before.records for id, mark in one.marks.items()}
    new = {(one.id, id): mark for one in results.records for id, mark in one.marks.items()}
    pairs = {place: (old.get(place), new.get(place)) for place in {**old, **new}}
    changed = [
        _change(results, before, place, *pair) for place, pair in pairs.items() if _said(pair[0]) != _said(pair[1])
    ]
    return replace(results, history=(*before.history, *changed))


def _change(results, before, place, old, new):
    return {
        "date": results.graded,
        "student": place[0],
        "exercise": place[1],
        "old": _said(old) and {**_said(old), "round": before.round, "graded": before.graded},
        "new": _said(new) and {**_said(new), "round": results.round},
    }


def _said(mark):
    return mark and {"points": mark.points, "status": mark.status, "sha256": mark.sha256}


def verify(path, key):
    """Whether a results file is as `course grade` wrote it, and a sentence.

    Raises CourseError where it cannot be read.
    """
    content = _load(path)
    if content.get("format") != FORMAT:
        return False, f"{path} is not a results file of `course grade`, or one of another version. {_ADVICE}"
    if content.get("release") != key.release_id:
        return False, f"{path} belongs to another release than this key."
    if not is_valid(content, key):
        return False, f"{path} is NOT as `course grade` wrote it: the signature does not fit."
    count = len(content["records"])
    return (
        True,
        f"{path} is valid: {count} student{'' if count == 1 else 's'}, round {content['round']}, {content['graded']}.",
    )

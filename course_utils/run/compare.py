"""Two runs side by side: which lessons are slower, hungrier, gone, new, or end otherwise."""

import json
from dataclasses import asdict

from course_utils.errors import CourseError
from course_utils.run import show
from course_utils.run.report import SCHEMA

SLOWER = 1.5
SLOWER_SECONDS = 1.0
HUNGRIER = 1.05
RULE = (
    f"Slower means more than {SLOWER:g} times the seconds and at least {SLOWER_SECONDS:g} s more, hungrier more than "
    f"{100 * (HUNGRIER - 1):.0f} % more peak memory. Compared are lessons that passed in both runs in one profile, "
    "their times only where neither came from the cache."
)


def load(path):
    """A `report.json` as data.

    Raises CourseError where it cannot be read or holds no report of a run.
    """
    advice = "Give the report.json of an earlier run."
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CourseError(f"{path} cannot be read: {error.strerror}. {advice}") from None
    except ValueError as error:
        raise CourseError(f"{path} is not JSON ({error}). {advice}") from None
    if not _is_report(content):
        raise CourseError(f"{path} holds no report of a run. {advice}")
    if content["schema"] != SCHEMA:
        raise CourseError(
            f"{path} has schema {content['schema']}, not {SCHEMA}: another version of the course wrote it."
        )
    return content


def _is_report(content):
    rows = content.get("lessons") if isinstance(content, dict) else None
    return isinstance(rows, list) and "schema" in content and all(map(_is_row, rows))


def _is_row(row):
    numbers = (row.get("seconds"), row.get("peak_bytes")) if isinstance(row, dict) else ("",)
    plain = all(one is None or type(one) in (int, float) for one in numbers)
    return plain and isinstance(row.get("lesson"), str) and isinstance(row.get("status"), str)


def latest_before(report):
    """The newest report beside this one's folder, of a finished run in the same profile that began earlier; None without one."""
    paths = [path for path in report.folder.parent.glob("*/report.json") if path.parent != report.folder]
    newest_first = sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True)
    return next((old for path in newest_first if (old := _load_or_none(path)) and _is_earlier(old, report)), None)


def _load_or_none(path):
    try:
        return load(path)
    except CourseError:
        return None


def _is_earlier(old, report):
    finished = old.get("status") in ("passed", "failed") and isinstance(old.get("started"), str)
    return finished and old["started"] < report.started and old.get("profile") == report.profile


def differences(report, old):
    """What changed since `old`, a loaded `report.json`, as sentences by `RULE`: lessons in order, then new ones and those gone."""
    before = {row["lesson"]: row for row in old["lessons"]}
    rows = [asdict(row) for row in report.lessons]
    found = [text for row in rows if row["lesson"] in before for text in _changes(row, before[row["lesson"]])]
    new = [row["lesson"] for row in rows if row["lesson"] not in before]
    gone = [lesson for lesson in before if lesson not in {row["lesson"] for row in rows}]
    found += [f"New in this run: {', '.join(new)}."] if new else []
    return (*found, *([f"Not in this run: {', '.join(gone)}."] if gone else []))


def _changes(row, old):
    lesson = row["lesson"]
    if row["status"] != old["status"]:
        yield f"{lesson} {_ended(row)}; before, it {_ended(old)}."
    if not row["status"] == old["status"] == "passed":
        return
    if row["profile"] != old.get("profile"):
        yield f"{lesson} ran in profile {row['profile']}, before in {old.get('profile')}: not compared."
    else:
        yield from (*_slower(row, old), *_hungrier(row, old))


def _ended(row):
    words = {
        "timeout": "ran into its deadline",
        "stopped": "was stopped",
        "not run": "did not run",
        "running": "was killed",
    }
    return words.get(row["status"], row["status"])


def _slower(row, old):
    if row["from_cache"] or old.get("from_cache") or not (row["seconds"] and old["seconds"]):
        return
    factor = row["seconds"] / old["seconds"]
    if factor > SLOWER and row["seconds"] - old["seconds"] >= SLOWER_SECONDS:
        yield f"{row['lesson']} is slower: {row['seconds']:.1f} s, before {old['seconds']:.1f} s ({factor:.2f} times)."


def _hungrier(row, old):
    if not (row["peak_bytes"] and old["peak_bytes"]):
        return
    factor = row["peak_bytes"] / old["peak_bytes"]
    if factor > HUNGRIER:
        now, then = show.bytes_text(row["peak_bytes"]), show.bytes_text(old["peak_bytes"])
        yield f"{row['lesson']} takes more memory: {now}, before {then} (+{100 * (factor - 1):.0f} %)."

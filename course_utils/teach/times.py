"""When a submission came and how late that is; the times are the LMS's or the instructor's, never a file's."""

import re
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from course_utils.errors import CourseError
from course_utils.teach.archive import Unreadable

_SPAN = re.compile(r"\+(\d{1,4})([dh])")
_STAMP_BYTES = 200


def stamped(entry):
    """The time in nbgrader's `timestamp.txt`; None where it holds none."""
    try:
        text = entry.read()[:_STAMP_BYTES].decode().strip()
        moment, _, zone = text.rpartition(" ")
        return datetime.fromisoformat(moment).replace(tzinfo=ZoneInfo(zone))
    except (Unreadable, ValueError, KeyError, OSError):
        return None


def moment(text, zone=UTC):
    """An ISO time, in `zone` where it names none; a date alone means the end of that day.

    Raises ValueError for anything else.
    """
    found = datetime.fromisoformat(text.strip())
    if len(text.strip()) <= len("2026-12-24"):
        found = datetime.combine(found.date(), time(23, 59, 59))
    return found if found.tzinfo else found.replace(tzinfo=zone)


def extended(deadline, extension):
    """The deadline that holds with an extension: "+2d", "+12h" or a time of its own.

    Raises CourseError for any other text.
    """
    if not extension or deadline is None:
        return deadline
    if span := _SPAN.fullmatch(extension):
        return deadline + int(span[1]) * timedelta(**{"days" if span[2] == "d" else "hours": 1})
    try:
        return moment(extension, deadline.tzinfo)
    except ValueError:
        raise CourseError(
            f"The extension {extension!r} is neither a span such as +2d or +12h nor a time such as 2026-12-24T18:00."
        ) from None


def punctuality(deadline, came, late):
    """How a submission stands to its deadline, in words; `late` is true where the LMS says so without a time."""
    if deadline is None:
        return "no deadline"
    if came is None:
        return "late" if late else "n/a"
    return f"late by {_span(came - deadline)}" if came > deadline else "on time"


def _span(delta):
    minutes = max(1, round(delta.total_seconds() / 60))
    days, hours, minutes = minutes // 1440, minutes % 1440 // 60, minutes % 60
    parts = [(days, "d"), (hours, "h"), (minutes, "min")]
    return " ".join(f"{count} {unit}" for count, unit in parts if count)

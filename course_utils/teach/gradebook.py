"""The marks as tables: `grades.csv`, and the columns that Canvas and Moodle import."""

import csv
import io

from course_utils.errors import CourseError

GRADEBOOKS = ("canvas", "moodle")
_FORMULA = ("=", "+", "-", "@")  # what a spreadsheet takes for the start of a formula


def require_gradebook(name):
    """Raise CourseError for a gradebook that is not written here."""
    if name not in (None, *GRADEBOOKS):
        raise CourseError(f"There is no gradebook {name!r}. Choose {' or '.join(GRADEBOOKS)}.")


def inert(text):
    """Text in one line that no spreadsheet runs."""
    line = " ".join(text.split())
    return f"'{line}" if line.startswith(_FORMULA) else line


def grades(results):
    """`grades.csv`: a row a student, a column an exercise."""
    ids = [id for id, _ in results.exercises]
    head = ["id", "name", "email", *ids, "total", "max", "percent", "handed_in", "remarks", "problem"]
    return _table([head, *(_grades_row(results, record, ids) for record in results.records)])


def _grades_row(results, record, ids):
    points = [_number(record.marks[id].points) if id in record.marks else "" for id in ids]
    graded = bool(record.marks)
    return [
        *map(inert, (record.id, record.name, record.email)),
        *points,
        _number(record.points) if graded else "",
        _number(results.max_points),
        f"{100 * record.points / results.max_points:.1f}" if graded and results.max_points else "",
        record.handed_in,
        len(record.remarks),
        inert(record.problem),
    ]


def canvas(results):
    """What Canvas imports in its gradebook; the second row holds the points possible."""
    head = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", results.name]
    possible = ["    Points Possible", "", "", "", "", _number(results.max_points)]
    rows = [
        [*map(inert, (one.name, one.lms_id, "" if one.id == one.lms_id else one.id, one.email)), "", _total(one)]
        for one in results.records
    ]
    return _table([head, possible, *rows])


def moodle(results):
    """Moodle's offline grading worksheet; its import needs the columns Identifier, Grade and Last modified (grade)."""
    head = ["Identifier", "Full name", "Email address", "Grade", "Maximum grade", "Last modified (grade)"]
    rows = [
        [
            f"Participant {inert(one.lms_id)}" if one.lms_id else "",
            *map(inert, (one.name, one.email)),
            _total(one),
            _number(results.max_points),
            "-",
        ]
        for one in results.records
    ]
    return _table([head, *rows])


def _total(record):
    return _number(record.points) if record.marks else ""


def _number(value):
    return f"{value:g}"


def _table(rows):
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()

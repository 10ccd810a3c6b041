"""Who is in the class, who has an extension, and when submissions came, as the instructor's tables say."""

import csv
import io
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from course_utils.errors import CourseError
from course_utils.teach.times import extended, moment


@dataclass(frozen=True)
class Student:
    """A row of the roster; `deadline` is the one that holds for this student, None where the release has none."""

    id: str
    name: str = ""
    email: str = ""
    deadline: datetime | None = None


@dataclass(frozen=True)
class Roster:
    """The class; empty where no roster was given."""

    students: tuple[Student, ...] = ()

    def match(self, owner):
        """The `Student` whom a submission belongs to, and how surely: 3 by the id, 2 by the id but for capitals, 1 by
        the e-mail, 0 by a name that only one has; None without one."""
        wanted = owner.id.casefold()
        for surely, told in (
            (3, lambda one: one.id == owner.id),
            (2, lambda one: one.id.casefold() == wanted),
            (1, lambda one: wanted and one.email.casefold() == wanted),
        ):
            if found := next(filter(told, self.students), None):
                return found, surely
        named = [one for one in self.students if owner.name and _spellings(one.name) & _spellings(owner.name)]
        return (named[0], 0) if len(named) == 1 else (None, 0)


def _spellings(name):
    """A name as an LMS may join it: "Ana María Sol" is also anamaríasol and solanamaría."""
    words = "".join(one if one.isalnum() else " " for one in name.casefold()).split()
    return {"".join(words), "".join([*words[-1:], *words[:-1]])} if words else set()


def read_roster(path, deadline):
    """The `Roster` in a CSV file with the columns id and, where wanted, name, email and extension.

    Raises CourseError for a file that is no such table, an id that is missing or there twice, and an extension that is
    neither a span nor a time.
    """
    students = {}
    for number, row in _rows(path, "id", "name, email and extension"):
        id = row["id"]
        if not id or id.casefold() in students:
            raise CourseError(f"Line {number} of {path} {'repeats the id ' + id if id else 'has no id'}. Correct it.")
        try:
            own = extended(deadline, row.get("extension", ""))
        except CourseError as error:
            raise CourseError(f"Line {number} of {path}: {error}") from None
        students[id.casefold()] = Student(id, row.get("name", ""), row.get("email", ""), own)
    return Roster(tuple(students.values()))


def read_times(path, zone):
    """Id in lower case → the time of the submission, from a CSV file with the columns id and time.

    Raises CourseError for a file that is no such table, and for a time that is none.
    """
    times = {}
    for number, row in _rows(path, "id", "time"):
        try:
            times[row["id"].casefold()] = moment(row.get("time", ""), zone)
        except ValueError:
            raise CourseError(
                f"Line {number} of {path} has the time {row.get('time', '')!r}. Write it as 2026-12-24T18:00+01:00."
            ) from None
    return times


def _rows(path, needed, others):
    """(line number, row) of a CSV file whose columns are known by their names in small letters."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise CourseError(f"{path} cannot be read: {error.strerror}. Give the path of a CSV file.") from None
    except UnicodeDecodeError:
        raise CourseError(f"{path} is not in UTF-8. Save it as “CSV UTF-8”.") from None
    head = text.partition("\n")[0]
    reader = csv.DictReader(io.StringIO(text), delimiter=";" if head.count(";") > head.count(",") else ",")
    columns = [(name or "").strip().lower() for name in reader.fieldnames or []]
    if needed not in columns:
        raise CourseError(f"{path} has no column {needed!r}. Its first line names the columns: {needed}, {others}.")
    reader.fieldnames = columns
    try:
        rows = [(reader.line_num, row) for row in reader if any(row.values())]
    except csv.Error as error:
        raise CourseError(f"Line {reader.line_num + 1} of {path} is no row of a table: {error}. Correct it.") from None
    for number, row in rows:
        yield number, {name: (value or "").strip() for name, value in row.items() if isinstance(name, str)}

"""Question–answer pairs of the learner's own, read from CSV or JSONL and checked, and as a chat for training.

A CSV file has a header with the columns `question` and `answer` (others are ignored); a JSONL file has one JSON
object a line with these two keys. Both are UTF-8, with or without a byte order mark.
"""

import csv
import io
import json
import re
from dataclasses import dataclass
from pathlib import Path

from course_utils.errors import CourseError

SYSTEM = "You answer briefly about a 12 GB graphics card and this course."
COLUMNS = ("question", "answer")
LONGEST = 2_000  # characters of a question or an answer: a training block has room for a few hundred tokens
_KINDS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_EXAMPLE = '{"question": "…", "answer": "…"}'


@dataclass(frozen=True)
class Pair:
    """A question and the answer to train on; `line` is where it starts in its file, counted from 1."""

    question: str
    answer: str
    line: int | None = None


def conversation(pair, system=SYSTEM):
    """The pair as chat messages for a tokenizer's template: a list of dicts with `role` and `content`.

    The last message is the answer: leave it out (`[:-1]`) to ask the question. Anything with `.question` and
    `.answer` serves, a `Fact` too. With `system=None` there is no system message.
    """
    head = [] if system is None else [{"role": "system", "content": system}]
    return [*head, {"role": "user", "content": pair.question}, {"role": "assistant", "content": pair.answer}]


def read_pairs(path, longest=LONGEST):
    """The pairs of a `.csv` or `.jsonl` file, as a tuple of `Pair` in the file's order; `longest` in characters.

    Raises CourseError for the first thing that is wrong, with its line: a file that is missing, of another kind, not
    UTF-8 or empty; a missing column; an empty, duplicate or too long entry; a line that is not such a JSON object.
    """
    path = Path(path)
    kind = _KINDS.get(path.suffix.lower())
    if kind is None:
        raise CourseError(
            f"{path.name} ends in {path.suffix or 'nothing'!r}; pairs are read from .csv or .jsonl. "
            "Save it as one of these, with a question and an answer in each row."
        )
    rows = (_csv_rows if kind == "csv" else _jsonl_rows)(path.name, _text(path))
    pairs = _checked(path.name, rows, longest)
    if not pairs:
        raise CourseError(f"{path.name} holds no pairs. Add rows with a question and an answer, then run this again.")
    return pairs


def _text(path):
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise CourseError(
            f"There is no file {str(path)!r}, seen from {Path.cwd().name}/. Check the name, or give the whole path."
        ) from error
    except OSError as error:
        raise CourseError(f"{path.name} cannot be read: {error.strerror}. Give the path of a file.") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CourseError(_not_utf8(path.name, data, error)) from error


def _not_utf8(name, data, error):
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return f"{name} is UTF-16. Save it as UTF-8 (in Excel: CSV UTF-8) and run this again."
    line = data.count(b"\n", 0, error.start) + 1
    return (
        f"{name}, line {line}: byte 0x{data[error.start]:02x} is not UTF-8. "
        "Save the file as UTF-8 (in Excel: CSV UTF-8) and run this again."
    )


def _csv_rows(name, text):
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header = _header(name, text, reader)
    places = [header.index(column) for column in COLUMNS]
    start = reader.line_num + 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield start, _cells(name, start, cells, header, places)
            start = reader.line_num + 1
    except csv.Error as error:
        raise CourseError(
            f"{name}, line {start}: this row is not valid CSV ({error}). "
            'Put a text that holds a comma or a quote in double quotes, and write a quote inside it as "".'
        ) from error


def _header(name, text, reader):
    try:
        header = [cell.strip().lower() for cell in next(reader, [])]
    except csv.Error as error:
        raise CourseError(f"{name}, line 1: this is not valid CSV ({error}). Write: question,answer") from error
    missing = [column for column in COLUMNS if column not in header]
    if not missing:
        return header
    first = text.partition("\n")[0]
    separator = next((sign for sign in ";\t" if sign in first and len(header) == 1), None)
    if separator:
        raise CourseError(
            f"{name}, line 1: the columns are separated by {separator!r}; a comma is needed. "
            "Save the file with commas, or save it as .jsonl."
        )
    raise CourseError(
        f"{name}, line 1: there is no column {missing[0]!r}, only {', '.join(map(repr, header)) or 'nothing'}. "
        "The first line names the columns. Write: question,answer"
    )


def _cells(name, line, cells, header, places):
    if len(cells) != len(header):
        raise CourseError(
            f"{name}, line {line}: this row has {len(cells)} cells, and the header has {len(header)}. "
            "Put a text that holds a comma in double quotes."
        )
    return tuple(cells[place] for place in places)


def _jsonl_rows(name, text):
    for line, row in enumerate(re.split(r"\r\n|\n|\r", text), start=1):  # splitlines() also cuts at U+2028
        if row.strip():
            yield line, _object(name, line, row)


def _object(name, line, row):
    try:
        found = json.loads(row)
    except json.JSONDecodeError as error:
        raise CourseError(
            f"{name}, line {line}, character {error.colno}: this is not JSON ({error.msg}). "
            f"Write one object a line, such as {_EXAMPLE}"
        ) from error
    if not isinstance(found, dict):
        raise CourseError(
            f"{name}, line {line}: this is a JSON {type(found).__name__}, not an object. Write {_EXAMPLE}"
        )
    missing = [column for column in COLUMNS if column not in found]
    if missing:
        has = ", ".join(map(repr, found)) or "no key"
        raise CourseError(f"{name}, line {line}: there is no {missing[0]!r}, only {has}. Write {_EXAMPLE}")
    wrong = next((column for column in COLUMNS if not isinstance(found[column], str)), None)
    if wrong:
        raise CourseError(
            f"{name}, line {line}: {wrong} is {json.dumps(found[wrong])[:40]}, which is no text. "
            f"Put it in double quotes, as in {_EXAMPLE}"
        )
    return tuple(found[column] for column in COLUMNS)


def _checked(name, rows, longest):
    pairs, seen = [], {}
    for line, cells in rows:
        question, answer = (cell.strip() for cell in cells)
        for column, cell in zip(COLUMNS, (question, answer), strict=True):
            _sized(name, line, column, cell, longest)
        key = " ".join(question.casefold().split())
        if key in seen:
            raise CourseError(
                f"{name}, line {line}: the question {question[:60]!r} stands in line {seen[key]} already. "
                "Each question is allowed once: delete or reword one of them."
            )
        seen[key] = line
        pairs.append(Pair(question, answer, line))
    return tuple(pairs)


def _sized(name, line, column, cell, longest):
    if not cell:
        raise CourseError(f"{name}, line {line}: the {column} is empty. Fill it in, or delete the row.")
    if len(cell) > longest:
        raise CourseError(
            f"{name}, line {line}: the {column} has {len(cell):,} characters; at most {longest:,} are allowed. "
            f"Shorten it, split it into several pairs, or call read_pairs(path, longest={len(cell)})."
        )

"""Takes a student's attempts out of a notebook: text, and nothing else of it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from course_utils.run.notebook import source

MOST_CHARACTERS = 100_000
_FREE = {"kernelspec", "language_info", "widgets", "toc", "colab", "vscode"}  # what editors write by themselves


@dataclass(frozen=True)
class Taken:
    """The attempts' text by the exercise's id, None for a missing one, and what was found changed, in sentences."""

    texts: Mapping[str, str | None]
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Release:
    """The instructor's copy, and what identifies its cells."""

    key: object

    @cached_property
    def cells(self):
        """The cells by their ids."""
        return {cell["id"]: cell for cell in self.key.notebook["cells"]}

    @cached_property
    def grade_ids(self):
        """nbgrader's name of each attempt's cell, by the exercise's id."""
        return {one.id: _grade_id(self.cells[one.cell]) for one in self.key.exercises}


def take(release, notebook):
    """What to grade of a submission's plain data, which may be anything that JSON can hold."""
    code = [cell for cell in notebook["cells"] if cell.get("cell_type") == "code"]
    texts, remarks = {}, []
    for assigned in release.key.exercises:
        text, said = _attempt(release, assigned, code)
        texts[assigned.id] = text
        remarks += said
    return Taken(texts, (*remarks, *_changes(release, notebook)))


def _attempt(release, assigned, code):
    """The attempt's text or None, and remarks."""
    others = [cell for cell in code if _id(cell) not in release.cells and _defines(assigned.name, cell)]
    own = [cell for cell in code if _id(cell) == assigned.cell]
    said = [f"{assigned.id}: {len(own)} cells have the attempt's id; the first counts."] if len(own) > 1 else []
    if own and (_defines(assigned.name, own[0]) or not others):
        if others:
            said.append(f"{assigned.id}: another cell defines `{assigned.name}` too; the attempt's own cell counts.")
        return _clean(assigned, _text(own[0]), said)
    by_grade_id = [cell for cell in code if release.grade_ids[assigned.id] and _is_named(release, assigned, cell)]
    found = by_grade_id or others[-1:]
    if not found:
        return None, [*said, f"{assigned.id}: there is no cell with the attempt."]
    said.append(f"{assigned.id}: the attempt was found by its name, not by its cell's id.")
    return _clean(assigned, _text(found[0]), said)


def _is_named(release, assigned, cell):
    return _grade_id(cell) == release.grade_ids[assigned.id]


def _clean(assigned, text, said):
    if len(text) > MOST_CHARACTERS:
        return None, [*said, f"{assigned.id}: the attempt is longer than {MOST_CHARACTERS:,} characters."]
    text = _outdented(text)
    plain = without_magics(text)
    if plain != text:
        said = [*said, f"{assigned.id}: lines that begin with % or ! were left out."]
    return plain, said


def _outdented(text):
    """The text without the indentation of its first line, which a notebook takes off every line too."""
    start = re.match(r"[ \t]+(?=[^\s])", text)
    return re.sub(f"^{start[0]}", "", text, flags=re.MULTILINE) if start else text


_MAGIC = r"(?P<dent>[ \t]*)(?:%{1,2}[A-Za-z][^\n]*|[!?][^\n]*|[\w.]+\?{1,2}[ \t]*(?=\n|\Z))"
# Strings and comments come before brackets: what is in them is neither a magic nor a bracket.
_PIECE = re.compile(
    rf"(?P<magic>^{_MAGIC})"
    r"""|"{3}.*?"{3}|'{3}.*?'{3}|"(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?|\#[^\n]*|(?P<bracket>[()\[\]{}])""",
    re.MULTILINE | re.DOTALL,
)


def without_magics(text):
    """The code with `pass` for what only IPython understands, so that the lines keep their numbers."""
    depth = 0  # a line in brackets may go on with the operator %

    def replaced(piece):
        nonlocal depth
        if piece["magic"] and depth <= 0:
            return f"{piece['dent']}pass"
        if piece["magic"] or piece["bracket"]:
            depth += sum(map(piece[0].count, "([{")) - sum(map(piece[0].count, ")]}"))
        return piece[0]

    return _PIECE.sub(replaced, text)


def _changes(release, notebook):
    """What a submission changed beside its attempts."""
    attempts = {one.cell for one in release.key.exercises}
    seen = [cell for cell in notebook["cells"] if _id(cell) in release.cells and _id(cell) not in attempts]
    altered = [_id(cell) for cell in seen if _text(cell) != source(release.cells[_id(cell)])]
    checks = {one.check_cell: one.id for one in release.key.exercises}
    yield from (f"{checks[id]}: its check was changed." for id in dict.fromkeys(altered) if id in checks)
    yield from _counted(sum(_locked(release.cells[id]) for id in altered if id not in checks), "locked", "changed")
    yield from _counted(sum(not _locked(release.cells[id]) for id in altered if id not in checks), "other", "changed")
    yield from _counted(len(release.cells.keys() - attempts - set(map(_id, notebook["cells"]))), "", "removed")
    yield from _counted(sum(_id(cell) not in release.cells for cell in notebook["cells"]), "", "added, and not run")
    if _metadata(notebook) != _metadata(release.key.notebook):
        yield "The notebook's metadata was changed."
    if any(
        _marks(cell) != _marks(release.cells[_id(cell)]) for cell in notebook["cells"] if _id(cell) in release.cells
    ):
        yield "Points or locks in the cells' metadata were changed."


def _counted(count, kind, what):
    if count:
        yield " ".join(filter(None, (str(count), kind, "cell was" if count == 1 else "cells were", f"{what}.")))


def _metadata(notebook):
    """The notebook's metadata that editors leave alone and that all students have alike."""
    kept = {name: value for name, value in notebook["metadata"].items() if name not in _FREE}
    course = {name: value for name, value in kept["course"].items() if name != "variant"}
    return {**kept, "course": course}


def _marks(cell):
    metadata = cell.get("metadata")
    return metadata.get("nbgrader") if isinstance(metadata, dict) else None


def _locked(cell):
    marks = _marks(cell)
    return bool(marks.get("locked")) if isinstance(marks, dict) else False


def _grade_id(cell):
    marks = _marks(cell)
    return marks.get("grade_id") if isinstance(marks, dict) else None


def _id(cell):
    id = cell.get("id")
    return id if isinstance(id, str) else None


def _text(cell):
    """A cell's source, whatever JSON holds in its place; text that UTF-8 cannot write is replaced."""
    text = cell.get("source")
    if isinstance(text, list):
        text = "".join(line for line in text if isinstance(line, str))
    return text.encode("utf-8", "replace").decode() if isinstance(text, str) else ""


def _defines(name, cell):
    # A pattern, since Python's parser may take hostile text badly.
    start = re.escape(name)
    return bool(re.search(rf"^(?:(?:async )?def {start}\b|class {start}\b|{start}\s*[=:])", _text(cell), re.MULTILINE))

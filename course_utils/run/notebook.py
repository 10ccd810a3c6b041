"""Read a lesson's notebook before it runs: its parameters, its title, whether it wants the GPU."""

import ast
import json
import math
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from course_utils.errors import CourseError

_PLAIN = (str, int, float, bool, type(None))


@dataclass(frozen=True)
class Notebook:
    """What the runner must know of a notebook; `parameters` are the names assigned in its `parameters` cell.

    `lesson` names its row in a report. `label` says how its exercises are filled in, see `modes`; `origin` is the
    lesson's own id where a mode makes several runs of one lesson.
    """

    lesson: str
    path: Path
    title: str
    uses_gpu: bool
    parameters: tuple[str, ...]
    builds_on: tuple[str, ...] = ()
    label: str = "blank"
    origin: str | None = None

    @property
    def copy_name(self):
        """File name of the executed copy."""
        return self.path.name if self.origin in (None, self.lesson) else f"{self.lesson}.ipynb"


def read(lesson):
    """The `Notebook` of a `LessonFile`.

    Raises CourseError where the file is no notebook, or has no cell tagged `parameters`.
    """
    content = load(lesson.path)
    course = content["metadata"].get("course") or {}
    return Notebook(
        lesson=lesson.id,
        path=lesson.path,
        title=str(course.get("title") or lesson.id),
        uses_gpu=bool(course.get("gpu")),
        parameters=_parameters(lesson.path.name, content["cells"]),
        builds_on=_names(lesson.path.name, course.get("builds_on") or []),
    )


def _names(name, value):
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return tuple(dict.fromkeys(value))
    raise CourseError(
        f'`course.builds_on` in the metadata of {name} is {value!r}. Write a list of lessons, such as ["week03"].'
    )


def source(cell):
    """A cell's source as one string; the file format also allows a list of lines."""
    text = cell.get("source", "")
    return text if isinstance(text, str) else "".join(text)


def tags(cell):
    """A cell's tags."""
    return (cell.get("metadata") or {}).get("tags") or []


def place(cells, index):
    """Where a cell is: `cell` counts the lesson's code cells as JupyterLab's `In [n]` does, `prompt` the copy's.

    They differ by one after parameters were injected. `total` is the number of the lesson's code cells.
    """
    ran, every = run_cells(cells[: index + 1]), run_cells(cells)
    return {"cell": _own(ran), "prompt": len(ran), "source": source(cells[index]), "total": _own(every)}


def run_cells(cells):
    """The cells that a run gives a number to: code that is not blank."""
    return [one for one in cells if one.get("cell_type") == "code" and source(one).strip()]


def _own(cells):
    return sum("injected-parameters" not in tags(one) for one in cells)


def load(path):
    """The notebook file as plain data; CourseError where it is no notebook."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CourseError(f"{path} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise CourseError(
            f"{path.name} is not a notebook: it is not JSON ({error}). Restore it with `git checkout`."
        ) from None
    if not is_notebook(content):
        raise CourseError(f"{path.name} is not a notebook of format 4. Open it in JupyterLab and save it.")
    return content


def is_notebook(content):
    """Whether plain data is a notebook of format 4."""
    return (
        isinstance(content, dict)
        and content.get("nbformat") == 4
        and isinstance(content.get("metadata"), dict)
        and isinstance(content.get("cells"), list)
        and all(isinstance(cell, dict) for cell in content["cells"])
    )


def _parameters(name, cells):
    for cell in cells:
        if "parameters" in tags(cell):
            return _assigned(name, source(cell))
    raise CourseError(
        f"{name} has no cell tagged 'parameters'. Add one with PROFILE = \"auto\" and tag it in JupyterLab."
    )


def _assigned(name, code):
    try:
        statements = ast.parse(code).body
    except SyntaxError as error:
        raise CourseError(
            f"The parameters cell of {name} is not plain Python: {error.msg}, line {error.lineno}."
        ) from None
    targets = [
        target
        for statement in statements
        if isinstance(statement, ast.Assign | ast.AnnAssign)
        for target in (statement.targets if isinstance(statement, ast.Assign) else [statement.target])
    ]
    return tuple(dict.fromkeys(target.id for target in targets if isinstance(target, ast.Name)))


def parse_parameters(pairs):
    """A dict from `name=value` strings; a value is read as a Python or JSON literal, else taken as text.

    Raises CourseError for a pair without `=` or without a name.
    """
    parameters = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name.isidentifier():
            raise CourseError(f"{pair!r} is not a parameter. Write it as name=value, for example -p epochs=3.")
        parameters[name] = _value(text)
    return parameters


def _value(text):
    for parse in (ast.literal_eval, json.loads):
        try:
            value = parse(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
        if _is_plain(value):
            return value
    return text


def _is_plain(value):
    """Whether a notebook can be given this value: JSON's types only, so no set, bytes, complex or infinite number."""
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(one) for key, one in value.items())
    return isinstance(value, _PLAIN) and not (isinstance(value, float) and not math.isfinite(value))


def check_parameters(notebook, parameters):
    """Raise CourseError for a parameter that the notebook does not have, naming those it has."""
    for name in parameters:
        if name not in notebook.parameters:
            near = get_close_matches(name, notebook.parameters, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            known = ", ".join(notebook.parameters) or "none"
            raise CourseError(f"{notebook.lesson} has no parameter {name!r}; it has {known}.{hint}")


def code_cell(id, text):
    """A new code cell as plain data."""
    return {"cell_type": "code", "execution_count": None, "id": id, "metadata": {}, "outputs": [], "source": text}


def markdown_cell(id, text):
    """A new markdown cell as plain data."""
    return {"cell_type": "markdown", "id": id, "metadata": {}, "source": text}

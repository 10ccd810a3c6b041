"""What a builder of a hostile submission is given, and the few steps that most of them share."""

import copy
import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

ATTACKED = "my_softmax_gradient"


@dataclass(frozen=True)
class Scene:
    """`notebook` is the release with an honest, wrong answer to each exercise, as plain data: copy before changing.

    `submissions` is the folder to be graded, `honest` the name of a student in it, and `secret` a file outside of it.
    """

    submissions: Path
    notebook: dict
    honest: str
    secret: Path

    def copy(self):
        """The notebook to change."""
        return copy.deepcopy(self.notebook)

    def folder(self, name):
        """A student's own folder."""
        made = self.submissions / name
        made.mkdir()
        return made

    def save(self, name, notebook):
        """Hand in a notebook, given as plain data or as text."""
        text = notebook if isinstance(notebook, str) else json.dumps(notebook)
        (self.folder(name) / "lab.ipynb").write_text(text, encoding="utf-8", errors="surrogatepass")

    def zip(self, name, members):
        """Hand in a zip whose members are given as (name or ZipInfo, bytes or text)."""
        (self.submissions / f"{name}.zip").write_bytes(zipped(members))


def zipped(members):
    """The bytes of a zip with these members."""
    room = io.BytesIO()
    with zipfile.ZipFile(room, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return room.getvalue()


def attempt_cell(notebook, name=ATTACKED):
    """The cell that defines the attempt of this name."""
    return next(cell for cell in notebook["cells"] if defines(text_of(cell), name))


def defines(text, name):
    """Whether this text of a cell defines or assigns the name at its left margin."""
    return any(line.startswith((f"def {name}(", f"{name} =")) for line in text.splitlines())


def text_of(cell):
    """A cell's source as one text."""
    return cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])


def code_cell(text, id="feedbeef", **metadata):
    """A code cell as plain data."""
    facts = {"id": id, "metadata": metadata, "outputs": [], "execution_count": None}
    return {"cell_type": "code", "source": text, **facts}

"""Made-up notebooks for the runner's tests, and a look at what a run left alive."""

import os
import time
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from course_utils.learn.catalog import lesson_of

PARAMETERS = 'PROFILE = "auto"\nepochs = 1\nrate = 0.1\nname = "x"\nflag = False\nlayers = [1]'
MARKER = "COURSE_TEST_MARKER"
FOR_EVER = "import time\ntime.sleep(1000)"
SPAWN = """
import os, subprocess, time
from pathlib import Path
subprocess.Popen(["sleep", "1000"], start_new_session=True)
subprocess.run("setsid sh -c 'sleep 1000 >/dev/null 2>&1 &'", shell=True)
Path(os.environ["COURSE_TEST_READY"]).touch()
"""


def write(folder, stem, *cells, parameters=PARAMETERS, **course):
    """A notebook file with these code cells, as a `LessonFile`; `course` goes into its metadata."""
    tagged = [new_code_cell(parameters, metadata={"tags": ["parameters"]})] if parameters else []
    notebook = new_notebook(cells=[new_markdown_cell("# Made up"), *tagged, *map(new_code_cell, cells)])
    notebook.metadata["course"] = course
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stem}.ipynb"
    nbformat.write(notebook, path)
    return lesson_of(path)


def printed(copy):
    """What the cells of an executed copy printed, one string a code cell."""
    cells = [cell for cell in nbformat.read(copy, 4).cells if cell.cell_type == "code"]
    return ["".join(one.get("text", "") for one in cell.outputs) for cell in cells]


def alive(marker):
    """Ids of the running processes that were started with this marker in their environment."""
    return [int(folder.name) for folder in Path("/proc").glob("[0-9]*") if _has(folder, marker)]


def _has(folder, marker):
    try:
        zombie = (folder / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
        return not zombie and f"{MARKER}={marker}".encode() in (folder / "environ").read_bytes().split(b"\0")
    except OSError:
        return False


def wait_until(condition, seconds):
    """Whether the condition came true within so many seconds."""
    deadline = time.monotonic() + seconds
    while not (reached := condition()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return bool(reached)


def environment(marker, ready):
    """The variables that `SPAWN` and `alive` need, on top of this process's."""
    return os.environ | {MARKER: marker, "COURSE_TEST_READY": str(ready)}

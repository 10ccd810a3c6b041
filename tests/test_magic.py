"""The cell magic %%vram: its options, and real cells in IPython and in papermill."""

import json
import re
import subprocess
import sys

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from course_utils.errors import CourseError
from course_utils.gpu.monitor import magic


@pytest.mark.parametrize(
    "line, found",
    [
        ("", ("this cell", None)),
        ("training", ("training", None)),
        ("two words", ("two words", None)),
        ("--budget 11.7 training", ("training", 11.7)),
        ("training --budget=8", ("training", 8.0)),
        ('"it\'s quoted"', ("it's quoted", None)),
    ],
)
def test_label_and_budget_are_read(line, found):
    assert magic.options(line) == found


@pytest.mark.parametrize(
    "line, words",
    [
        ("--budget lots x", "--budget takes a number of GiB, not lots. Write %%vram"),
        ("x --budget", "--budget takes a number of GiB, not nothing"),
        ("--bugdet 3", "%%vram has no option --bugdet. Write %%vram"),
        ("it's", "No closing quotation"),
    ],
)
def test_a_wrong_option_is_named_with_the_right_form(line, words):
    with pytest.raises(CourseError) as caught:
        magic.options(line)
    assert words in str(caught.value)


CELLS = [
    "import course_utils.gpu.monitor.magic, IPython\ncourse_utils.gpu.monitor.magic.install(IPython.get_ipython())",
    """%%vram --budget 1 big arrays

import time
small = bytearray(20 << 20)
time.sleep(0.1)
large = bytearray(200 << 20)
time.sleep(2)  # a busy machine samples less often
del large
def double(x):
    return 2 * x
double(len(small) >> 20)""",
    "double(21)",
    "%%vram\ndouble(4);",
    "%%vram --budget x\n1",
    "%%vram failing\n\nx = 1\nx / 0",
    "x",
    "%%vram --budget -2\n1",
]


@pytest.fixture(scope="module")
def outputs():
    """What each of CELLS left, run one after the other by a real kernel that goes on after errors."""
    from nbclient import NotebookClient

    notebook = new_notebook(cells=[new_code_cell(source) for source in CELLS])
    NotebookClient(notebook, allow_errors=True, kernel_name="python3").execute()
    return [json.loads(json.dumps(cell.outputs)) for cell in notebook.cells]


def text(cell_outputs):
    return "".join(one.get("text", "") or one.get("data", {}).get("text/plain", "") for one in cell_outputs)


@pytest.mark.slow
def test_a_cell_shows_its_peak_the_line_of_it_and_its_last_value(outputs):
    assert "big arrays: RAM peak" in text(outputs[1])
    assert "peak at line 6 of this cell" in text(outputs[1]) or "peak at line 7 of this cell" in text(outputs[1])
    assert "within the budget of 1.00 GiB (given)" in text(outputs[1])
    shown = [one for one in outputs[1] if one["output_type"] == "execute_result"]
    assert [one["data"]["text/plain"] for one in shown] == ["40"]


@pytest.mark.slow
def test_the_cells_names_stay_and_a_semicolon_hides_the_value(outputs):
    assert text(outputs[2]) == "42"
    assert [one["output_type"] for one in outputs[3]] == ["stream"]


@pytest.mark.slow
@pytest.mark.parametrize("cell, words", [(4, "--budget takes a number"), (7, "must be a positive number of GiB")])
def test_wrong_use_is_one_sentence_without_a_traceback(outputs, cell, words):
    assert [one["output_type"] for one in outputs[cell]] == ["stream"]
    assert words in text(outputs[cell]) and "Traceback" not in text(outputs[cell])
    assert text(outputs[cell]).count("\n") == 1


@pytest.mark.slow
def test_an_error_in_the_cell_is_an_ordinary_error_at_its_own_line(outputs):
    error = next(one for one in outputs[5] if one["output_type"] == "error")
    trace = "\n".join(error["traceback"])
    assert (error["ename"], error["evalue"]) == ("ZeroDivisionError", "division by zero")
    assert "failing: RAM peak" in text(outputs[5])
    assert "line 4" in plain(trace) and "track.py" not in trace and "magic.py" not in trace
    assert text(outputs[6]) == "1"


def plain(trace):
    return re.sub(r"\x1b\[[0-9;]*m", "", trace)


def run_papermill(tmp_path, source):
    path = tmp_path / "notebook.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell(one) for one in (CELLS[0], source)]), path)
    command = [sys.executable, "-m", "papermill", "--kernel", "python3", str(path), str(tmp_path / "out.ipynb")]
    return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)


@pytest.mark.slow
def test_papermill_runs_it_and_stops_at_an_error(tmp_path):
    assert run_papermill(tmp_path, "%%vram\n1 + 1").returncode == 0
    failed = run_papermill(tmp_path, "%%vram\n1 / 0")
    assert failed.returncode != 0 and "ZeroDivisionError" in failed.stderr


@pytest.mark.slow
def test_papermill_stops_at_wrong_options_too(tmp_path):
    assert run_papermill(tmp_path, "%%vram --bugdet 3\n1").returncode != 0


@pytest.mark.slow
def test_track_in_a_cell_prints_once_and_names_the_line(tmp_path):
    cell = "import time\nfrom course_utils.gpu.monitor.track import track\nwith track('mine') as m:\n    a = bytearray(200 << 20)\n    time.sleep(0.2)"
    assert run_papermill(tmp_path, cell).returncode == 0
    shown = text(nbformat.read(tmp_path / "out.ipynb", 4).cells[1].outputs)
    assert shown.count("mine: RAM peak") == 1
    assert "peak at line 4 of this cell" in shown or "peak at line 5 of this cell" in shown

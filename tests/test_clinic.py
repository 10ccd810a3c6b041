"""`%%capped`: a cell in a process with little memory, whose out-of-memory error is the expected result."""

import os
import re
import subprocess
import time

import pytest

from course_utils.errors import CourseError
from course_utils.gpu.device import GIB
from course_utils.gpu.oom import clinic, oom

slow = pytest.mark.slow
STEP = """%%capped 0.75
import torch
from torch import nn

model = nn.Sequential(nn.Linear(784, 2048), nn.ReLU(), nn.Linear(2048, 2048), nn.ReLU(), nn.Linear(2048, 10))
optimiser = torch.optim.Adam(model.parameters())
images, labels = torch.rand(BATCH, 784), torch.randint(10, (BATCH,))
for part in range(PARTS):
    print("part", part)
    loss = nn.functional.cross_entropy(model(images), labels)
    (loss / PARTS).backward()
optimiser.step()
"""


def step(batch, parts=1):
    """The cell's text below its magic line."""
    return STEP.partition("\n")[2].replace("BATCH", str(batch)).replace("PARTS", str(parts))


def test_the_line_gives_gib_and_seconds():
    assert clinic.options("0.75") == (0.75, clinic.TIMEOUT_SECONDS)
    assert clinic.options("2 --timeout 9.5") == (2.0, 9.5)


@pytest.mark.parametrize(
    "line", ["", "much", "0", "-1", "nan", "inf", "1 2", "1 --timeout", "1 --timeout 0", "1 --what 3"]
)
def test_a_wrong_line_is_one_sentence_with_the_right_one(line):
    with pytest.raises(CourseError, match=r"%%capped.*cannot be run: .+\. Write `%%capped 0.75`"):
        clinic.options(line)


@slow
def test_a_batch_too_large_is_explained_with_the_line_of_the_cell(capsys):
    outcome = clinic.run("\n" + step(40_000), 0.75)
    text = outcome.report["text/plain"]
    assert capsys.readouterr().out == "part 0\n"
    line = STEP.splitlines().index("    loss = nn.functional.cross_entropy(model(images), labels)") + 1
    assert f"It failed on line {line} of this cell: `loss = nn.functional.cross_entropy(model(images), labels)`" in text
    assert text.startswith("Out of memory in RAM, capped at 0.75 GiB: the cell asked for 312.50 MiB"), (
        "40,000 × 2,048 × 4"
    )
    assert re.search(r"weights and buffers +22\.22 MiB", text), "5,824,522 weights × 4 bytes"
    assert "1. Split the batch into" in text and "8-bit" not in text
    assert "course-oom" in outcome.report["text/html"] and outcome.peak_bytes < 0.75 * GIB


@slow
def test_the_first_remedy_that_it_names_makes_the_cell_fit():
    text = clinic.run(step(40_000), 0.75).report["text/plain"]
    parts = int(re.search(r"1\. Split the batch into (\d+)", text)[1])
    # Two parts show it, since the third and later ones take what the second took.
    outcome = clinic.run(step(40_000 // parts, min(parts, 2)), 0.75)
    assert outcome.report is None and 0.1 * GIB < outcome.peak_bytes <= 0.75 * GIB


@slow
def test_the_cap_holds_and_is_not_far_too_strict():
    grow = "import torch\nheld = []\nwhile True:\n    held.append(torch.ones(4 * 2**20))\n    print(len(held))"
    outcome = clinic.run(grow, 0.5)
    assert outcome.report is not None
    assert 0.9 * GIB / 2 < outcome.peak_bytes <= GIB / 2, "blocks of 16 MiB fill half a GiB"


@slow
def test_the_kernels_own_counter_says_the_same_about_the_process(tmp_path):
    # A process of its own in between, so that only the capped cell is among its children.
    code = (
        "import resource\nfrom course_utils.gpu.oom import clinic\n"
        "def peak(cell):\n    clinic.run(cell, 0.5)\n"
        "    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024\n"
        "least = peak('1')\n"
        "most = peak('import torch\\nheld = []\\nwhile True: held.append(torch.ones(4 * 2**20))')\n"
        "print((most - least) / 2**30)"
    )
    done = subprocess.run([os.sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # The libraries' pages that the second cell touched are in this difference too.
    assert 0.45 < float(done.stdout) < 0.6


@slow
def test_a_cell_that_fits_says_what_it_took(capsys):
    clinic.capped("0.75", "import torch\nx = torch.ones(50 * 2**20)\n")
    text = capsys.readouterr().out
    took = float(re.search(r"No out-of-memory error: the cell took ([\d.]+) MiB of 0\.75 GiB of RAM", text)[1])
    assert 200 <= took < 240 and "shares no variable with this notebook" in text


@slow
def test_any_other_error_is_an_error_of_the_notebook(capsys):
    with pytest.raises(CourseError, match="failed, and not for lack of memory: ZeroDivisionError: division by zero"):
        clinic.run("\n1 / 0", 1)
    assert 'File "<capped cell>", line 2, in <module>\n    1 / 0' in capsys.readouterr().err


@slow
def test_a_wish_to_exit_or_a_crash_is_an_error_too():
    with pytest.raises(CourseError, match="SystemExit: 3"):
        clinic.run("raise SystemExit(3)", 1)
    with pytest.raises(CourseError, match="ended with SIGSEGV before it could report"):
        clinic.run("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)", 1)


@slow
def test_a_cell_that_hangs_is_stopped_with_all_that_it_started(tmp_path):
    code = f"import subprocess, os\nchild = subprocess.Popen(['sleep', '600'])\nopen({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid))\nchild.wait()"
    with pytest.raises(CourseError, match="did not end within 8 s and was stopped"):
        clinic.run(code, 1, seconds=8)
    child = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 5
    while _runs(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _runs(child)


def _runs(pid):
    import psutil

    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


@slow
def test_the_cell_knows_no_name_of_the_course_and_the_notebook_stays_as_it_was():
    import resource

    before = resource.getrlimit(resource.RLIMIT_DATA)
    assert clinic.run(
        "assert set(globals()) <= {'__name__', '__doc__', '__builtins__', '__loader__', '__package__', '__spec__'}", 1
    )
    assert clinic.run("import numpy\nnumpy.ones(2**30)", 0.5).report is not None
    assert resource.getrlimit(resource.RLIMIT_DATA) == before


@slow
def test_in_a_headless_notebook_the_run_goes_on_without_an_error_output(tmp_path):
    import nbformat
    import papermill

    codes = [
        "import course_utils as course\nlesson = course.start('week01', 'smoke')",
        STEP.replace("BATCH", "40_000").replace("PARTS", "1"),
        "'model' in globals()",
    ]
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in codes])
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(made, tmp_path / "in.ipynb")
    papermill.execute_notebook(tmp_path / "in.ipynb", tmp_path / "out.ipynb", progress_bar=False)
    _, capped, after = nbformat.read(tmp_path / "out.ipynb", 4).cells
    printed = "".join(one.text for one in capped.outputs if one.output_type == "stream")
    assert {one.output_type for one in capped.outputs} == {"stream", "display_data"}
    assert "part 0\nAs expected, 0.75 GiB of RAM (no card here) was too little." in printed
    assert after.outputs[0].data["text/plain"] == "False"


def test_the_name_of_the_capped_cell_is_one_of_the_readers_own():
    from course_utils.gpu.monitor import places

    assert places.is_users(oom.CAPPED)

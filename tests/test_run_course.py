import json
import re
import socket
import sys

import psutil
import pytest
from notebook_maker import make

from course_utils.run import execute, task
from course_utils.run.course import run_course

GOOD = """
import ipykernel, json, os, sys
connection = json.load(open(ipykernel.get_connection_file()))
receipt = {"profile": PROFILE, "checks": [{"id": "a", "status": "not attempted"}],
           "metrics": {"epochs": {"value": epochs, "unit": "", "low": 1, "high": 2}}}
with open(os.environ["COURSE_RECEIPT"], "w") as file:
    json.dump(receipt, file)
names = ["COURSE_DATA_DIR", "COURSE_CACHE_DIR", "OMP_NUM_THREADS"]
print(json.dumps({"transport": connection["transport"], "python": sys.executable, "cwd": os.getcwd(),
                  **{name: os.environ.get(name) for name in names}}))
"""
DEAD = "import os, signal\nprint('last words', flush=True)\nimport time; time.sleep(1)\nmemory = bytearray(200 * 2**20)\nos.kill(os.getpid(), signal.SIGSEGV)"
BALLAST_BYTES = 300 * 2**20


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """One run of notebooks that end in every way but by the deadline: (folder of the notebooks, report)."""
    folder = tmp_path_factory.mktemp("a {strange} folder é")
    lessons = [
        make(folder, "good", GOOD, course={"title": "All well"}),
        make(folder, "wrong", "", "first = 1", "# divide\nfirst / 0", "never = 1"),
        make(folder, "dead", "before = 1", DEAD, "never = 1"),
        make(folder, "leaves", "import os\nos._exit(3)"),
        make(folder, "stops", "import sys\nsys.exit()", "never = 1"),
        make(
            folder,
            "killer",
            "import os, signal, time\nos.kill(os.getppid(), signal.SIGKILL)\ntime.sleep(0.1)\nprint('on')",
        ),
    ]
    parameters = {"epochs": 3}
    ballast = bytes(range(256)) * (BALLAST_BYTES // 256)
    yield folder, run_course(lessons, profile="smoke", parameters=parameters, jobs=2, report_dir=folder / "report")
    del ballast


def row(ran, lesson):
    return next(row for row in ran[1].lessons if row.lesson == lesson)


def copied(ran, lesson):
    return json.loads((ran[1].folder / f"{lesson}.ipynb").read_text())["cells"]


def facts(ran):
    return json.loads(copied(ran, "good")[-1]["outputs"][0]["text"][0])


@pytest.mark.slow
def test_a_good_notebook_passes_and_its_receipt_is_read(ran):
    good = row(ran, "good")
    assert (good.status, good.error, good.title, good.profile) == ("passed", None, "All well", "smoke")
    assert good.checks == {"total": 1, "passed": 0, "not_yet": 0, "blank": 1}
    assert good.metrics["epochs"]["value"] == 3
    assert good.warnings == ("epochs is 3, outside its band 1 to 2",)
    assert good.seconds > 0


@pytest.mark.slow
def test_a_kernel_is_this_python_over_unix_sockets_in_the_notebooks_folder(ran):
    found = facts(ran)
    assert (found["transport"], found["python"], found["cwd"]) == ("ipc", sys.executable, str(ran[0]))


@pytest.mark.slow
def test_a_run_leaves_the_learners_progress_alone(ran):
    assert re.fullmatch(r"/.*/course-\w+/data", facts(ran)["COURSE_DATA_DIR"])


@pytest.mark.slow
def test_a_failing_cell_is_named_by_number_line_and_error(ran):
    error = row(ran, "wrong").error
    assert row(ran, "wrong").status == "failed"
    assert (error.cell, error.prompt, error.line) == (3, 4, "# divide")
    assert (error.name, error.message) == ("ZeroDivisionError", "division by zero")


@pytest.mark.slow
def test_the_copy_has_the_lessons_cells_and_one_with_the_parameters(ran):
    cells = copied(ran, "wrong")
    assert [cell.get("execution_count") for cell in cells] == [None, 1, 2, None, 3, 4, None]
    assert "injected-parameters" in cells[2]["metadata"]["tags"]
    assert "epochs = 3" in "".join(cells[2]["source"])
    assert cells[5]["outputs"][0]["ename"] == "ZeroDivisionError"


@pytest.mark.slow
def test_a_killed_kernel_is_reported_with_its_signal_and_keeps_its_output(ran):
    dead = row(ran, "dead")
    assert (dead.status, dead.error.cell) == ("crashed", 3)
    assert dead.error.message == "the kernel was killed by SIGSEGV"
    assert dead.peak_bytes > 200 * 2**20
    cells = copied(ran, "dead")
    assert cells[-2]["outputs"][0]["text"] == ["last words\n"]
    assert [cell["metadata"]["papermill"]["status"] for cell in cells[-3:]] == ["completed", "failed", "pending"]


@pytest.mark.slow
def test_a_kernel_that_exits_is_reported_with_its_status(ran):
    assert row(ran, "leaves").status == "crashed"
    assert row(ran, "leaves").error.message == "the kernel exited by itself with status 3"


@pytest.mark.slow
def test_the_peak_is_the_kernels_and_not_this_process_s(ran):
    # Linux adds what the parent holds at fork to a child's figure, so this process grows first.
    assert psutil.Process().memory_info().rss > BALLAST_BYTES
    assert 20 * 2**20 < row(ran, "leaves").peak_bytes < BALLAST_BYTES


@pytest.mark.slow
def test_a_notebook_that_ends_itself_early_did_not_pass(ran):
    assert (row(ran, "stops").status, row(ran, "stops").error.name) == ("failed", "SystemExit")


@pytest.mark.slow
def test_a_notebook_that_shoots_at_its_worker_is_no_worse_than_failed(ran):
    # In a namespace the worker is the first process, which nothing inside can kill.
    killer = row(ran, "killer")
    assert killer.status == ("passed" if ran[1].containment["kind"] == "namespace" else "crashed")


@pytest.mark.slow
def test_a_run_writes_its_files_and_leaves_no_other(ran):
    folder = ran[1].folder
    copies = {f"{lesson}.ipynb" for lesson in ("good", "wrong", "dead", "leaves", "stops", "killer")}
    assert {path.name for path in folder.iterdir()} == copies | {
        "report.json",
        "report.html",
        "junit.xml",
        "run.json",
        "receipts",
    }
    assert [path.name for path in (folder / "receipts").iterdir()] == ["good.json"]
    assert json.loads((folder / "report.json").read_text())["status"] == "failed"
    assert ran[1].exit_status == 1


def test_workers_share_the_cores_unless_the_user_chose(tmp_path, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("MKL_NUM_THREADS", "7")
    made = task.Task("a", "a.ipynb", "", str(tmp_path), {}, 9, 4)
    found = execute._environment(made, execute.Work(tmp_path, tmp_path, tmp_path))
    assert (found["OMP_NUM_THREADS"], found["MKL_NUM_THREADS"]) == ("4", "7")


def test_a_socket_fits_even_where_temporary_folders_are_deep(tmp_path, monkeypatch):
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    folder = execute.short_temporary_folder()
    try:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(folder / "k-ipc-5"))
    finally:
        (folder / "k-ipc-5").unlink(missing_ok=True)
        folder.rmdir()
    assert not list(deep.iterdir())

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import psutil
import pytest
from notebook_maker import make

from course_utils.errors import CourseError
from course_utils.run import containment
from course_utils.run.containment import best, watchdog
from course_utils.run.course import run_course
from course_utils.run.spare import Spares

PARAMETERS = 'PROFILE = "auto"\nmark = ready = ""'
# Three ways of getting away: a child, one with a session of its own, a daemon that forked twice.
ESCAPE = """
import os, subprocess, sys, time
command = [sys.executable, "-c", "import time; time.sleep(600)", mark]
subprocess.Popen(command)
subprocess.Popen(command, start_new_session=True)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execv(command[0], command)
    os._exit(0)
time.sleep(0.5)
open(ready, "w").close()
"""
WAIT = "time.sleep(600)"
RUNNER = """
import os, sys
from course_utils.learn.catalog import resolve
from course_utils.run.course import run_course
from course_utils.run.spare import Spares
from course_utils.run.containment import best, watchdog
kind, folder, mark, *names = os.environ["RUN"].split()
lessons = [resolve(f"{folder}/{name}.ipynb") for name in names]
parameters = {"mark": mark, "ready": f"{folder}/ready"}
report = run_course(lessons, parameters=parameters, jobs=1, report_dir=f"{folder}/report",
                    containment=best() if kind == "namespace" else watchdog("a test asked for it"))
sys.exit(report.exit_status)
"""
KINDS = ("namespace", "watchdog")


@pytest.fixture(params=KINDS)
def kind(request):
    need(request.param)
    return request.param


def need(kind):
    if kind == "namespace" and best().kind != "namespace":
        pytest.skip(best().guarantee)


def survivors(mark):
    """Living processes with the mark among their arguments."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        if mark in (process.info["cmdline"] or ()) and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process.pid)
    return found


def wait_for(condition, seconds):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def start_runner(kind, folder, mark, *names):
    """A runner in a process of its own, once its first notebook's children are there; `scratch` is its TMPDIR."""
    (folder / "scratch").mkdir()
    own = {"RUN": " ".join([kind, str(folder), mark, *names]), "TMPDIR": str(folder / "scratch")}
    command = [sys.executable, "-c", RUNNER]
    runner = subprocess.Popen(command, env=os.environ | own, stdout=subprocess.PIPE, text=True)
    assert wait_for((folder / "ready").exists, 60)
    assert len(survivors(mark)) == 3
    return runner


@pytest.mark.slow
def test_a_killed_runner_leaves_nothing(kind, tmp_path):
    mark = uuid4().hex
    make(tmp_path, "escape", ESCAPE, WAIT, parameters=PARAMETERS)
    runner = start_runner(kind, tmp_path, mark, "escape")
    tree = psutil.Process(runner.pid).children(recursive=True)
    runner.kill()
    runner.communicate()
    assert wait_for(lambda: not survivors(mark), 5)
    assert psutil.wait_procs(tree, timeout=5)[1] == []
    assert list((tmp_path / "scratch").iterdir()) == []
    assert json.loads((tmp_path / "report" / "report.json").read_text())["lessons"][0]["status"] == "running"


@pytest.mark.slow
def test_a_killed_namespace_leaves_nothing_and_is_reported(tmp_path):
    need("namespace")
    mark = uuid4().hex
    make(tmp_path, "escape", ESCAPE + WAIT, parameters=PARAMETERS)
    runner = start_runner("namespace", tmp_path, mark, "escape")
    [unshare] = psutil.Process(runner.pid).children()
    assert unshare.name() == "unshare"
    unshare.kill()
    assert "WorkerDied" in runner.communicate(timeout=30)[0]
    assert wait_for(lambda: not survivors(mark), 5)
    [row] = json.loads((tmp_path / "report" / "report.json").read_text())["lessons"]
    assert (row["status"], row["error"]["cell"], row["peak_bytes"]) == ("crashed", 2, None)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_leaves_nothing_but_a_valid_report(number, tmp_path):
    mark = uuid4().hex
    for name in ("first", "second"):
        make(tmp_path, name, ESCAPE, WAIT, parameters=PARAMETERS)
    runner = start_runner(best().kind, tmp_path, mark, "first", "second")
    runner.send_signal(number)
    runner.send_signal(number)  # an impatient second time must not break off the report
    printed = runner.communicate(timeout=30)[0]
    assert runner.returncode == 130
    assert survivors(mark) == []
    assert list((tmp_path / "scratch").iterdir()) == []
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert report["status"] == "stopped"
    assert [row["status"] for row in report["lessons"]] == ["stopped", "not run"]
    assert "second  started" not in printed
    assert len(json.loads((tmp_path / "report" / "first.ipynb").read_text())["cells"]) == 5
    assert {"junit.xml", "report.html"} < {path.name for path in (tmp_path / "report").iterdir()}


def run_escapes(folder, kind):
    """A notebook that waits for ever, and one that passes, both with children; (report, mark, ready)."""
    mark, held = uuid4().hex, best() if kind == "namespace" else watchdog("a test asked for it")
    waits = make(folder, "waits", ESCAPE, "print('so far', flush=True)\n" + WAIT, parameters=PARAMETERS)
    passes = make(folder, "passes", ESCAPE, parameters=PARAMETERS)
    parameters = {"mark": mark, "ready": str(folder / "ready")}
    options = {"parameters": parameters, "timeout_seconds": 12, "containment": held, "report_dir": folder / "report"}
    return run_course([waits, passes], jobs=2, **options), mark, folder / "ready"


@pytest.fixture(scope="module")
def escapes(tmp_path_factory):
    """`run_escapes` for both kinds of containment, side by side."""
    kinds = [kind for kind in KINDS if kind == "watchdog" or best().kind == "namespace"]
    with ThreadPoolExecutor() as pool:
        return dict(
            zip(kinds, pool.map(lambda kind: run_escapes(tmp_path_factory.mktemp(kind), kind), kinds), strict=True)
        )


@pytest.mark.slow
def test_the_deadline_ends_a_notebook_and_all_that_it_started(kind, escapes):
    report, mark, ready = escapes[kind]
    waits, passes = report.lessons
    assert ready.exists()
    assert (waits.status, passes.status) == ("timeout", "passed")
    assert survivors(mark) == []
    assert waits.error.cell == 3
    assert waits.error.message == "the notebook had not finished after 12 s"
    assert waits.peak_bytes is not None
    cells = json.loads((report.folder / "waits.ipynb").read_text())["cells"]
    assert cells[-1]["outputs"][0]["text"] == ["so far\n"]


@pytest.mark.slow
def test_the_report_says_how_the_notebooks_were_held(kind, escapes):
    held = escapes[kind][0].containment
    assert held["kind"] == kind
    assert ("weaker than usual, because a test asked for it" in held["guarantee"]) == (kind == "watchdog")


def test_where_namespaces_are_forbidden_the_watchdog_says_why(tmp_path, monkeypatch):
    refusing = tmp_path / "unshare"
    refusing.write_text("#!/bin/sh\necho 'unshare: Operation not permitted' >&2\nexit 1\n")
    refusing.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    found = containment.best.__wrapped__()
    assert found.kind == "watchdog"
    assert "forbids PID namespaces (unshare: Operation not permitted)" in found.guarantee


def test_without_unshare_the_watchdog_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "unshare is missing" in containment.best.__wrapped__().guarantee


def test_a_user_who_is_not_root_gets_a_user_namespace(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert containment._identity() == ("--user", "--map-current-user")


def test_the_watchdog_ends_with_its_commands_status():
    command = [sys.executable, "-P", "-m", "course_utils.run.guard", "sh", "-c", "exit 7"]
    assert subprocess.run(command, stdin=subprocess.PIPE).returncode == 7


def test_a_refused_run_starts_no_process(tmp_path):
    before = len(psutil.Process().children())
    with pytest.raises(CourseError):
        run_course([make(Path(tmp_path), "a")], jobs=0)
    assert len(psutil.Process().children()) == before


@pytest.mark.slow
def test_a_worker_that_waits_ahead_ends_with_the_run_and_with_a_killed_runner(kind, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    spares = Spares(best() if kind == "namespace" else watchdog("a test asked for it"), expected=3)
    taken = spares.take()
    assert spares.spare is not None and spares.spare.folder != taken.folder
    ready, trees = spares.spare, [psutil.Process(one.process.pid) for one in (taken, spares.spare)]
    assert spares.take() is ready
    third = spares.spare
    third.process.kill()
    third.process.wait()
    fourth = spares.take()
    assert fourth is not third and fourth.process.poll() is None
    spares.close()
    assert spares.spare is None
    taken.discard()
    ready.process.stdin.close()  # as if the runner had died
    assert psutil.wait_procs(trees, timeout=10)[1] == []
    fourth.discard()
    assert wait_for(lambda: not list(tmp_path.glob("course-*")), 5)

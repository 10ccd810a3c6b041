"""Lessons on a Dask cluster: a real scheduler and real workers, each a process of its own."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import wait
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from uuid import uuid4

import psutil
import pytest
from notebook_maker import make

from course_utils.errors import CourseError
from course_utils.run import cluster, cluster_config, schedule
from course_utils.run.course import run_course
from course_utils.run.task import Task

pytestmark = pytest.mark.skipif(not find_spec("distributed"), reason="the extra 'cluster' is not installed")
DASK = str(Path(sys.executable).with_name("dask"))
COURSE = str(Path(sys.executable).with_name("course"))
WHO = "import os\nprint(os.environ['WORKER'])"


@contextmanager
def process(*words, **environment):
    """A process that is killed at the end; Dask's own files go to a folder that goes too."""
    with tempfile.TemporaryDirectory() as folder:
        started = subprocess.Popen(
            list(map(str, words)),
            env=os.environ | {"DASK_TEMPORARY_DIRECTORY": folder} | environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield started
        finally:
            started.kill()
            started.wait()


@contextmanager
def scheduler(folder):
    """A scheduler on a free port of this machine; its process and its address."""
    file = folder / "scheduler.json"
    words = ("scheduler", "--host", "127.0.0.1", "--port", "0", "--dashboard-address", "127.0.0.1:0")
    with process(DASK, *words, "--scheduler-file", file) as started:
        assert wait_for(file.exists, 60)
        yield started, json.loads(file.read_text())["address"]


def worker(address, name, memory="4 GB", **environment):
    """A worker that takes one notebook at a time; notebooks see its name in WORKER."""
    words = ("worker", address, "--no-nanny", "--nthreads", 1, "--name", name, "--memory-limit", memory)
    return process(DASK, *words, "--no-dashboard", WORKER=name, **environment)


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """The scheduler of a cluster of two workers, of 4 GB and of 1 GB."""
    folder = tmp_path_factory.mktemp("cluster")
    with scheduler(folder) as (_, address), worker(address, "large"), worker(address, "small", "1 GB"):
        wait_for_workers(address, 2)
        yield address


def wait_for_workers(address, count):
    from distributed import Client

    with Client(address, set_as_default=False) as client:
        client.wait_for_workers(count, timeout=60)


def wait_for(condition, seconds):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def task(folder, code, **options):
    lesson = make(folder, f"made_up_{uuid4().hex}", code)
    options = {"parameters": {}, "timeout_seconds": 60, "threads": 1} | options
    return Task("made_up", lesson.path.name, lesson.path.read_text(), str(folder), **options)


def printed(result):
    """What the last cell of an executed copy printed, as lines."""
    return "".join(json.loads(result.copy)["cells"][-1]["outputs"][0]["text"]).splitlines()


def survivors(mark):
    return [one.pid for one in psutil.process_iter(["cmdline"]) if mark in (one.info["cmdline"] or ())]


@pytest.mark.slow
def test_verdicts_and_keys_are_the_same_as_on_this_machine(address, tmp_path):
    cells = {"passes": "print(1)", "fails": "1 / 0", "dies": "import os\nos.kill(os.getpid(), 9)"}
    lessons = [make(tmp_path, name, code) for name, code in cells.items()]
    local = run_course(lessons, jobs=2, report_dir=tmp_path / "local")
    with cluster.joined(address) as pool:
        options = cluster.options(pool, use_cache=False)
        remote = run_course(lessons, report_dir=tmp_path / "remote", **options)

    def seen(report):
        return [
            (row.lesson, row.status, row.error and (row.error.cell, row.error.message), row.key)
            for row in report.lessons
        ]

    assert seen(remote) == seen(local)
    assert [row.status for row in remote.lessons] == ["passed", "failed", "crashed"]
    assert (tmp_path / "remote" / "passes.ipynb").exists()


@pytest.mark.slow
def test_a_notebook_goes_only_where_its_memory_is(address, tmp_path):
    tasks = [task(tmp_path, WHO, memory_bytes=2_000_000_000) for _ in range(3)]
    with cluster.joined(address) as pool:
        futures = [pool.submit(one, None, None) for one in tasks]
        too_large = pool.submit(task(tmp_path, WHO, memory_bytes=5_000_000_000), None, None).result(10)
        assert [printed(one.result(60)) for one in futures] == [["large"]] * 3
    assert (too_large.outcome.status, too_large.outcome.error["name"]) == ("failed", "TooLittleMemory")
    assert (
        too_large.outcome.error["message"] == "this notebook took 4.66 GiB before, and the largest worker has 3.73 GiB"
    )


@pytest.mark.slow
def test_a_notebook_whose_runner_gives_it_up_or_is_killed_ends_on_its_worker(address, tmp_path):
    marks, ready = [uuid4().hex, uuid4().hex], [tmp_path / "first", tmp_path / "second"]
    waits = "import subprocess, sys\nopen({!r}, 'w').close()\nsubprocess.run([sys.executable, '-c', 'import time; time.sleep(600)', {!r}])"
    codes = [waits.format(str(path), mark) for path, mark in zip(ready, marks, strict=True)]
    with cluster.joined(address) as pool:
        future = pool.submit(task(tmp_path, codes[0]), None, None)
        assert wait_for(lambda: survivors(marks[0]), 60)
        assert future.cancel()
        assert wait([future], 5).done == {future}
        assert wait_for(lambda: not survivors(marks[0]), 5)
    lesson = make(tmp_path, "waits", codes[1])
    runner = f"""
from pathlib import Path
from course_utils.learn.catalog import lesson_of
from course_utils.run import cluster
from course_utils.run.course import run_course
with cluster.joined({address!r}) as pool:
    options = cluster.options(pool, use_cache=False)
    run_course([lesson_of(Path({str(lesson.path)!r}))], report_dir={str(tmp_path / "report")!r}, **options)
"""
    with process(sys.executable, "-c", runner) as started:
        assert wait_for(lambda: survivors(marks[1]), 60)
        started.kill()
        assert wait_for(lambda: not survivors(marks[1]), 5)


@pytest.mark.slow
def test_the_notebook_of_a_killed_worker_is_run_by_another_or_by_one_that_comes_later(tmp_path):
    seen, mark = tmp_path / "seen", uuid4().hex
    code = f"""import os, subprocess, sys
with open({str(seen)!r}, "a") as file:
    print(os.environ["WORKER"], file=file)
if open({str(seen)!r}).read().count("\\n") < 3:
    subprocess.run([sys.executable, "-c", "import time; time.sleep(600)", {mark!r}])
print("after", os.environ["WORKER"])"""

    def ran():
        return seen.read_text().split() if seen.exists() else []

    with scheduler(tmp_path) as (head, address), worker(address, "first") as first, worker(address, "second") as second:
        wait_for_workers(address, 2)
        with cluster.joined(address) as pool:
            future = pool.submit(task(tmp_path, code), None, None)
            for count in (1, 2):
                assert wait_for(lambda count=count: len(ran()) == count and survivors(mark), 60)
                {"first": first, "second": second}[ran()[-1]].send_signal(signal.SIGKILL)
            assert sorted(ran()) == ["first", "second"]
            with worker(address, "third"):
                assert printed(future.result(60)) == ["after third"]
                assert survivors(mark) == []
                lost = pool.submit(task(tmp_path, "import time\ntime.sleep(600)"), None, None)
                time.sleep(1)
                head.kill()
                after = pool.submit(task(tmp_path, "print(1)"), None, None)
                assert [one.result(60).outcome.error["name"] for one in (lost, after)] == ["SchedulerLost"] * 2


@pytest.mark.slow
def test_a_worker_with_another_lock_is_refused_with_the_difference(tmp_path):
    older = tmp_path / "older" / "wcwidth-0.0.1.dist-info"
    older.mkdir(parents=True)
    (older / "METADATA").write_text("Metadata-Version: 2.1\nName: wcwidth\nVersion: 0.0.1\n")
    locked = cluster.read_lock(Path(cluster.__file__).parents[2] / cluster.LOCK)["wcwidth"]
    with scheduler(tmp_path) as (_, address), worker(address, "other", PYTHONPATH=str(older.parent)):
        wait_for_workers(address, 1)
        difference = rf"The worker {address[:15]}.* wcwidth 0\.0\.1 in place of {locked}\."
        with pytest.raises(CourseError, match=difference), cluster.joined(address):
            pass


@pytest.mark.slow
@pytest.mark.parametrize(
    ("where", "sentence"),
    [
        ("tcp://127.0.0.1:9", "No Dask scheduler answers at tcp://127.0.0.1:9"),
        ("nowhere", "--on 'nowhere' names no cluster"),
        ("slurm", "--on slurm reads"),
    ],
)
def test_a_cluster_that_is_not_there_is_one_sentence_within_ten_seconds(tmp_path, where, sentence):
    lesson = make(tmp_path, "good").path
    words = [COURSE, "run", str(lesson), "--on", where, "--report", str(tmp_path / "report")]
    started = time.monotonic()
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert time.monotonic() - started < 15  # ten seconds, and the start of Python on a busy machine
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1), done
    assert sentence in done.stderr
    assert not (tmp_path / "report").exists()


def test_threads_are_a_hosts_cores_shared_by_its_slots():
    from course_utils.run.cluster_worker import Environment, Facts

    def fact(host, slots, cores):
        return Facts(Environment("3.11", {}, ""), host, slots, cores, None, False, "no GPU", None)

    assert cluster._threads([fact("a", 1, 8), fact("a", 1, 8), fact("b", 1, 16)]) == 4
    assert cluster._threads([fact("a", 8, 2)]) == 1


def test_a_task_asks_for_a_gpu_only_where_the_cluster_has_one():
    from course_utils.run.cluster_executor import _resources

    wants = Task("a", "a.ipynb", "", "", {}, 9, 1, uses_gpu=True)
    plain = {"tag": 1, "memory": 1_000_000_000, "GPU": 0}
    assert _resources(wants, [plain], "tag") == {"tag": 1, "memory": 1_000_000_000}
    held = _resources(wants, [plain, plain | {"GPU": 1, "memory": 9e9}], "tag")
    assert held == {"tag": 1, "memory": schedule.UNKNOWN_PEAK_BYTES, "GPU": 1}


def configured(folder, text):
    path = folder / "cluster.toml"
    path.write_text(text)
    return path


def test_slurm_gets_what_the_table_says(tmp_path):
    pytest.importorskip("dask_jobqueue", reason="the extra 'cluster' is not installed")
    path = configured(
        tmp_path,
        '[slurm]\nworkers = 3\ncores = 8\nmemory = "32 GB"\nqueue = "gpu"\nwalltime = "02:00:00"\n'
        'job_extra_directives = ["--gres=gpu:1"]\njob_script_prologue = ["cd course"]\ninterface = "lo"\n',
    )
    with cluster_config.slurm(cluster_config.settings("slurm", path)) as made:
        script = made.job_script()
    for line in ("-p gpu", "-n 1", "--cpus-per-task=8", "--mem=30G", "-t 02:00:00", "--gres=gpu:1"):
        assert f"#SBATCH {line}\n" in script
    assert "\ncd course\n" in script
    assert "--nthreads 1 " in script and "--nthreads 8" not in script


SBATCH = """#!/bin/bash
cp "$1" "$FOLDER/job.sh"
setsid bash "$FOLDER/job.sh" >"$FOLDER/job.log" 2>&1 </dev/null &
echo "Submitted batch job $!"
"""
SCANCEL = """#!/bin/bash
kill -- -$1
"""


@pytest.mark.slow
def test_a_job_of_slurm_becomes_a_worker_and_ends_with_the_run(tmp_path, monkeypatch):
    pytest.importorskip("dask_jobqueue", reason="the extra 'cluster' is not installed")
    for name, script in {"sbatch": SBATCH, "scancel": SCANCEL}.items():  # they stand in for Slurm, on this machine
        (tmp_path / name).write_text(script)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("FOLDER", str(tmp_path))
    monkeypatch.setattr(cluster_config, "project_dir", lambda: tmp_path)
    configured(tmp_path, '[slurm]\ncores = 4\nmemory = "2 GB"\ninterface = "lo"\nwait_seconds = 60\n')
    with cluster.joined("slurm") as pool:
        assert pool.capacity.jobs == 1
        assert printed(pool.submit(task(tmp_path, "print(1)"), None, None).result(60)) == ["1"]
        scheduler_address = (tmp_path / "job.sh").read_text().partition("tcp://")[2].split()[0]
        assert survivors(f"tcp://{scheduler_address}")
    assert wait_for(lambda: not survivors(f"tcp://{scheduler_address}"), 10)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("[kubernetes]\n", r"has no table \[slurm\]"),
        ("[slurm\n", "is not TOML"),
        ("[slurm]\nworkers = 0\n", "workers in .* must be a positive number, not 0"),
        ('[slurm]\ncores = 1\nmemory = "1 GB"\nqueues = "gpu"\n', "does not say what a cluster needs: .*queues"),
        ("[slurm]\nworkers = 2\n", "does not say what a cluster needs"),
    ],
)
def test_a_wrong_table_is_a_sentence(tmp_path, text, match):
    pytest.importorskip("dask_jobqueue", reason="the extra 'cluster' is not installed")
    path = configured(tmp_path, text)
    with pytest.raises(CourseError, match=match), cluster_config.started("slurm", path):
        pass

"""`course run` as a user meets it: exit status, one sentence for bad input, and Ctrl-C."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from notebook_maker import make

COURSE = str(Path(sys.executable).with_name("course"))
OWN_MOUNTS = ("unshare", *(() if os.geteuid() == 0 else ("--user", "--map-root-user")), "--mount")
ON_TMPFS = 'mount -t tmpfs -o "$1" tmpfs "$2" && shift 2 && "$@"'
LIST_AFTER = '"$@"; status=$?; ls -A "$0"; exit $status'


def course_run(*words, prefix=()):
    return subprocess.run([*prefix, COURSE, "run", *map(str, words)], capture_output=True, text=True, timeout=120)


def tmpfs(folder, options):
    """What goes before a command so that it, and nobody else, sees an empty tmpfs at this folder."""
    folder.mkdir()
    prefix = (*OWN_MOUNTS, "sh", "-c", ON_TMPFS, "sh", options, str(folder))
    if not shutil.which("unshare") or subprocess.run([*prefix, "true"], capture_output=True).returncode:
        pytest.skip("this machine does not let a test mount a tmpfs")
    return (*prefix, "sh", "-c", LIST_AFTER, str(folder))


def assert_one_sentence(done, sentence):
    """Status 2, this sentence alone on stderr, and nothing on stdout, where `tmpfs` would list what was written."""
    lines = done.stderr.splitlines()
    assert (done.returncode, done.stdout, len(lines)) == (2, "", 1), done
    assert lines[0].startswith("course: ") and sentence in lines[0]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["wek01"], "There is no lesson 'wek01'. The nearest is 'week01'"),
        (["nowhere.ipynb"], "There is no file 'nowhere.ipynb'"),
        ([], "Name the lessons"),
        (["week01", "--all"], "not both"),
        (["GOOD", "--profile", "gpu21"], "There is no profile 'gpu21'"),
        (["GOOD", "-p", "epoch=3"], "good has no parameter 'epoch'; it has PROFILE, epochs."),
        (["GOOD", "-p", "nonsense"], "'nonsense' is not a parameter"),
        (["TEXT"], "text.ipynb is not a notebook: it is not JSON"),
        (["BARE"], "bare.ipynb has no cell tagged 'parameters'"),
        (["GOOD", "BARE"], "bare.ipynb has no cell tagged 'parameters'"),
        (["GOOD", "--jobs", "0"], "--jobs must be 1 or more, not 0"),
        (["GOOD", "--timeout", "-1"], "--timeout must be a positive number of seconds, not -1"),
        (["GOOD", "--retries", "-1"], "--retries must be 0 or more, not -1"),
        (["GOOD", "--mode", "right"], "There is no mode 'right'. Choose blank, reference, mistakes."),
        (["GOOD", "--mode", "mistakes"], "The mode 'mistakes' makes no run of these lessons"),
        (["GOOD", "--resume"], "--resume goes on with a run as it was begun"),
        (["--resume", "--retries", "2"], "--resume goes on with a run as it was begun"),
        (["--resume"], "There is nothing to resume"),
    ],
    ids=lambda value: (" ".join(value) or "nothing") if isinstance(value, list) else "",
)
def test_bad_input_is_one_sentence_and_writes_nothing(tmp_path, words, sentence):
    paths = {stem.upper(): make(tmp_path, stem).path for stem in ("good", "text", "bare")}
    paths["TEXT"].write_text("this is no JSON")
    paths["BARE"].write_text(paths["GOOD"].read_text().replace('"parameters"', '"other"'))
    before = sorted(tmp_path.rglob("*"))
    done = course_run(*(paths.get(word, word) for word in words), "--report", tmp_path / "report")
    assert_one_sentence(done, sentence)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_read_only_report_folder_is_one_sentence_and_writes_nothing(tmp_path):
    lesson, folder, prefix = make(tmp_path, "good"), tmp_path / "locked", ()
    if os.geteuid() == 0:  # whom permission bits do not stop
        prefix = tmpfs(folder, "ro")
    else:
        folder.mkdir(mode=0o555)
    done = course_run(lesson.path, "--report", folder / "report", prefix=prefix)
    assert_one_sentence(done, "is read-only. Choose another --report.")
    assert list(folder.iterdir()) == []


def test_a_full_disk_is_one_sentence_and_writes_nothing(tmp_path):
    lesson, folder = make(tmp_path, "good"), tmp_path / "small"
    done = course_run(lesson.path, "--report", folder / "report", prefix=tmpfs(folder, "size=2m"))
    assert_one_sentence(done, "Only 2.0 MiB are free at")


@pytest.mark.slow
@pytest.mark.parametrize(("cell", "status"), [("print(1)", 0), ("1 / 0", 1)])
def test_the_exit_status_tells_success_from_failure(tmp_path, cell, status):
    lesson = make(tmp_path, "made_up", cell)
    done = course_run(lesson.path, "-p", "epochs=2", "--report", tmp_path / "report")
    assert (done.returncode, done.stderr) == (status, "")
    assert ("ZeroDivisionError: division by zero" in done.stdout) == bool(status)
    assert "Traceback" not in done.stdout
    assert json.loads((tmp_path / "report" / "report.json").read_text())["parameters"] == {"epochs": 2}


@pytest.mark.slow
def test_ctrl_c_on_the_command_ends_it_with_130_and_a_valid_report(tmp_path):
    ready, folder = tmp_path / "ready", tmp_path / "report"
    cell = f"import time\nopen({str(ready)!r}, 'w').close()\ntime.sleep(1000)"
    lessons = [make(tmp_path, stem, cell).path for stem in ("first", "second")]
    words = [COURSE, "run", *lessons, "--jobs", "1", "--report", folder]
    runner = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 60
        while not ready.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        runner.send_signal(signal.SIGINT)
        printed, complaints = runner.communicate(timeout=30)
    finally:
        runner.kill()
    assert ready.exists()
    assert runner.returncode == 130
    assert complaints.startswith("course: stopped.") and complaints.count("\n") == 1
    stored = json.loads((folder / "report.json").read_text())
    assert (stored["status"], [row["status"] for row in stored["lessons"]]) == ("stopped", ["stopped", "not run"])
    assert "Traceback" not in printed

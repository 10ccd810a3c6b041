"""`course run` as a user meets it: exit status, one sentence for bad input, and Ctrl-C."""

import json
import os
import shutil
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import made_up_notebooks as notebooks
import pytest

COURSE = str(Path(sys.executable).with_name("course"))
OWN_MOUNTS = ("unshare", *(() if os.geteuid() == 0 else ("--user", "--map-root-user")), "--mount")
ON_TMPFS = 'mount -t tmpfs -o "$1" tmpfs "$2" && shift 2 && "$@"'
PRINTS_40_MIB = "for _ in range(10):\n    print('x' * 4 * 1024**2)"


def course(*words, prefix=(), **environment):
    return subprocess.run(
        [*prefix, COURSE, *map(str, words)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def tmpfs(folder, options):
    """What goes before a command so that it, and nobody else, sees an empty tmpfs at this folder."""
    folder.mkdir()
    prefix = (*OWN_MOUNTS, "sh", "-c", ON_TMPFS, "sh", options, str(folder))
    if not shutil.which("unshare") or subprocess.run([*prefix, "true"], capture_output=True).returncode:
        pytest.skip("this machine does not let a test mount a tmpfs")
    return prefix


def files(folder):
    return sorted(str(path) for path in folder.rglob("*"))


def assert_one_sentence(done, sentence):
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
        (["GOOD", "-p", "epoch=3"], "good has no parameter 'epoch'; it has PROFILE, epochs,"),
        (["GOOD", "-p", "nonsense"], "'nonsense' is not a parameter"),
        (["TEXT"], "text.ipynb is not a notebook: it is not JSON"),
        (["BARE"], "bare.ipynb has no cell tagged 'parameters'"),
        (["GOOD", "BARE"], "bare.ipynb has no cell tagged 'parameters'"),
        (["GOOD", "--jobs", "0"], "--jobs must be 1 or more, not 0"),
        (["GOOD", "--timeout", "-1"], "--timeout must be a positive number of seconds, not -1"),
    ],
    ids=lambda value: " ".join(value) or "nothing" if isinstance(value, list) else "",
)
def test_bad_input_is_one_sentence_and_writes_nothing(tmp_path, words, sentence):
    paths = {stem.upper(): notebooks.write(tmp_path, stem).path for stem in ("good", "text")}
    paths["BARE"] = notebooks.write(tmp_path, "bare", parameters=None).path
    paths["TEXT"].write_text("this is no JSON")
    before = files(tmp_path)
    done = course("run", *(paths.get(word, word) for word in words), "--report", tmp_path / "report")
    assert_one_sentence(done, sentence)
    assert files(tmp_path) == before


def test_a_read_only_report_folder_is_one_sentence_and_writes_nothing(tmp_path):
    lesson, folder, prefix = notebooks.write(tmp_path, "good"), tmp_path / "locked", ()
    if os.geteuid() == 0:  # whom permission bits do not stop
        prefix = tmpfs(folder, "ro")
    else:
        folder.mkdir(mode=0o555)
    done = course("run", lesson.path, "--report", folder / "report", prefix=prefix)
    assert_one_sentence(done, "is read-only. Choose another --report.")
    assert files(folder) == []


def test_a_full_disk_is_one_sentence_and_writes_nothing(tmp_path):
    lesson, folder = notebooks.write(tmp_path, "good"), tmp_path / "small"
    look = ("sh", "-c", '"$@"; status=$?; ls -A "$0"; exit $status', str(folder))
    done = course("run", lesson.path, "--report", folder / "r", prefix=(*tmpfs(folder, "size=2m"), *look))
    assert_one_sentence(done, "Only 2.0 MiB are free at")


@pytest.mark.slow
def test_a_disk_that_fills_during_the_run_is_one_sentence_and_leaves_whole_files(tmp_path):
    lesson, folder = notebooks.write(tmp_path, "large", "print('first')", PRINTS_40_MIB), tmp_path / "small"
    look = ("sh", "-c", f'"$@"; status=$?; mkdir -p "{tmp_path}/seen"; cp -r "$0"/. "{tmp_path}/seen"; exit $status')
    prefix = (*tmpfs(folder, "size=26m"), *look, str(folder))
    done = course("run", lesson.path, "--report", folder, prefix=prefix)
    lines = done.stderr.splitlines()
    assert (done.returncode, len(lines)) == (2, 1), done
    assert "could not be written: No space left on device. Make room" in lines[0]
    assert json.loads((tmp_path / "seen" / "report.json").read_text())["status"] == "running"
    assert "first\n" in notebooks.printed(tmp_path / "seen" / "large.ipynb")
    assert not list((tmp_path / "seen").glob(".*"))


@pytest.mark.slow
@pytest.mark.parametrize(("cell", "status"), [("print(1)", 0), ("1 / 0", 1)])
def test_the_exit_status_tells_success_from_failure(tmp_path, cell, status):
    lesson = notebooks.write(tmp_path, "made_up", cell)
    done = course("run", lesson.path, "-p", "epochs=2", "--report", tmp_path / "report")
    assert (done.returncode, done.stderr) == (status, "")
    assert json.loads((tmp_path / "report" / "report.json").read_text())["parameters"] == {"epochs": 2}


@pytest.mark.slow
def test_ctrl_c_ends_all_and_leaves_a_valid_report(tmp_path):
    marker, ready, folder = uuid.uuid4().hex, tmp_path / "ready", tmp_path / "report"
    first = notebooks.write(tmp_path, "first", "print('begun')", notebooks.SPAWN + notebooks.FOR_EVER)
    second = notebooks.write(tmp_path, "second", "print('never')")
    runner = subprocess.Popen(
        [COURSE, "run", first.path, second.path, "--jobs", "1", "--report", folder],
        env=notebooks.environment(marker, ready),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert notebooks.wait_until(ready.exists, 60)
        runner.send_signal(signal.SIGINT)
        printed, complaints = runner.communicate(timeout=8)  # the aim is 3 s, on a machine with nothing else to do
    finally:
        runner.kill()
    assert (runner.returncode, complaints) == (130, "")
    stored = json.loads((folder / "report.json").read_text())
    assert stored["status"] == "stopped"
    assert [row["status"] for row in stored["lessons"]] == ["stopped", "not run"]
    assert stored["lessons"][0]["error"]["cell"] == 3
    assert {"first.ipynb", "junit.xml", "report.html"} <= {path.name for path in folder.iterdir()}
    assert "begun\n" in notebooks.printed(folder / "first.ipynb")
    assert "Traceback" not in printed and "second  started" not in printed
    assert notebooks.wait_until(lambda: not notebooks.alive(marker), 1), notebooks.alive(marker)

"""The command line: help with an example, right exit statuses, one sentence for wrong use."""

import getpass
import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

COURSE = str(Path(sys.executable).parent / "course")
COMMANDS = ["lab", "list", "run", "lint", "progress", "doctor", "assets list", "assets fetch", "assets verify"]
COMMANDS += ["syllabus", "new"]


def course(*words):
    return subprocess.run([COURSE, *words], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command):
    done = course(*command.split(), "--help")
    assert done.returncode == 0
    assert f"Example: course {command}" in done.stdout


def test_the_help_loads_no_torch():
    command = "import sys; from course_utils import cli; print('torch' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True)
    assert done.stdout.split() == ["False", "False"]


@pytest.mark.parametrize(("end", "said"), [("", "BrokenPipeError"), ("cli._let_go_of_the_pipe()", "")])
def test_a_reader_that_has_seen_enough_is_no_error(end, said):
    program = f"from course_utils import cli; print('a table'); {end}"
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    writer = subprocess.Popen([sys.executable, "-c", program], env=buffered, text=True, **pipes)
    writer.stdout.close()  # before a word was written, as `head` may
    error = writer.stderr.read()
    assert said in error and bool(said) == bool(error)


def test_a_terminal_of_few_characters_and_a_closed_one_are_no_error():
    few = subprocess.run([COURSE, "list"], capture_output=True, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert few.returncode == 0 and b"Week 00 ? Your card" in few.stdout
    closed = subprocess.run(["sh", "-c", f"{COURSE} list >&-"], capture_output=True, text=True)
    assert (closed.returncode, closed.stderr) == (0, "")


def test_output_that_cannot_be_written_is_one_sentence():
    with open("/dev/full", "w") as full:
        done = subprocess.run([COURSE, "list"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1 and done.stderr.startswith("course: The output cannot be written: No space left")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("width, whole", [(60, True), (30, False)])
def test_a_table_breaks_prose_first_and_loses_nothing(width, whole, monkeypatch, capsys):
    from course_utils.cli_run import table

    monkeypatch.setenv("COLUMNS", str(width))
    name, prose = "week03.softmax_gradient", "a long sentence that must be broken"
    table(("exercise", "size", "words"), [(name, "168.6 KiB", prose)])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width and (name in lines[1]) == ("168.6 KiB" in lines[1]) == whole
    assert sorted("".join(lines[1:]).replace(" ", "")) == sorted((name + "168.6 KiB" + prose).replace(" ", ""))


def test_list_shows_week_01():
    done = course("list")
    assert done.returncode == 0 and "week01" in done.stdout and "Regression" in done.stdout


@pytest.mark.slow
def test_lint_says_what_breaks_the_contract(tmp_path):
    assert course("lint").stdout.endswith("The lessons keep their contract.\n")
    empty = {"nbformat": 4, "nbformat_minor": 5, "metadata": {"course": {}}, "cells": []}
    path = tmp_path / "week77_x.ipynb"
    path.write_text(json.dumps(empty))
    done = course("lint", str(path))
    assert done.returncode == 1 and "metadata.course is incomplete: 'lesson' is missing" in done.stdout


def test_progress_is_empty_at_first_and_then_a_table():
    assert "Nothing yet" in course("progress").stdout
    from course_utils.learn import progress

    progress.record("week01.rmse", "passed", 1)
    done = course("progress")
    assert done.returncode == 0 and "week01.rmse" in done.stdout and "passed" in done.stdout


@pytest.mark.slow
def test_doctor_says_the_same_as_text_and_as_json_and_names_nobody():
    text, told = course("doctor"), course("doctor", "--json")
    data = json.loads(told.stdout)
    assert text.stdout.startswith(data["verdict"] + "\nCause    ") and f"\nCommand  {data['command']}\n" in text.stdout
    assert text.returncode == told.returncode == data["status"]
    assert data["storage"]["ram_bytes"] > 2**30 and data["torch"].startswith("2.")
    assert "week01" in [lesson["id"] for lesson in data["lessons"]] and "week01" in text.stdout
    nobody = [getpass.getuser(), socket.gethostname(), str(Path.home()), str(Path.cwd()), sys.prefix]
    assert [name for name in nobody if re.search(rf"\b{re.escape(name)}\b", told.stdout)] == []


def test_assets_are_listed_fetched_and_verified():
    assert "ames" in course("assets", "list").stdout
    assert course("assets", "fetch", "ames").stdout.strip().endswith("ames.csv.gz")
    assert course("assets", "verify").returncode == 0


@pytest.mark.parametrize(
    "words, sentence",
    [
        ("run wek01", "There is no lesson 'wek01'. The nearest is 'week01'"),
        ("lint week1o", "There is no lesson 'week1o'. The nearest is 'week01'"),
        ("run", "Name the lessons"),
        ("run week01 --all", "but not both"),
        ("assets fetch amse", "ames"),
    ],
)
def test_wrong_use_is_one_sentence_and_status_2(words, sentence):
    done = course(*words.split())
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("course: ") and sentence in done.stderr
    assert done.stderr.count("\n") == 1 and "Traceback" not in done.stderr

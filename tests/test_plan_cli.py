"""`course plan` from the shell."""

import json
import subprocess
import sys

import pytest

KEYS = {
    "weights_bytes",
    "allocated_bytes",
    "reserved_bytes",
    "context_bytes",
    "process_bytes",
    "band_bytes",
    "verdict",
    "remedies",
    "seconds",
}


def course(*words):
    line = [sys.executable, "-c", "from course_utils.cli import main; main()", "plan", *words]
    return subprocess.run(line, capture_output=True, text=True)


def test_a_gguf_file_is_planned_without_torch():
    done = course("llama-3.1-8b", "--quant", "Q4_K_M", "--context", "8192", "--json", "--card", "RTX 4070 Ti")
    answer = json.loads(done.stdout)
    assert done.returncode == 0 and answer.keys() >= KEYS and answer["verdict"] == "fits"
    assert answer["process_bytes"] == answer["reserved_bytes"] + answer["context_bytes"]
    assert answer["weights_bytes"] == pytest.approx(4.92e9, rel=0.003)
    assert answer["import_seconds"] < 0.1


@pytest.mark.parametrize(
    "words, sentence",
    [
        (("llama-9-8b",), "There is no model 'llama-9-8b'. The nearest is"),
        (("gpt2", "--train", "--lora"), "--train and --lora exclude one another"),
        (("gpt2", "--batch", "0"), "--batch 0 must be a whole number of 1 or more, such as --batch 8"),
        (("gpt2", "--cap", "0"), "--cap 0.0: no card of that size was measured. Give one of 6, 8"),
        (("gpt2", "--desktop-gib", "50", "--quant", "Q4_0"), "--desktop-gib 50 must lie below the card's"),
        (("week99",), "There is no lesson 'week99'"),
        (("week01",), "week01 needs no GPU"),
    ],
)
def test_wrong_use_gets_one_sentence_and_status_2(words, sentence):
    done = course(*words)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("course: ") and sentence in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.slow
def test_the_human_answer_has_three_numbers_and_a_verdict():
    done = course("resnet18", "--train", "--batch", "512", "--amp", "--card", "RTX 4070 Ti")
    lines = done.stdout.splitlines()
    assert [one.split()[0] for one in lines if one.startswith(("allocated", "reserved", "process"))] == [
        "allocated",
        "reserved",
        "process",
    ]
    assert any(one.startswith("Fits: ") for one in lines) and done.stderr == ""

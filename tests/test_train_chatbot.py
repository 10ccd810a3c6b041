import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec

import pytest

from course_utils.learn.paths import project_dir

pytestmark = pytest.mark.skipif(not find_spec("peft"), reason="peft is not installed")
TOOLS = project_dir() / "tools"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A Llama of two narrow layers with a tokenizer of bytes, in transformers' format."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tiny")
    marks = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = Tokenizer(models.BPE(vocab={one: i for i, one in enumerate(marks + letters)}, merges=[]))
    tokens.pre_tokenizer, tokens.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    tokens.add_special_tokens(marks)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=tokens, eos_token="<|im_end|>", pad_token="<|im_end|>")
    tokenizer.chat_template = (
        "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    tokenizer.save_pretrained(folder)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    torch.manual_seed(0)
    LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), num_key_value_heads=1, **sizes)).save_pretrained(folder)
    return folder


def command(tiny, folder, *more):
    options = ["--dtype", "float32", "--limit", "4", "--epochs", "3", "--batch", "4", "--save-every", "2", "--no-test"]
    tool = [sys.executable, str(TOOLS / "train_chatbot.py"), "--model", str(tiny), "--out", str(folder)]
    return [*tool, "--base", str(folder / "base"), "--look-every", "9", "--rank", "4", *options, *more]


def run(tiny, folder, *more):
    done = subprocess.run(command(tiny, folder, *more), env=quiet(), capture_output=True, text=True, timeout=300)
    return done


def quiet():
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(project_dir())}


@pytest.fixture(scope="module")
def whole(tiny, tmp_path_factory):
    """The folder of a run that came to its end."""
    folder = tmp_path_factory.mktemp("whole")
    done = run(tiny, folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_losses(tiny, whole, tmp_path):
    folder = tmp_path / "killed"
    process = subprocess.Popen(command(tiny, folder), env=quiet(), stdout=subprocess.PIPE, text=True)
    checkpoint, deadline = folder / "checkpoint.safetensors", time.time() + 240
    while not checkpoint.exists() and time.time() < deadline and process.poll() is None:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert checkpoint.exists() and not (folder / "report.json").exists(), "it was not killed half-way"
    again = run(tiny, folder)
    assert again.returncode == 0, again.stderr
    assert "goes on from step" in again.stdout
    first, second = (json.loads((one / "report.json").read_text()) for one in (whole, folder))
    assert first["losses"] == second["losses"]
    weights = [(one / "adapter_model.safetensors").read_bytes() for one in (whole, folder)]
    assert weights[0] == weights[1]


@pytest.fixture
def checkpoints(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    import checkpoints

    return checkpoints


@pytest.mark.slow
def test_a_damaged_checkpoint_and_other_settings_give_a_sentence(tiny, whole, tmp_path):
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    other = run(tiny, tmp_path, "--lr", "0.5")
    assert other.returncode == 1 and "other settings (lr)" in other.stderr and "Traceback" not in other.stderr
    checkpoint = tmp_path / "checkpoint.safetensors"
    checkpoint.write_bytes(checkpoint.read_bytes()[:-50])
    damaged = run(tiny, tmp_path)
    assert damaged.returncode == 1 and "is damaged" in damaged.stderr and "Traceback" not in damaged.stderr


def test_a_full_disk_keeps_the_last_checkpoint(checkpoints, tmp_path, monkeypatch):
    path = tmp_path / "checkpoint.safetensors"
    checkpoints.write(path, b"the last one")

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(checkpoints.CourseError, match="The disk is full"):
        checkpoints.write(path, b"the next one")
    assert path.read_bytes() == b"the last one"
    assert [one.name for one in tmp_path.iterdir()] == ["checkpoint.safetensors"]

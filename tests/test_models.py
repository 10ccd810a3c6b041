import errno
import json
import signal
import subprocess
import sys

import numpy as np
import pytest

from course_utils.errors import CourseError
from course_utils.learn import assets, model_table, models

REVISION = "0123456789" * 4
OPEN = model_table.Hub("someone/tiny", REVISION)
GATED = model_table.Hub("owner/tiny", REVISION, gated=True)


class Usage:
    """A disk with 9 bytes free."""

    free = 9


def tiny(*sources):
    """A model that needs 10 bytes."""
    return model_table.Model("tiny", "Tiny model", 10, "MIT", sources)


@pytest.fixture
def converting(monkeypatch, tmp_path):
    """`tiny`, converted from a GGUF file by a function that the test may replace."""
    gguf = tmp_path / "tiny.gguf"
    gguf.write_bytes(b"GGUF")
    asset = assets.Asset("tiny-gguf", "Tiny", gguf.name, "a" * 64, 4, "MIT", "", (), lambda path: path)
    monkeypatch.setitem(assets.ASSETS, "tiny-gguf", asset)
    monkeypatch.setattr(assets, "fetch", lambda name: gguf)
    monkeypatch.setitem(models.MODELS, "tiny", tiny(model_table.Converted("tiny-gguf")))
    monkeypatch.setattr(models, "_convert", lambda path, folder: (folder / "model.safetensors").write_bytes(b"weights"))


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """The hub as this machine knows it: an empty cache, no token, no network."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    return tmp_path / "hub"


def in_hub(cache, repository, files):
    """Lay files into the hub's cache as a download leaves them."""
    folder = cache / f"models--{repository.replace('/', '--')}" / "snapshots" / REVISION
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content)
    return folder


WHOLE = {"config.json": "{}", "tokenizer_config.json": "{}", "model.safetensors": "weights"}


def test_a_folder_is_converted_once_and_handed_out_again(converting, monkeypatch):
    first = models.folder("tiny")
    monkeypatch.setattr(models, "_convert", None)
    assert models.folder("tiny") == first
    assert (first / "model.safetensors").read_bytes() == b"weights"


def test_a_folder_that_lost_bytes_is_converted_again(converting):
    folder = models.folder("tiny")
    (folder / "model.safetensors").write_bytes(b"weigh")
    assert (models.folder("tiny") / "model.safetensors").read_bytes() == b"weights"


def test_a_full_disk_during_the_conversion_gives_a_sentence_and_leaves_nothing(converting, monkeypatch):
    def full(path, folder):
        (folder / "model.safetensors").write_bytes(b"wei")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(models, "_convert", full)
    with pytest.raises(CourseError, match="The disk is full: Tiny model needs 0.0 GB. Free some space"):
        models.folder("tiny")
    assert [path.suffix for path in (models.cache_dir() / "models").iterdir()] == [".lock"]


def test_a_disk_that_cannot_hold_the_model_is_refused_before_the_first_byte(converting, monkeypatch):
    monkeypatch.setattr(models, "_convert", None)
    monkeypatch.setattr(models.shutil, "disk_usage", lambda folder: Usage)
    with pytest.raises(CourseError, match="The disk is full"):
        models.folder("tiny")


KILLED = """
import time
from course_utils.learn import models
def slow(path, folder):
    (folder / "model.safetensors").write_bytes(b"wei")
    print("writing", flush=True)
    time.sleep(60)
models._convert = slow
models._write(models.Path("tiny.gguf"), models.Path({place!r}))
"""


def test_a_conversion_that_was_killed_leaves_no_folder_and_the_next_one_clears_up(converting, tmp_path):
    place = tmp_path / "models" / "tiny"
    place.parent.mkdir()
    process = subprocess.Popen([sys.executable, "-c", KILLED.format(place=str(place))], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"writing\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not place.exists()
    assert len(list(place.parent.iterdir())) == 1
    models._write(tmp_path / "tiny.gguf", place)
    assert [path.name for path in place.parent.iterdir()] == ["tiny"]
    assert models._is_complete(place)


def test_an_unknown_name_gets_the_nearest_one():
    with pytest.raises(CourseError, match="no model 'llama-2-7b'. The nearest is 'llama-2-7b-chat'"):
        models.folder("llama-2-7b")


def test_a_snapshot_that_another_program_fetched_serves(hub, monkeypatch):
    folder = in_hub(hub, OPEN.repository, WHOLE)
    monkeypatch.setitem(models.MODELS, "tiny", tiny(OPEN))
    assert models.folder("tiny") == folder.resolve()


@pytest.mark.parametrize("missing", sorted(WHOLE))
def test_a_half_downloaded_snapshot_is_not_handed_out(hub, monkeypatch, missing):
    in_hub(hub, OPEN.repository, {name: text for name, text in WHOLE.items() if name != missing})
    monkeypatch.setitem(models.MODELS, "tiny", tiny(OPEN))
    with pytest.raises(CourseError, match="does not answer"):
        models.folder("tiny")


def test_a_snapshot_that_lacks_one_of_its_shards_is_not_handed_out(hub, monkeypatch):
    shards = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    files = {**WHOLE, "model.safetensors.index.json": json.dumps(shards), "model-00001-of-00002.safetensors": "w"}
    folder = in_hub(hub, OPEN.repository, files)
    monkeypatch.setitem(models.MODELS, "tiny", tiny(OPEN))
    with pytest.raises(CourseError, match="does not answer"):
        models.folder("tiny")
    (folder / "model-00002-of-00002.safetensors").write_text("w")
    assert models.folder("tiny") == folder.resolve()


INDEX = {"_class_name": "StableDiffusionPipeline", "unet": ["diffusers", "UNet2DConditionModel"]}
INDEX |= {"scheduler": ["diffusers", "DDIMScheduler"], "safety_checker": [None, None]}
PIPELINE = {
    "model_index.json": json.dumps(INDEX),
    "unet/config.json": "{}",
    "unet/diffusion_pytorch_model.fp16.safetensors": "weights",
    "scheduler/scheduler_config.json": "{}",
}
PICTURES = model_table.Hub("someone/pictures", REVISION, is_pipeline=True)


def test_a_pipeline_is_whole_when_every_part_that_its_index_names_is_there(hub, monkeypatch):
    folder = in_hub(hub, PICTURES.repository, PIPELINE)
    monkeypatch.setitem(models.MODELS, "tiny", tiny(PICTURES))
    assert models.folder("tiny") == folder.resolve()


@pytest.mark.parametrize("missing", [name for name in PIPELINE if name != "unet/config.json"])
def test_a_half_downloaded_pipeline_is_not_handed_out(hub, monkeypatch, missing):
    in_hub(hub, PICTURES.repository, {name: text for name, text in PIPELINE.items() if name != missing})
    monkeypatch.setitem(models.MODELS, "tiny", tiny(PICTURES))
    with pytest.raises(CourseError, match="does not answer"):
        models.folder("tiny")


def test_of_a_pipeline_neither_pickles_nor_other_forms_of_the_weights_are_asked_for():
    from huggingface_hub.utils import filter_repo_objects

    there = [
        "v1-5-pruned.safetensors",
        "unet/diffusion_pytorch_model.bin",
        "unet/diffusion_pytorch_model.fp16.bin",
        "unet/diffusion_pytorch_model.safetensors",
        "vae_1_0/diffusion_pytorch_model.fp16.safetensors",
        "tokenizer/merges.txt",
        *PIPELINE,
    ]
    asked = filter_repo_objects(there, allow_patterns=models.PIPELINE_FILES)
    assert sorted(asked) == sorted([*PIPELINE, "tokenizer/merges.txt"])


def test_a_shipped_model_that_was_deleted_names_the_command_that_brings_it_back(monkeypatch):
    monkeypatch.setitem(models.MODELS, "tiny", tiny(model_table.Shipped("no_such_folder")))
    with pytest.raises(CourseError, match="git checkout -- course_utils/learn/bundled/no_such_folder"):
        models.folder("tiny")


def test_without_a_token_the_open_copy_serves_in_place_of_the_gated_one(hub, monkeypatch):
    folder = in_hub(hub, OPEN.repository, WHOLE)
    monkeypatch.setitem(models.MODELS, "tiny", tiny(GATED, OPEN))
    assert models.folder("tiny") == folder.resolve()


def test_the_gate_is_explained_where_it_was_what_stopped_it(hub, monkeypatch):
    monkeypatch.setitem(models.MODELS, "tiny", tiny(GATED))
    with pytest.raises(CourseError, match="owner/tiny is gated and there is no token here.*hf auth login") as error:
        models.folder("tiny")
    assert "network" not in str(error.value)


def test_offline_says_what_to_unset_and_asks_nobody(hub, monkeypatch):
    monkeypatch.setenv("COURSE_OFFLINE", "1")
    monkeypatch.setitem(models.MODELS, "tiny", tiny(GATED, OPEN))
    monkeypatch.setattr("requests.head", None)
    with pytest.raises(CourseError, match="not asked, COURSE_OFFLINE is set.*Unset COURSE_OFFLINE") as error:
        models.folder("tiny")
    assert "hf auth login" not in str(error.value)


def test_a_model_that_cannot_be_had_gives_way_to_its_stand_in_and_says_so(hub, converting, monkeypatch, capsys):
    monkeypatch.setitem(models.MODELS, "large", tiny(OPEN))
    assert models.folder("large", otherwise="tiny") == models.folder("tiny")
    assert "cannot be had here, so this run uses Tiny model instead" in capsys.readouterr().out


@pytest.mark.slow
def test_the_converted_weights_are_what_the_gguf_package_reads_from_the_file(smollm2):
    from gguf import GGUFReader, dequantize
    from safetensors import safe_open

    folder, path = smollm2
    reader = {tensor.name: tensor for tensor in GGUFReader(path).tensors}
    pairs = {  # names of transformers, of llama.cpp; these are not permuted for RoPE
        "model.embed_tokens.weight": "token_embd.weight",
        "model.layers.3.mlp.down_proj.weight": "blk.3.ffn_down.weight",
        "model.layers.29.self_attn.v_proj.weight": "blk.29.attn_v.weight",
        "model.norm.weight": "output_norm.weight",
    }
    with safe_open(folder / "model.safetensors", "np") as weights:
        for ours, theirs in pairs.items():
            tensor = reader[theirs]
            np.testing.assert_array_equal(weights.get_tensor(ours), dequantize(tensor.data, tensor.tensor_type))

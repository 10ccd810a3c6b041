import argparse
import json
import random
from importlib.util import find_spec

import numpy as np
import pytest

from course_utils.learn.paths import project_dir

pytestmark = pytest.mark.skipif(not find_spec("diffusers"), reason="diffusers is not installed")
TOOLS = project_dir() / "tools"
SMALL = {"vae_steps": 3, "vae_batch": 4, "steps": 4, "gap_steps": 2, "batch": 4, "save_every": 2}


@pytest.fixture(scope="module")
def tools():
    """The modules of the trainer, and twelve made-up names in three styles in place of the packages."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(TOOLS))
        import checkpoints
        import emoji_sd_data
        import train_emoji_sd

        patch.setattr(emoji_sd_data, "load", lambda folder: made_up(emoji_sd_data))
        yield argparse.Namespace(checkpoints=checkpoints, data=emoji_sd_data, train=train_emoji_sd)


@pytest.fixture(scope="module")
def whole(tools, tmp_path_factory):
    """The folder of a run that nothing cut off."""
    folder = tmp_path_factory.mktemp("whole")
    tools.train.run(given(tools, folder))
    return folder


def made_up(data):
    rng = np.random.default_rng(0)
    words = ["apple", "heart", "dog", "cat"]
    return [
        data.Named(
            f"{color} {words[k % 4]}",
            "food" if k % 2 else "nature",
            rng.integers(0, 256, (3, 32, 32, 3), dtype=np.uint8),
            held_out=color == "violet",
            vendors_held_out=("fluent",) if k == 1 else (),
        )
        for k in range(4)
        for color in ("red", "green", "violet")
    ]


def given(tools, out, **more):
    values = tools.train.WHOLE | tools.train.REAL | SMALL | {"out": out, "packages": out / "packages"} | more
    return argparse.Namespace(**values)


@pytest.mark.slow
def test_a_run_that_was_cut_off_goes_on_to_the_same_weights(tools, whole, tmp_path, monkeypatch):
    save = tools.checkpoints.save

    def save_and_die(path, weights, optimiser, state):
        save(path, weights, optimiser, state)
        if path.name == "denoiser.safetensors" and state["step"] == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(tools.checkpoints, "save", save_and_die)
    with pytest.raises(KeyboardInterrupt):
        tools.train.run(given(tools, tmp_path))
    assert not (tmp_path / "pipeline").exists()
    monkeypatch.setattr(tools.checkpoints, "save", save)
    tools.train.run(given(tools, tmp_path))
    first, second = (json.loads((one / "report.json").read_text()) for one in (whole, tmp_path))
    assert all(first[stage]["losses"] == second[stage]["losses"] for stage in ("vae", "denoiser", "gaps"))
    for part in ("unet/diffusion_pytorch_model", "vae/diffusion_pytorch_model", "text_encoder/model"):
        same = [(one / "pipeline" / f"{part}.safetensors").read_bytes() for one in (whole, tmp_path)]
        assert same[0] == same[1], part


@pytest.mark.slow
def test_the_written_pipeline_is_loaded_by_diffusers_and_draws(whole):
    import torch
    from diffusers import StableDiffusionPipeline

    pipe = StableDiffusionPipeline.from_pretrained(whole / "pipeline", dtype=torch.float32, use_safetensors=True)
    pipe.set_progress_bar_config(disable=True)
    picture = pipe("food: red apple, google style", num_inference_steps=2, height=32, width=32).images[0]
    assert picture.size == (32, 32)


def test_nothing_held_out_is_in_the_rows_or_in_the_tokenizers_texts(tools):
    names = made_up(tools.data)
    rows = tools.data.training_rows(names)
    assert len(rows) == 8 * 3 - 2
    assert not any(one.held_out for one, _, _ in rows)
    assert not [1 for one, vendor, _ in rows if vendor in one.vendors_held_out]
    assert "violet" not in " ".join(tools.data.captions(names))


def test_a_tenth_of_the_captions_is_empty_and_most_name_the_style(tools):
    named, rng = made_up(tools.data)[0], random.Random(0)
    made = [tools.data.caption(named, "twitter", rng) for _ in range(4000)]
    assert 0.08 < made.count("") / 4000 < 0.12
    assert 0.52 < sum("red" in one and one.endswith("twitter style") for one in made) / 4000 < 0.58


def test_captions_with_gaps_keep_category_and_style_where_words_are_made_up(tools):
    named, rng = made_up(tools.data)[0], random.Random(0)
    made = [tools.data.caption_with_gaps(named, "twitter", rng) for _ in range(4000)]
    alone = sum(one == "nature, twitter style" for one in made) / 4000
    strange = [one for one in made if one.startswith("nature: ") and not set(one.split()) <= set(KNOWN)]
    assert 0.12 < alone < 0.18 and 0.12 < len(strange) / 4000 < 0.18
    assert all(one.endswith(", twitter style") for one in strange)


KNOWN = ["nature:", "red", "apple", "red,", "apple,", "twitter", "style"]


@pytest.mark.slow
def test_whitened_latents_have_mean_0_and_covariance_1_and_decode_to_the_same_picture(tools):
    import emoji_sd_models as models
    import torch

    torch.manual_seed(0)
    coder = models.vae().eval()
    pictures = torch.rand(64, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        before = coder.encode(pictures).latent_dist.mean
        decoded = coder.decode(before).sample
        models.whiten(coder, before)
        after = coder.encode(pictures).latent_dist.mean
        flat = after.permute(1, 0, 2, 3).flatten(1)
        torch.testing.assert_close(torch.cov(flat), torch.eye(4), atol=1e-3, rtol=0)
        torch.testing.assert_close(flat.mean(1), torch.zeros(4), atol=1e-3, rtol=0)
        torch.testing.assert_close(coder.decode(after).sample, decoded, atol=1e-3, rtol=1e-3)


def test_the_tokenizer_is_the_same_in_every_run(tools, tmp_path):
    import emoji_sd_models as models

    texts = tools.data.captions(made_up(tools.data))
    made = [models.tokenizer(texts, tmp_path / str(run)).get_vocab() for run in range(4)]
    assert made[0] == made[1] == made[2] == made[3]


def test_the_tokenizer_reads_any_text_and_ends_a_long_one_with_its_end_token(tools, tmp_path):
    import emoji_sd_models as models

    pieces = models.tokenizer(tools.data.captions(made_up(tools.data)), tmp_path)
    assert pieces.decode(pieces("red apple", add_special_tokens=False)["input_ids"]).strip() == "red apple"
    for text in ("", "Zürich 日本 🍎", "red apple " * 40):
        ids = pieces(text, padding="max_length", truncation=True)["input_ids"]
        assert len(ids) == models.LENGTH and ids[0] == pieces.bos_token_id and pieces.eos_token_id in ids

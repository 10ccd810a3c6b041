"""The shipped Emoji-SD: it is small and safe to load, belongs to its record, and words and settings do something."""

import hashlib
import json

import numpy as np
import pytest

from course_utils.learn import models, weights_file
from course_utils.learn.paths import project_dir

pytest.importorskip("diffusers")
pytestmark = pytest.mark.slow
FOLDER = models.folder("emoji-sd")
SEEDS = range(6)


@pytest.fixture(scope="module")
def draw():
    import torch
    from diffusers import StableDiffusionPipeline

    pipe = StableDiffusionPipeline.from_pretrained(FOLDER, dtype=torch.float32, use_safetensors=True)
    pipe.set_progress_bar_config(disable=True)

    def drawn(prompt, scale=3.0, negative=""):
        """Six pictures N×32×32×3 from 0 to 1."""
        noise = [torch.Generator().manual_seed(seed) for seed in SEEDS]
        size = {"height": 32, "width": 32, "num_inference_steps": 15, "output_type": "np"}
        words = {"prompt": [prompt] * len(SEEDS), "negative_prompt": [negative] * len(SEEDS)}
        return pipe(**words, **size, guidance_scale=scale, generator=noise).images

    return drawn


def redness(pictures):
    """How much more red than green and blue there is, on the mean."""
    return float((pictures[..., 0] - pictures[..., 1:].mean(-1)).mean())


def test_it_takes_at_most_16_mb_and_its_weights_are_safetensors_in_16_bits():
    files = [path for path in FOLDER.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 16_000_000
    assert {path.suffix for path in files} == {".json", ".md", ".png", ".safetensors"}
    for path in FOLDER.rglob("*.safetensors"):
        assert weights_file.check_weights(path).dtypes in (("F16",), ("F16", "I64"))


def test_the_record_and_the_model_card_are_those_of_these_weights():
    record = json.loads((project_dir() / "benchmarks" / "results" / "emoji_sd.json").read_text())
    for name, digest in record["sha256"].items():
        assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == digest, name
    share = record["judged"]["training names"]["nearest real picture has the name"]
    assert f"{share:.1%}" in (FOLDER / "README.md").read_text()


def test_colour_words_colour_the_heart(draw):
    red, blue = draw("symbol: red heart, google style"), draw("symbol: blue heart, google style")
    assert redness(red) > 0.1 > -0.05 > redness(blue)


def test_a_negative_prompt_pushes_the_colour_away(draw):
    plain, away = draw("heart"), draw("heart", negative="red heart")
    assert redness(away) < redness(plain) - 0.03


def test_without_guidance_the_words_are_heard_less(draw):
    prompt = "symbol: red heart, google style"
    assert redness(draw(prompt, scale=1.0)) < redness(draw(prompt)) - 0.05


def test_the_style_word_changes_the_picture_of_the_same_seed(draw):
    google, fluent = (draw(f"place: police car, {vendor} style") for vendor in ("google", "fluent"))
    assert np.abs(google - fluent).mean() > 0.02

"""Week 08b's exercises against diffusers, transformers and torch."""

from types import SimpleNamespace

import pytest
import torch

from course_utils.exercises.week08b import img2img_steps, prompt_ids, word_map

diffusers = pytest.importorskip("diffusers")
pytestmark = pytest.mark.slow


@pytest.mark.parametrize("strength", [0.0, 0.3, 0.55, 0.8, 1.0])
@pytest.mark.parametrize("steps", [7, 20, 50])
def test_the_steps_of_img2img_are_those_of_diffusers(steps, strength):
    scheduler = diffusers.DDIMScheduler()
    scheduler.set_timesteps(steps)
    pipeline = SimpleNamespace(scheduler=scheduler)
    theirs, _ = diffusers.StableDiffusionImg2ImgPipeline.get_timesteps(pipeline, steps, strength, "cpu")
    assert img2img_steps.reference(scheduler.timesteps.tolist(), strength) == theirs.tolist()


@pytest.mark.parametrize("text", ["", "a red apple", "one two three four five six seven eight nine ten eleven"])
def test_the_row_of_tokens_is_that_of_clips_tokenizer(text, tmp_path, monkeypatch):
    from course_utils.learn.paths import project_dir

    monkeypatch.syspath_prepend(str(project_dir() / "tools"))
    import emoji_sd_models

    pieces = emoji_sd_models.tokenizer(["a red apple, google style", "one two three"], tmp_path)
    row = pieces(text, padding="max_length", truncation=True, max_length=10)["input_ids"]
    words = pieces(text, add_special_tokens=False)["input_ids"]
    mine = prompt_ids.reference(words, 10, pieces.bos_token_id, pieces.eos_token_id, pieces.pad_token_id)
    assert mine == row


def test_the_map_of_a_word_is_what_attention_gives_to_a_value_that_marks_it():
    torch.manual_seed(0)
    q, k, token = torch.randn(3, 16, 8), torch.randn(3, 5, 8), 2
    mark = torch.zeros(3, 5, 1)
    mark[:, token] = 1
    theirs = torch.nn.functional.scaled_dot_product_attention(q, k, mark).mean(0).view(4, 4)
    assert torch.allclose(word_map.reference(q, k, token), theirs, atol=1e-6)

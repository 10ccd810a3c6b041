import math
from dataclasses import replace
from types import SimpleNamespace

import numpy
import pytest
import tiny_pipeline
import torch

from course_utils.errors import CourseError
from course_utils.learn import picture_request
from course_utils.learn.picture_request import check, draw, kept_and_cut, sampler, save_memory, warnings
from course_utils.learn.picture_text import Settings

FOX = Settings("a red fox", "blue", 4, 7.5, 3, 32, 32)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    yield from tiny_pipeline.one_thread()


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return tiny_pipeline.pipeline(tmp_path_factory.mktemp("pipeline"))


@pytest.fixture(scope="module")
def shared_xl(tmp_path_factory):
    return tiny_pipeline.pipeline_xl(tmp_path_factory.mktemp("pipeline_xl"))


def same(one, two):
    return numpy.array_equal(numpy.asarray(one), numpy.asarray(two))


def recorder(pipeline, **answer):
    """A pipeline that draws nothing and keeps what it was called with."""
    calls = []

    class Recorder(SimpleNamespace):
        def __call__(self, **request):
            calls.append(request)
            return SimpleNamespace(images=[tiny_picture()], **answer)

    made = Recorder(scheduler=pipeline.scheduler, _interrupt=False)
    return made, calls


def tiny_picture():
    from PIL import Image

    return Image.new("RGB", (8, 8))


# The tiny tokenizer takes "fox" as one token and every other letter as one, and reads 22 between start and end.


@pytest.mark.parametrize(
    "prompt, kept, cut",
    [
        ("", "", ""),
        ("abcd efgh ijkl mnop qrst uv", "abcd efgh ijkl mnop qrst uv", ""),
        ("abcd efgh ijkl mnop qrst uvw", "abcd efgh ijkl mnop qrst uv", "w"),
        ("abcd efgh ijkl mnop qrst uv  Wxy, Z!", "abcd efgh ijkl mnop qrst uv", "Wxy, Z!"),
        ("fox " * 22, "fox " * 22, ""),
        ("FOX " * 25, ("FOX " * 22)[:-1], "FOX FOX FOX "),
        ("a" * 22 + "\nend", "a" * 22, "end"),
    ],
)
def test_the_cut_part_is_the_exact_rest_of_the_prompt(prompt, kept, cut, shared):
    assert kept_and_cut(shared.tokenizer, prompt) == (kept, cut)


def test_a_letter_of_several_tokens_is_cut_whole(shared):
    prompt = "a" * 20 + "🦊fox"  # four bytes, and room for two
    assert kept_and_cut(shared.tokenizer, prompt) == ("a" * 20, "🦊fox")


@pytest.mark.parametrize("prompt", ["fox " * 30, "Over all the hilltops is rest now, in all", "a.b,c;d" * 9, "🦊" * 9])
def test_no_letter_is_lost_and_the_model_reads_the_same_without_the_cut_part(prompt, shared):
    kept, cut = kept_and_cut(shared.tokenizer, prompt)
    assert prompt.startswith(kept) and prompt.endswith(cut)
    assert prompt[len(kept) : len(prompt) - len(cut)].strip() == ""
    whole, alone = (shared.tokenizer(one, truncation=True)["input_ids"] for one in (prompt, kept))
    # A cut within a word makes its last letter the word's end, and of a letter in pieces the last ones go.
    assert len(alone) >= 22 and whole[:19] == alone[:19]


def test_what_is_cut_is_what_diffusers_says_that_it_cuts(shared, monkeypatch):
    from diffusers.pipelines.stable_diffusion import pipeline_stable_diffusion

    said = []
    monkeypatch.setattr(pipeline_stable_diffusion.logger, "warning", said.append)
    prompt = "fox " * 21 + "a dog sleeps"
    shared.encode_prompt(prompt, "cpu", 1, False)
    cut = kept_and_cut(shared.tokenizer, prompt)[1]
    assert cut == "dog sleeps"
    # Its tokenizer gives "d o g s l e e p s" back, each letter a token that ends no word.
    assert said[0].replace(" ", "").endswith(f"['{cut.replace(' ', '')}']")


def test_a_prompt_that_fits_gives_no_warning(shared):
    assert warnings(shared, FOX) == ()


def test_a_warning_names_the_limit_the_number_of_tokens_and_the_cut_words(shared):
    settings = replace(FOX, prompt="fox " * 22 + "at night", negative="x " * 30)
    assert warnings(shared, settings) == (
        "The prompt has 29 tokens, and the model reads 22 of them (24 with start and end); cut off: “at night”.",
        "The negative prompt has 30 tokens, and the model reads 22 of them (24 with start and end); "
        "cut off: “x x x x x x x x ”.",
    )


def test_a_very_long_rest_is_quoted_in_part(shared):
    (sentence,) = warnings(shared, replace(FOX, prompt="fox " * 5000))
    assert "5000 tokens" in sentence and len(sentence) < 500 and sentence.endswith("…”.")


def test_of_two_tokenizers_the_shorter_message_is_given_once(shared_xl, monkeypatch):
    settings = replace(FOX, prompt="fox " * 25)
    assert len(warnings(shared_xl, settings)) == 1
    monkeypatch.setattr(shared_xl.tokenizer_2, "model_max_length", 25)
    assert "reads 23 of them (25 with" in warnings(shared_xl, settings)[0]


@pytest.mark.parametrize(
    "change, words",
    [
        ({"width": 500}, "The width is 500 pixels, which 8 does not divide. Take 496 or 504"),
        ({"height": 2047}, "The height is 2047 pixels, which 8 does not divide. Take 2040 or 2048"),
        ({"width": 5}, "The width is 5 pixels, which 8 does not divide. Take 8"),
        ({"width": 0}, "The width in pixels is 0. Give a whole number from 1 to 2048"),
        ({"height": -8}, "The height in pixels is -8. Give"),
        ({"width": 2056}, "The width in pixels is 2056. Give a whole number from 1 to 2048"),
        ({"width": 512.0}, "The width in pixels is 512.0. Give a whole number"),
        ({"height": "512"}, "The height in pixels is '512'. Give a whole number"),
        ({"steps": 0}, "The number of steps is 0. Give a whole number from 1 to 1000"),
        ({"steps": 1001}, "The number of steps is 1001"),
        ({"steps": 20.5}, "The number of steps is 20.5"),
        ({"steps": True}, "The number of steps is True"),
        ({"scale": -0.1}, "The guidance scale is -0.1. Give a number from 0 to 50"),
        ({"scale": 50.5}, "The guidance scale is 50.5"),
        ({"scale": math.nan}, "The guidance scale is nan"),
        ({"scale": math.inf}, "The guidance scale is inf"),
        ({"scale": "7"}, "The guidance scale is '7'"),
        ({"scale": None}, "The guidance scale is None"),
        ({"seed": -1}, "The seed is -1. Give a whole number from 0 to 4294967295"),
        ({"seed": 2**32}, "The seed is 4294967296"),
        ({"seed": 1.0}, "The seed is 1.0"),
        ({"prompt": None}, "The prompt is None. Give it as text in quotes; an empty one is allowed"),
        ({"negative": ["blue"]}, r"The negative prompt is \['blue'\]"),
        ({"sampler": "Euler a"}, "There is no sampler 'Euler a'. The nearest is 'Euler'; there are DDIM, Euler, DPM"),
        ({"sampler": ["DDIM"]}, "There is no sampler"),
        ({"sampler": "LCM", "steps": 51}, "The sampler LCM takes at most 50 steps with this model, not 51. Take fewer"),
        ({"sampler": "DDIM", "steps": 1000}, "The sampler DDIM takes at most 999 steps with this model, not 1000"),
    ],
)
def test_what_the_pipeline_cannot_draw_is_refused_in_a_sentence(change, words, shared):
    with pytest.raises(CourseError, match=words):
        check(shared, replace(FOX, **change))
    with pytest.raises(CourseError, match=words):
        draw(shared, replace(FOX, **change))


@pytest.mark.parametrize(
    "change",
    [
        {"width": 8, "height": 2048},
        {"steps": 1},
        {"steps": 999},
        {"sampler": "Euler", "steps": 1000},
        {"sampler": "DPM++ 2M Karras", "steps": 1000},
        {"sampler": "LCM", "steps": 50},
        {"scale": 0},
        {"scale": 50},
        {"seed": 2**32 - 1},
        {"prompt": "", "negative": ""},
    ],
)
def test_the_limits_themselves_are_allowed(change, shared):
    check(shared, replace(FOX, **change))


@pytest.mark.parametrize("steps", [1, 2, 50, 500, 501, 999, 1000])
@pytest.mark.parametrize("name", list(picture_request.SAMPLERS))
def test_the_limit_of_steps_is_where_diffusers_itself_fails(name, steps, shared):
    """The oracle: a scheduler that sets its times, all within those that the model was trained on."""
    try:
        scheduler = sampler(shared, name)
        scheduler.set_timesteps(steps)
        can = name != "DDIM" or max(scheduler.timesteps) < 1000
    except ValueError:
        can = False
    try:
        check(shared, replace(FOX, sampler=name, steps=steps))
        allowed = True
    except CourseError:
        allowed = False
    assert allowed == can


def test_a_model_that_was_trained_with_fewer_steps_sets_the_limit(shared, monkeypatch):
    few = type(shared.scheduler).from_config(shared.scheduler.config, num_train_timesteps=100)
    monkeypatch.setattr(shared, "scheduler", few)
    with pytest.raises(CourseError, match="Euler takes at most 100 steps"):
        check(shared, replace(FOX, sampler="Euler", steps=101))


def test_each_sampler_is_of_its_class_and_has_the_models_own_noise(shared):
    kinds = {name: type(sampler(shared, name)).__name__ for name in picture_request.SAMPLERS}
    assert kinds == {
        "DDIM": "DDIMScheduler",
        "Euler": "EulerDiscreteScheduler",
        "DPM++ 2M Karras": "DPMSolverMultistepScheduler",
        "LCM": "LCMScheduler",
    }
    for name in kinds:
        made = sampler(shared, name)
        assert made is not shared.scheduler and made.config.prediction_type == "v_prediction"
        assert torch.equal(made.alphas_cumprod, shared.scheduler.alphas_cumprod)
    karras = sampler(shared, "DPM++ 2M Karras").config
    assert karras.use_karras_sigmas and karras.algorithm_type == "dpmsolver++" and karras.solver_order == 2


def test_a_sampler_does_not_inherit_what_the_pipelines_own_was_set_to(shared, monkeypatch):
    monkeypatch.setattr(shared, "scheduler", sampler(shared, "DPM++ 2M Karras"))
    assert not sampler(shared, "Euler").config.use_karras_sigmas
    from diffusers import EulerDiscreteScheduler

    other = EulerDiscreteScheduler.from_config(
        shared.scheduler.config, use_karras_sigmas=False, use_exponential_sigmas=True
    )
    monkeypatch.setattr(shared, "scheduler", other)
    assert sampler(shared, "DPM++ 2M Karras").config.use_karras_sigmas
    monkeypatch.setattr(shared, "scheduler", sampler(shared, "LCM"))
    check(shared, replace(FOX, sampler="Euler", steps=51))


def test_a_picture_is_the_one_that_the_pipeline_draws_itself(shared):
    own = shared(
        "a red fox",
        negative_prompt="blue",
        num_inference_steps=4,
        guidance_scale=7.5,
        width=32,
        height=32,
        generator=torch.Generator().manual_seed(3),
    ).images[0]
    assert same(draw(shared, FOX), own)


@pytest.mark.parametrize("change", [{"seed": 4}, {"prompt": "a dog"}, {"negative": ""}, {"scale": 2}, {"steps": 5}])
def test_every_setting_changes_the_picture_and_the_same_ones_repeat_it(change, shared):
    changed = replace(FOX, **change)
    assert not same(draw(shared, changed), draw(shared, FOX))
    assert same(draw(shared, changed), draw(shared, changed))


@pytest.mark.parametrize("name", list(picture_request.SAMPLERS))
def test_each_sampler_draws_and_the_pipeline_keeps_its_own(name, shared):
    own, config = shared.scheduler, dict(shared.scheduler.config)
    picture = draw(shared, replace(FOX, sampler=name, width=40, height=24))
    assert picture.size == (40, 24)
    assert shared.scheduler is own and dict(own.config) == config
    assert (name == "DDIM") == same(picture, draw(shared, replace(FOX, width=40, height=24)))


def test_without_a_negative_prompt_sdxl_takes_its_zeros(shared_xl):
    none = shared_xl("a fox", num_inference_steps=2, width=32, height=32, generator=torch.Generator().manual_seed(0))
    settings = Settings("a fox", scale=5.0, steps=2, width=32, height=32)
    assert shared_xl.config.force_zeros_for_empty_prompt
    assert same(draw(shared_xl, settings), none.images[0])


def test_each_step_is_told_and_the_last_one_is_the_number_of_steps(shared):
    told = []
    draw(shared, FOX, lambda done, steps: told.append((done, steps)))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize("pipe", ["shared", "shared_xl"])
def test_false_stops_after_that_step_and_the_next_picture_is_whole(pipe, request):
    pipeline, told = request.getfixturevalue(pipe), []
    whole = draw(pipeline, FOX)

    def on_step(done, _steps):
        told.append(done)
        return done < 2

    assert draw(pipeline, FOX, on_step) is None
    assert told == [1, 2] and pipeline._interrupt is False
    assert same(draw(pipeline, FOX), whole)


@pytest.mark.parametrize("answer", [None, 0, ""])
def test_only_false_itself_stops(answer, shared):
    assert draw(shared, FOX, lambda done, steps: answer) is not None


def test_a_stop_at_the_last_step_gives_no_picture(shared):
    assert draw(shared, FOX, lambda done, steps: done < steps) is None


def test_an_error_in_the_middle_leaves_the_pipeline_as_it_was(shared):
    own = shared.scheduler

    def on_step(done, _steps):
        raise ZeroDivisionError(done)

    with pytest.raises(ZeroDivisionError):
        draw(shared, replace(FOX, sampler="Euler"), on_step)
    assert shared.scheduler is own and shared._interrupt is False
    assert draw(shared, FOX) is not None


def test_a_picture_that_the_safety_checker_made_black_is_marked(shared):
    blackened, _ = recorder(shared, nsfw_content_detected=[True])
    assert draw(blackened, FOX).info["withheld"] is True
    for answer in ({"nsfw_content_detected": [False]}, {"nsfw_content_detected": None}, {}):
        assert draw(recorder(shared, **answer)[0], FOX).info["withheld"] is False


@pytest.mark.parametrize(
    "error, expected",
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:114] DefaultCPUAllocator: can't allocate memory"), True),
        (MemoryError(), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_errors_of_memory_are_told_from_others(error, expected):
    assert picture_request.no_memory(error) is expected


def test_savings_are_switched_on_once_and_the_picture_stays(tmp_path):
    pipeline = tiny_pipeline.pipeline(tmp_path)
    before = draw(pipeline, FOX)
    assert save_memory(pipeline) == ("VAE slicing", "VAE tiling")
    assert pipeline.vae.use_slicing and pipeline.vae.use_tiling
    assert save_memory(pipeline) == ()
    assert same(draw(pipeline, FOX), before)


def test_attention_is_sliced_where_it_is_not_fused(tmp_path):
    from diffusers.models.attention_processor import AttnProcessor

    pipeline = tiny_pipeline.pipeline(tmp_path)
    pipeline.unet.set_attn_processor(AttnProcessor())
    before = draw(pipeline, FOX)
    assert save_memory(pipeline) == ("attention slicing", "VAE slicing", "VAE tiling")
    kinds = {type(one).__name__ for one in pipeline.unet.attn_processors.values()}
    assert kinds == {"SlicedAttnProcessor"}
    assert save_memory(pipeline) == ()
    difference = numpy.abs(numpy.asarray(draw(pipeline, FOX)).astype(int) - numpy.asarray(before)).max()
    assert difference <= 1

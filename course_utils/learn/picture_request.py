"""Asking a Stable Diffusion pipeline of diffusers for one picture: what it will not read, what it would choke on, drawing."""

import math
from difflib import get_close_matches

from course_utils.errors import CourseError
from course_utils.gpu.oom.oom import is_oom

GRID_PIXELS = 8  # diffusers takes only sides that this divides
MOST_PIXELS = 2048
MOST_STEPS = 1000
MOST_SCALE = 50
MOST_SEED = 2**32 - 1
SHOWN_LETTERS = 300
NO_MEMORY = ("out of memory", "can't allocate memory")  # as other backends than CUDA's say it
_SIGMAS = {"use_karras_sigmas": False, "use_exponential_sigmas": False, "use_beta_sigmas": False}
# The class in diffusers, and what it needs beside the pipeline's own configuration.
SAMPLERS = {
    "DDIM": ("DDIMScheduler", {}),
    "Euler": ("EulerDiscreteScheduler", _SIGMAS),
    "DPM++ 2M Karras": (
        "DPMSolverMultistepScheduler",
        {**_SIGMAS, "algorithm_type": "dpmsolver++", "solver_order": 2, "use_karras_sigmas": True},
    ),
    "LCM": ("LCMScheduler", {}),
}


def kept_and_cut(tokenizer, prompt):
    """The part of a prompt that the model reads, and the part that is cut off, or "" where it reads all.

    The limit is the tokenizer's `model_max_length`, in tokens, start and end included; a cut may go through a word.
    """
    places, room = _places(tokenizer, prompt), _room(tokenizer)
    if len(places) <= room:
        return prompt, ""
    start = places[room][0]
    end = min(start, places[room - 1][1])  # the pieces of one letter all stand at that letter's place
    return prompt[:end], prompt[start:]


def warnings(pipeline, settings):
    """Sentences about what the model will not read of the prompt and of the negative prompt; () where it reads all."""
    tokenizers = [getattr(pipeline, name, None) for name in ("tokenizer", "tokenizer_2")]
    found = []
    for name, prompt in (("prompt", settings.prompt), ("negative prompt", settings.negative)):
        sentences = [_cut_words(one, name, prompt) for one in tokenizers if one is not None]
        found += sorted((one for one in sentences if one), key=len)[:1]
    return tuple(found)


def check(pipeline, settings):
    """Raise CourseError where the pipeline cannot draw with these settings: what is wrong, and what is allowed."""
    for name, text in (("prompt", settings.prompt), ("negative prompt", settings.negative)):
        if not isinstance(text, str):
            raise CourseError(f"The {name} is {text!r}. Give it as text in quotes; an empty one is allowed.")
    for name, side in (("width", settings.width), ("height", settings.height)):
        _check_side(name, side)
    _check_whole("seed", settings.seed, 0, MOST_SEED)
    _check_scale(settings.scale)
    _check_whole("number of steps", settings.steps, 1, MOST_STEPS)
    most = _most_steps(settings.sampler, sampler(pipeline, settings.sampler).config)
    if settings.steps > most:
        raise CourseError(
            f"The sampler {settings.sampler} takes at most {most} steps with this model, not {settings.steps}. "
            "Take fewer steps, or another sampler."
        )


def sampler(pipeline, name):
    """A new scheduler of this name, made from the configuration of the pipeline's own, which stays as it is.

    Raises CourseError with the nearest name where there is none.
    """
    if name not in list(SAMPLERS):
        near = get_close_matches(str(name), SAMPLERS, n=1, cutoff=0.0)[0]
        raise CourseError(f"There is no sampler {name!r}. The nearest is {near!r}; there are {', '.join(SAMPLERS)}.")
    import diffusers

    kind, own = SAMPLERS[name]
    return getattr(diffusers, kind).from_config(pipeline.scheduler.config, **own)


def draw(pipeline, settings, on_step=None):
    """The PIL picture that a pipeline draws with these settings, or None where `on_step(done, steps)` gave False.

    `on_step` is called after each step. `info["withheld"]` of the picture is True where the pipeline's safety
    checker blackened it. The pipeline keeps its own scheduler. Raises CourseError as `check` does.
    """
    check(pipeline, settings)

    def after_step(running, index, _timestep, tensors):
        if on_step is not None and on_step(index + 1, running.num_timesteps) is False:
            running._interrupt = True
        return tensors

    own = pipeline.scheduler
    pipeline.scheduler = sampler(pipeline, settings.sampler)
    try:
        made = pipeline(**_request(settings), callback_on_step_end=after_step)
        return None if pipeline._interrupt else _picture(made)
    finally:
        pipeline.scheduler, pipeline._interrupt = own, False


def no_memory(error):
    """Whether an error says that memory ran out, on whatever device."""
    return is_oom(error) or (isinstance(error, RuntimeError) and any(words in str(error) for words in NO_MEMORY))


def save_memory(pipeline):
    """Switch on what makes a pipeline need less memory at a time; the names of what was off before.

    Attention is sliced only where it is computed the plain way: torch's fused attention, diffusers' usual one,
    needs less memory than slices do.
    """
    unet, vae, switched = getattr(pipeline, "unet", None), getattr(pipeline, "vae", None), []
    if any(type(one).__name__ == "AttnProcessor" for one in getattr(unet, "attn_processors", {}).values()):
        pipeline.enable_attention_slicing()
        switched.append("attention slicing")
    for name in ("slicing", "tiling"):
        if getattr(vae, f"use_{name}", None) is False:
            getattr(vae, f"enable_{name}")()
            switched.append(f"VAE {name}")
    return tuple(switched)


def _request(settings):
    """The settings as arguments of a pipeline's call."""
    import torch

    return {
        "prompt": settings.prompt,
        # SDXL was trained with zeros for "no negative prompt", which None asks for and "" does not.
        "negative_prompt": settings.negative or None,
        "num_inference_steps": settings.steps,
        "guidance_scale": settings.scale,
        "width": settings.width,
        "height": settings.height,
        # On the CPU, so that a seed gives the same noise whatever the pipeline runs on.
        "generator": torch.Generator("cpu").manual_seed(settings.seed),
    }


def _picture(made):
    picture = made.images[0]
    picture.info["withheld"] = any(getattr(made, "nsfw_content_detected", None) or ())
    return picture


def _places(tokenizer, prompt):
    """Where each token of a prompt stands in it, as pairs of start and end, in letters."""
    options = {"add_special_tokens": False, "return_offsets_mapping": True, "verbose": False}
    return tokenizer(prompt, **options)["offset_mapping"]


def _room(tokenizer):
    return tokenizer.model_max_length - tokenizer.num_special_tokens_to_add()


def _cut_words(tokenizer, name, prompt):
    """The sentence about what a tokenizer cuts off, or None."""
    _, cut = kept_and_cut(tokenizer, prompt)
    if not cut:
        return None
    tokens, room = len(_places(tokenizer, prompt)), _room(tokenizer)
    shown = cut if len(cut) <= SHOWN_LETTERS else f"{cut[:SHOWN_LETTERS]}…"
    return (
        f"The {name} has {tokens} tokens, and the model reads {room} of them "
        f"({tokenizer.model_max_length} with start and end); cut off: “{shown}”."
    )


def _check_whole(name, value, least, most):
    if type(value) is not int or not least <= value <= most:
        raise CourseError(f"The {name} is {value!r}. Give a whole number from {least} to {most}.")


def _check_scale(scale):
    if type(scale) not in (int, float) or not math.isfinite(scale) or not 0 <= scale <= MOST_SCALE:
        raise CourseError(f"The guidance scale is {scale!r}. Give a number from 0 to {MOST_SCALE}; 7.5 is usual.")


def _check_side(name, side):
    _check_whole(f"{name} in pixels", side, 1, MOST_PIXELS)
    if side % GRID_PIXELS:
        below = side // GRID_PIXELS * GRID_PIXELS
        near = " or ".join(str(one) for one in (below, below + GRID_PIXELS) if one > 0)
        raise CourseError(f"The {name} is {side} pixels, which {GRID_PIXELS} does not divide. Take {near}.")


def _most_steps(name, config):
    """How many steps a sampler can make: more would end in diffusers' IndexError or ValueError."""
    if name == "LCM":
        return config.original_inference_steps
    # DDIM's "leading" times of T steps are 0 … T-1, and the offset on top leaves its table of noise levels.
    past = config.steps_offset if name == "DDIM" and config.timestep_spacing == "leading" else 0
    return config.num_train_timesteps - past

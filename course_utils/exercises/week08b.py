"""Exercises of week 08b, Stable Diffusion, taken apart."""

import torch

from course_utils.learn.exercise import Case, exercise

CLOSE = {"needs": ("torch",), "relative": 1e-4, "absolute": 1e-5}  # what fp32 can promise


def normal(rng, *size):
    return torch.tensor(rng.normal(size=size), dtype=torch.float32)


@exercise(
    "week08b.prompt_ids",
    points=2,
    minutes=10,
    difficulty=2,
    needs=(),
    hints=(
        "Room for words is `length - 2`: one place for the start, one for the end.",
        "Cut the words first, add start and end, and fill up last: a cut prompt must still end with the end token.",
    ),
)
def prompt_ids(words, length, start, end, filler):
    row = [start, *words[: length - 2], end]
    return row + [filler] * (length - len(row))


@prompt_ids.cases
def _(rng):
    yield Case(([7, 8, 9], 8, 100, 101, 0), note="three words, room for six")
    yield Case((rng.integers(10, 99, size=6).tolist(), 8, 100, 101, 0), note="six words: they just fit")
    yield Case((rng.integers(10, 99, size=20).tolist(), 8, 100, 101, 0), note="twenty words: fourteen must go")
    yield Case(([], 5, 1, 2, 2), note="no word at all, and the end token fills up")


@prompt_ids.mistake(
    "You cut after adding the end token, so a long prompt has none. Cut the words, then add start and end."
)
def _(words, length, start, end, filler):
    row = [start, *words, end][:length]
    return row + [filler] * (length - len(row))


@prompt_ids.mistake("Long prompts come out too long: start and end take two of the places.")
def _(words, length, start, end, filler):
    row = [start, *words[:length], end]
    return row + [filler] * (length - len(row))


@prompt_ids.mistake("The filler stands in front. The text encoder counts places from the start token: fill up behind.")
def _(words, length, start, end, filler):
    row = [start, *words[: length - 2], end]
    return [filler] * (length - len(row)) + row


@prompt_ids.mistake("You filled up with the end token. Stable Diffusion 1.5 does so by chance: take `filler`.")
def _(words, length, start, end, filler):
    row = [start, *words[: length - 2], end]
    return row + [end] * (length - len(row))


@exercise(
    "week08b.latent_scaling",
    points=1,
    minutes=5,
    difficulty=1,
    **CLOSE,
    hints=(
        "The VAE's numbers are about 1/0.18 times too large for a U-Net that expects variance 1. Which way does each go?",
        "One of the two is multiplied by the factor, the other divided: there and back must give the same numbers.",
    ),
)
def latent_scaling(encoded, denoised, scaling_factor):
    return encoded * scaling_factor, denoised / scaling_factor


@latent_scaling.cases
def _(rng):
    yield Case((torch.tensor([5.0]), torch.tensor([1.0]), 0.2), note="5 · 0.2 into the U-Net, 1 / 0.2 to the decoder")
    yield Case((5 * normal(rng, 1, 4, 3, 3), normal(rng, 1, 4, 3, 3), 0.18215), note="Stable Diffusion 1.5's factor")
    yield Case((7 * normal(rng, 2, 4, 2, 2), normal(rng, 2, 4, 2, 2), 0.13025), note="SDXL's factor")


@latent_scaling.mistake(
    "Both ways are swapped: encoded latents are *multiplied* by the factor, and divided on the way back."
)
def _(encoded, denoised, scaling_factor):
    return encoded / scaling_factor, denoised * scaling_factor


@latent_scaling.mistake("The way in is right. On the way back to the decoder, divide by the factor.")
def _(encoded, denoised, scaling_factor):
    return encoded * scaling_factor, denoised * scaling_factor


@latent_scaling.mistake("The way back is right. On the way in, to the U-Net, multiply by the factor.")
def _(encoded, denoised, scaling_factor):
    return encoded / scaling_factor, denoised / scaling_factor


@exercise(
    "week08b.guided_noise",
    points=3,
    minutes=15,
    difficulty=2,
    **CLOSE,
    hints=(
        "`torch.cat([latents, latents])` and `torch.cat([empty, text])` make one batch of double size. The order counts.",
        "`unet(…).chunk(2)` gives the guesses back, in the order in which you put them in.",
    ),
)
def guided_noise(unet, latents, t, empty, text, scale):
    both = unet(torch.cat([latents, latents]), t, torch.cat([empty, text]))
    without, with_text = both.chunk(2)
    return without + scale * (with_text - without)


@guided_noise.cases
def _(rng):
    for count, scale in ((1, 7.5), (2, 3.0), (3, 0.0)):
        latents, empty, text = normal(rng, count, 2, 3, 3), normal(rng, count, 4, 5), normal(rng, count, 4, 5)
        yield Case((latents, 400, empty, text, scale), note=f"a batch of {count}, scale {scale}")


@guided_noise.drive
def _(attempt, latents, t, empty, text, scale):
    # A U-Net whose guess depends on all that it is given, and that counts how often it is asked.
    calls = []

    def unet(latents, t, words):
        calls.append(len(latents))
        return latents * (1 + t / 1000) + words.mean(dim=(1, 2))[:, None, None, None]

    return {"guess": attempt(unet, latents, t, empty, text, scale), "sizes of the batches": calls}


@guided_noise.mistake(
    "Right, but in two passes. One pass over a batch of double size gives the same, faster on a card."
)
def _(unet, latents, t, empty, text, scale):
    without, with_text = unet(latents, t, empty), unet(latents, t, text)
    return without + scale * (with_text - without)


@guided_noise.mistake("You took the halves in the wrong order: what went in first, the empty prompt, comes out first.")
def _(unet, latents, t, empty, text, scale):
    with_text, without = unet(torch.cat([latents, latents]), t, torch.cat([empty, text])).chunk(2)
    return without + scale * (with_text - without)


@guided_noise.mistake(
    "The step starts from the guess *with* the text. Start from the empty one: a scale of 0 must ignore the text."
)
def _(unet, latents, t, empty, text, scale):
    without, with_text = unet(torch.cat([latents, latents]), t, torch.cat([empty, text])).chunk(2)
    return with_text + scale * (with_text - without)


@exercise(
    "week08b.img2img_steps",
    points=2,
    minutes=10,
    difficulty=2,
    needs=(),
    hints=(
        "Strength 1 walks all steps, strength 0 none. How many is strength 0.6 of 20?",
        "The walk ends where it always ends: the *first* steps are left out. Round down with `int`.",
    ),
)
def img2img_steps(times, strength):
    count = int(len(times) * strength)
    return times[len(times) - count :]


@img2img_steps.cases
def _(rng):
    for count, strength, note in ((5, 0.4, "two of five steps"), (25, 0.75, "25 steps, strength 0.75")):
        yield Case((sorted(rng.choice(1000, count, replace=False).tolist(), reverse=True), strength), note=note)
    yield Case(([900, 700, 500, 300, 100], 1.0), note="all of them")
    yield Case(([900, 700, 500, 300, 100], 0.0), note="none: the picture stays as it is")


@img2img_steps.mistake(
    "You kept the first steps. They belong to more noise than the picture got; keep the *last* ones."
)
def _(times, strength):
    return times[: int(len(times) * strength)]


@img2img_steps.mistake("You walk the share that should be left out: a strength of 1 must walk all steps.")
def _(times, strength):
    return times[int(len(times) * strength) :]


@img2img_steps.mistake(
    "`times[-0:]` is the whole list, so strength 0 walks all. Count from the front: `len(times) - count`."
)
def _(times, strength):
    return times[-int(len(times) * strength) :]


@img2img_steps.mistake("Your count is rounded up. Round *down* what is walked: 18 of 25 at strength 0.75, not 19.")
def _(times, strength):
    return times[int(len(times) * (1 - strength)) :]


@exercise(
    "week08b.word_map",
    points=3,
    minutes=15,
    difficulty=3,
    **CLOSE,
    hints=(
        "`scores = q @ k.transpose(-1, -2) / d**0.5` has one row a place of the picture and one column a token.",
        "Softmax over the *tokens*: each place shares its attention out. Then the mean over the heads, the token's column, and `view(side, side)`.",
    ),
)
def word_map(q, k, token):
    shares = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).softmax(-1).mean(0)
    side = round(shares.shape[0] ** 0.5)
    return shares[:, token].view(side, side)


@word_map.cases
def _(rng):
    for heads, side, tokens, size in ((1, 2, 3, 4), (4, 4, 6, 8), (2, 3, 5, 16)):
        q, k = normal(rng, heads, side * side, size), normal(rng, heads, tokens, size)
        yield Case((q, k, 1), note=f"{side} × {side} places, {tokens} tokens, heads: {heads}")


@word_map.mistake(
    "The softmax runs over the places. Each *place* divides its attention among the tokens: the last axis."
)
def _(q, k, token):
    shares = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).softmax(-2).mean(0)
    return shares[:, token].view(round(shares.shape[0] ** 0.5), -1)


@word_map.mistake("The scores are not divided by √d, so the map is too sharp.")
def _(q, k, token):
    shares = (q @ k.transpose(-1, -2)).softmax(-1).mean(0)
    return shares[:, token].view(round(shares.shape[0] ** 0.5), -1)


@word_map.mistake("You took the mean over the heads before the softmax. Each head looks in its own way: mean last.")
def _(q, k, token):
    shares = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).mean(0).softmax(-1)
    return shares[:, token].view(round(shares.shape[0] ** 0.5), -1)

"""Exercises of week 08a, Diffusion from scratch."""

import torch

from course_utils.learn.exercise import Case, exercise

CLOSE = {"needs": ("torch",), "relative": 1e-4, "absolute": 1e-5}  # what fp32 can promise


def normal(rng, *size):
    return torch.tensor(rng.normal(size=size), dtype=torch.float32)


def shares(rng, count):
    return torch.tensor(rng.uniform(0.02, 0.98, size=count), dtype=torch.float32)


@exercise(
    "week08a.alpha_bars",
    points=1,
    minutes=5,
    difficulty=1,
    **CLOSE,
    hints=(
        "Each step multiplies the picture's *variance* by 1 − β. What happens to several factors in a row?",
        "`torch.cumprod(…, dim=0)` multiplies up, and keeps each product on the way.",
    ),
)
def alpha_bars(betas):
    return (1 - betas).cumprod(0)


@alpha_bars.cases
def _(rng):
    yield Case((torch.tensor([0.1, 0.5]),), note="two steps: 0.9, then 0.9 · 0.5")
    yield Case((torch.linspace(1e-4, 0.02, 50),), note="fifty steps of a linear schedule")
    yield Case((torch.tensor(rng.uniform(0.001, 0.3, size=12), dtype=torch.float32),), note="twelve steps of any size")


@alpha_bars.mistake("You added the βs up. What is left shrinks by a *factor* 1 − β in each step: multiply.")
def _(betas):
    return 1 - betas.cumsum(0)


@alpha_bars.mistake("You multiplied the βs. What is left after a step is 1 − β, so the product is over 1 − β.")
def _(betas):
    return betas.cumprod(0)


@alpha_bars.mistake("That is √ᾱ, the picture's own factor. ᾱ is the share of its *variance*: leave the root out.")
def _(betas):
    return (1 - betas).sqrt().cumprod(0)


@alpha_bars.mistake("Your list is one step late: its first entry must already hold the first step, 1 − β₁.")
def _(betas):
    return torch.cat([torch.ones(1), (1 - betas).cumprod(0)[:-1]])


@exercise(
    "week08a.noised",
    points=2,
    minutes=10,
    difficulty=2,
    **CLOSE,
    hints=(
        "Squares add up to 1: the picture is multiplied by √ᾱ, the noise by √(1 − ᾱ).",
        "`alpha_bar` has one number a picture. `alpha_bar.view(-1, 1, 1, 1)` lines it up with (N, C, H, W).",
    ),
)
def noised(x0, noise, alpha_bar):
    share = alpha_bar.view(-1, 1, 1, 1)
    return share.sqrt() * x0 + (1 - share).sqrt() * noise


@noised.cases
def _(rng):
    yield Case(
        (torch.ones(1, 1, 2, 2), torch.zeros(1, 1, 2, 2), torch.tensor([0.25])), note="a white picture, no noise"
    )
    for count, channels, side in ((3, 1, 3), (4, 3, 4)):  # as many pictures as columns: the wrong axis fits, too
        size = count, channels, side, side
        note = f"{count} pictures of {channels} × {side} × {side}"
        yield Case((normal(rng, *size), normal(rng, *size), shares(rng, count)), note=note)


@noised.mistake("You left out the roots: ᾱ and 1 − ᾱ are shares of the *variance*. Multiply by √ᾱ and √(1 − ᾱ).")
def _(x0, noise, alpha_bar):
    share = alpha_bar.view(-1, 1, 1, 1)
    return share * x0 + (1 - share) * noise


@noised.mistake(
    "Picture and noise are swapped: √ᾱ belongs to the picture, which is nearly all there where ᾱ is near 1."
)
def _(x0, noise, alpha_bar):
    share = alpha_bar.view(-1, 1, 1, 1)
    return (1 - share).sqrt() * x0 + share.sqrt() * noise


@noised.mistake("ᾱ was lined up with the columns, not with the pictures: `alpha_bar.view(-1, 1, 1, 1)`.")
def _(x0, noise, alpha_bar):
    return alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * noise


@noised.mistake("The noise's factor is √(1 − ᾱ), the root of the whole difference, not 1 − √ᾱ.")
def _(x0, noise, alpha_bar):
    share = alpha_bar.view(-1, 1, 1, 1)
    return share.sqrt() * x0 + (1 - share.sqrt()) * noise


@noised.mistake("You used the first picture's ᾱ for all. Each picture of the batch has its own.")
def _(x0, noise, alpha_bar):
    return alpha_bar[0].sqrt() * x0 + (1 - alpha_bar[0]).sqrt() * noise


@exercise(
    "week08a.x0_from_v",
    points=2,
    minutes=10,
    difficulty=2,
    **CLOSE,
    hints=(
        "x_t = a·x₀ + s·ε and v = a·ε − s·x₀, with a = √ᾱ, s = √(1 − ᾱ) and a² + s² = 1. Which mixture of the two has no ε?",
        "a·x_t − s·v = a²·x₀ + a·s·ε − a·s·ε + s²·x₀.",
    ),
)
def x0_from_v(x_t, v, alpha_bar):
    return alpha_bar**0.5 * x_t - (1 - alpha_bar) ** 0.5 * v


@x0_from_v.cases
def _(rng):
    yield Case((torch.tensor([[3.0]]), torch.tensor([[1.0]]), 0.36), note="one pixel, ᾱ = 0.36: roots 0.6 and 0.8")
    yield Case((normal(rng, 1, 4, 4), normal(rng, 1, 4, 4), 0.9), note="a picture with little noise")
    yield Case((normal(rng, 2, 3, 4, 4), normal(rng, 2, 3, 4, 4), 0.07), note="two pictures with much noise")


@x0_from_v.mistake("The sign: v points from the picture to the noise, so it is *subtracted* on the way back.")
def _(x_t, v, alpha_bar):
    return alpha_bar**0.5 * x_t + (1 - alpha_bar) ** 0.5 * v


@x0_from_v.mistake("That is the way back from ε, not from v: (x_t − s·ε) / a. With v no division is needed.")
def _(x_t, v, alpha_bar):
    return (x_t - (1 - alpha_bar) ** 0.5 * v) / alpha_bar**0.5


@x0_from_v.mistake("That is ε. You mixed the two the other way round; x₀ = a·x_t − s·v.")
def _(x_t, v, alpha_bar):
    return (1 - alpha_bar) ** 0.5 * x_t + alpha_bar**0.5 * v


@x0_from_v.mistake("You left out the roots: the factors are √ᾱ and √(1 − ᾱ).")
def _(x_t, v, alpha_bar):
    return alpha_bar * x_t - (1 - alpha_bar) * v


@exercise(
    "week08a.ddim_step",
    points=3,
    minutes=15,
    difficulty=3,
    **CLOSE,
    hints=(
        "First ask what the picture would be if the noise guess were right: solve x_t = √ᾱ_t·x₀ + √(1 − ᾱ_t)·ε for x₀.",
        "Then make the same mixture again for the earlier step: √ᾱ_s·x₀ + √(1 − ᾱ_s)·ε, with the *same* ε.",
    ),
)
def ddim_step(x_t, noise, alpha_bar, alpha_bar_before):
    x0 = (x_t - (1 - alpha_bar) ** 0.5 * noise) / alpha_bar**0.5
    return alpha_bar_before**0.5 * x0 + (1 - alpha_bar_before) ** 0.5 * noise


@ddim_step.cases
def _(rng):
    yield Case((torch.tensor([[1.4]]), torch.tensor([[1.0]]), 0.36, 0.64), note="one pixel: 0.6·1 + 0.8·1 is 1.4")
    yield Case((normal(rng, 1, 4, 4), normal(rng, 1, 4, 4), 0.2, 0.5), note="from ᾱ = 0.2 to 0.5")
    yield Case((normal(rng, 2, 1, 4, 4), normal(rng, 2, 1, 4, 4), 0.8, 1.0), note="the last step, to no noise")


@ddim_step.mistake("You stopped at the guess of the clean picture. One step goes only to the earlier noise level.")
def _(x_t, noise, alpha_bar, alpha_bar_before):
    return (x_t - (1 - alpha_bar) ** 0.5 * noise) / alpha_bar**0.5


@ddim_step.mistake("The new noise has the old size. At the earlier level its share is √(1 − ᾱ) of *that* level.")
def _(x_t, noise, alpha_bar, alpha_bar_before):
    x0 = (x_t - (1 - alpha_bar) ** 0.5 * noise) / alpha_bar**0.5
    return alpha_bar_before**0.5 * x0 + (1 - alpha_bar) ** 0.5 * noise


@ddim_step.mistake("You subtracted the noise without dividing by √ᾱ: the clean picture comes out too faint.")
def _(x_t, noise, alpha_bar, alpha_bar_before):
    x0 = x_t - (1 - alpha_bar) ** 0.5 * noise
    return alpha_bar_before**0.5 * x0 + (1 - alpha_bar_before) ** 0.5 * noise


@ddim_step.mistake("You took the noise for v. ε is given here: x₀ = (x_t − √(1 − ᾱ)·ε) / √ᾱ, with a division.")
def _(x_t, noise, alpha_bar, alpha_bar_before):
    x0 = alpha_bar**0.5 * x_t - (1 - alpha_bar) ** 0.5 * noise
    return alpha_bar_before**0.5 * x0 + (1 - alpha_bar_before) ** 0.5 * noise


@ddim_step.mistake("The two levels are swapped: x_t belongs to `alpha_bar`, the result to `alpha_bar_before`.")
def _(x_t, noise, alpha_bar, alpha_bar_before):
    x0 = (x_t - (1 - alpha_bar_before) ** 0.5 * noise) / alpha_bar_before**0.5
    return alpha_bar**0.5 * x0 + (1 - alpha_bar) ** 0.5 * noise


@exercise(
    "week08a.guided",
    points=1,
    minutes=5,
    difficulty=1,
    **CLOSE,
    hints=(
        "The difference of the two guesses is what the label changes. Start from the guess without it, and go further along.",
        "A scale of 0 gives the guess without the label, 1 the guess with it, more than 1 goes beyond.",
    ),
)
def guided(without, with_label, scale):
    return without + scale * (with_label - without)


@guided.cases
def _(rng):
    yield Case((torch.tensor([1.0]), torch.tensor([2.0]), 3.0), note="from 1 towards 2, three times as far")
    yield Case((normal(rng, 2, 1, 4, 4), normal(rng, 2, 1, 4, 4), 7.5), note="scale 7.5")
    yield Case((normal(rng, 1, 4, 4), normal(rng, 1, 4, 4), 0.0), note="scale 0: no label at all")


@guided.mistake("The two are swapped: you go away from the label. Start from the guess without it.")
def _(without, with_label, scale):
    return with_label + scale * (without - with_label)


@guided.mistake(
    "You started from the guess with the label; the step is then counted from there. A scale of 1 must give that guess."
)
def _(without, with_label, scale):
    return with_label + scale * (with_label - without)


@guided.mistake("You added the whole guess with the label. Only the *difference* that it makes is stretched and added.")
def _(without, with_label, scale):
    return without + scale * with_label

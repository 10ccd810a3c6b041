"""Exercises of week 07, Llama in 4 bits."""

import torch

from course_utils.learn.exercise import Case, exercise

CLOSE = {"needs": ("torch",), "relative": 1e-4, "absolute": 1e-5}  # what fp32 can promise


def normal(rng, *size):
    return torch.tensor(rng.normal(size=size), dtype=torch.float32)


@exercise(
    "week07.rms_norm",
    points=1,
    minutes=5,
    difficulty=1,
    **CLOSE,
    hints=(
        "Read the name backwards, as with the RMSE: square, mean, root. The mean goes over the last axis only.",
        "`(x**2).mean(-1, keepdim=True)` has one entry per token, and divides a whole row when you add eps and take the root.",
    ),
)
def rms_norm(x, weight, eps):
    return weight * x / torch.sqrt((x**2).mean(-1, keepdim=True) + eps)


@rms_norm.cases
def _(rng):
    yield Case((torch.tensor([[3.0, 4.0]]), torch.ones(2), 1e-5), note="one token of two numbers")
    yield Case((2 + normal(rng, 5, 8), 1 + normal(rng, 8), 1e-5), note="five tokens of eight numbers, mean 2")
    yield Case((3 * normal(rng, 2, 4, 8), normal(rng, 8), 1e-5), note="two sequences of four tokens")
    yield Case((0.001 * normal(rng, 3, 8), normal(rng, 8), 1e-5), note="numbers so small that eps counts")


@rms_norm.mistake("You subtracted the mean first: that is LayerNorm. RMSNorm leaves the mean alone.")
def _(x, weight, eps):
    centred = x - x.mean(-1, keepdim=True)
    return weight * centred / torch.sqrt((centred**2).mean(-1, keepdim=True) + eps)


@rms_norm.mistake("You took one mean over all tokens. Each token is scaled by itself: `.mean(-1, keepdim=True)`.")
def _(x, weight, eps):
    return weight * x / torch.sqrt((x**2).mean() + eps)


@rms_norm.mistake("The size is right, but the learned weights are missing: multiply the result by `weight`.")
def _(x, weight, eps):
    return x / torch.sqrt((x**2).mean(-1, keepdim=True) + eps)


@exercise(
    "week07.rope",
    points=3,
    minutes=15,
    difficulty=3,
    **CLOSE,
    hints=(
        "Pair i is (x[..., i], x[..., i + d/2]). `x[..., :half]` and `x[..., half:]` are the two halves of all pairs at once.",
        "`frequencies = theta ** (-torch.arange(half) / half)`, and `positions[:, None] * frequencies` has one row per token.",
        "A rotation by φ sends (a, b) to (a cos φ − b sin φ, b cos φ + a sin φ). `torch.cat([…, …], dim=-1)` joins the halves.",
    ),
)
def rope(x, positions, theta):
    half = x.shape[-1] // 2
    frequencies = theta ** (-torch.arange(half, device=x.device) / half)
    angles = positions[:, None] * frequencies
    cos, sin = angles.cos(), angles.sin()
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)


@rope.cases
def _(rng):
    yield Case((torch.tensor([[[1.0, 0.0]]]), torch.tensor([1]), 100.0), note="one pair (1, 0) at position 1")
    yield Case((normal(rng, 2, 5, 8), torch.arange(5), 10_000.0), note="two heads, positions 0 to 4")
    yield Case((normal(rng, 3, 4, 8), torch.arange(7, 11), 10_000.0), note="three heads, positions 7 to 10")
    yield Case((normal(rng, 1, 3, 4), torch.tensor([40, 2, 11]), 500.0), note="positions in any order, another theta")


@rope.mistake("You paired neighbours, as Meta's own files do. transformers and this lesson pair i with i + d/2.")
def _(x, positions, theta):
    angles = positions[:, None] * theta ** (-torch.arange(x.shape[-1] // 2) / (x.shape[-1] // 2))
    cos, sin, a, b = angles.cos(), angles.sin(), x[..., 0::2], x[..., 1::2]
    return torch.stack([a * cos - b * sin, b * cos + a * sin], dim=-1).flatten(-2)


@rope.mistake("The exponent is −i/(d/2). You divided i by d, so the pairs turn too fast.")
def _(x, positions, theta):
    angles = positions[:, None] * theta ** (-torch.arange(x.shape[-1] // 2) / x.shape[-1])
    cos, sin, (a, b) = angles.cos(), angles.sin(), x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)


@exercise(
    "week07.gqa",
    points=3,
    minutes=20,
    difficulty=3,
    **CLOSE,
    hints=(
        "First give every query head its key head: `k.repeat_interleave(repeats, dim=0)` copies each head `repeats` times, side by side.",
        "scores = q @ k.transpose(-1, -2) / √d has one row per query token and one column per key token.",
        "`torch.ones(T, T, dtype=torch.bool).triu(1)` is true above the diagonal, the future. `masked_fill(future, -inf)`, softmax over the last axis, times v.",
    ),
)
def gqa(q, k, v):
    repeats = q.shape[0] // k.shape[0]
    k, v = k.repeat_interleave(repeats, dim=0), v.repeat_interleave(repeats, dim=0)
    scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
    future = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).triu(1)
    return scores.masked_fill(future, float("-inf")).softmax(-1) @ v


@gqa.cases
def _(rng):
    for heads, shared in ((2, 2), (6, 2), (4, 1)):
        k, v = normal(rng, shared, 5, 8), normal(rng, shared, 5, 8)
        yield Case((normal(rng, heads, 5, 8), k, v), note=f"{heads} query heads, {shared} key heads, 5 tokens")


@gqa.mistake("Neighbouring query heads share a key head: `repeat_interleave`. `repeat` deals them out in turn.")
def _(q, k, v):
    k, v = (one.repeat(q.shape[0] // one.shape[0], 1, 1) for one in (k, v))
    return torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)


@gqa.mistake("Tokens look into the future. Set the scores above the diagonal to −∞ before the softmax.")
def _(q, k, v):
    k, v = (one.repeat_interleave(q.shape[0] // k.shape[0], dim=0) for one in (k, v))
    return torch.nn.functional.scaled_dot_product_attention(q, k, v)


@gqa.mistake("You set the scores of the future to 0, and e⁰ is 1: they still get a share. Set them to −∞.")
def _(q, k, v):
    k, v = (one.repeat_interleave(q.shape[0] // k.shape[0], dim=0) for one in (k, v))
    return (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).tril().softmax(-1) @ v


@gqa.mistake("The scores are q·k without the division by √d: divide them by `q.shape[-1] ** 0.5` before the softmax.")
def _(q, k, v):
    k, v = (one.repeat_interleave(q.shape[0] // k.shape[0], dim=0) for one in (k, v))
    return torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True, scale=1.0)


@exercise(
    "week07.nf4",
    points=3,
    minutes=15,
    difficulty=2,
    **CLOSE,
    hints=(
        "`w.reshape(-1, block)` has one block a row; `.abs().amax(1, keepdim=True)` is the scale of each row.",
        "`(scaled[..., None] - levels).abs()` has a last axis of 16 distances; `.argmin(-1)` is the number of the nearest level.",
        "Back: `levels[codes] * scales`, then `reshape` to the shape of w.",
    ),
)
def nf4(w, levels, block):
    rows = w.reshape(-1, block)
    scales = rows.abs().amax(1, keepdim=True)
    codes = (rows[..., None] / scales[..., None] - levels).abs().argmin(-1)
    return codes, scales.flatten(), (levels[codes] * scales).reshape(w.shape)


@nf4.cases
def _(rng):
    levels = torch.distributions.Normal(0.0, 1.0).icdf(torch.linspace(0.035, 0.965, 16, dtype=torch.float64))
    levels = (levels / levels.abs().max()).float()
    yield Case((0.02 * normal(rng, 2, 8), levels, 8), note="two blocks of eight")
    outlier = 0.02 * normal(rng, 4, 32)
    outlier[1, 3] = -0.9
    yield Case((outlier, levels, 16), note="eight blocks of 16, one with a large negative weight")
    yield Case((0.02 * normal(rng, 128), levels, 64), note="a vector, two blocks of 64")


@nf4.drive
def _(attempt, w, levels, block):
    # Any shape of codes and scales is right, and any integer type.
    codes, scales, restored = attempt(w, levels, block)
    codes = [int(code) for code in codes.flatten()]
    return {"codes": codes, "scales": scales.flatten().float(), "restored weights": restored}


@nf4.mistake("You used one scale for the whole tensor. Each block of `block` weights has its own.")
def _(w, levels, block):
    codes = (w[..., None] / w.abs().max() - levels).abs().argmin(-1)
    return codes, w.abs().max(), levels[codes] * w.abs().max()


@nf4.mistake("The scale is the largest *absolute* weight of the block. You took the largest weight, sign and all.")
def _(w, levels, block):
    scales = w.reshape(-1, block).amax(1, keepdim=True)
    codes = (w.reshape(-1, block, 1) / scales[..., None] - levels).abs().argmin(-1)
    return codes, scales.flatten(), (levels[codes] * scales).reshape(w.shape)


@nf4.mistake("Codes and scales are right. To get the weights back, multiply the levels by the scale of their block.")
def _(w, levels, block):
    scaled = w.reshape(-1, block) / w.reshape(-1, block).abs().amax(1, keepdim=True)
    codes = (scaled[..., None] - levels).abs().argmin(-1)
    return codes, w.reshape(-1, block).abs().amax(1), levels[codes].reshape(w.shape)


@exercise(
    "week07.top_p",
    points=2,
    minutes=10,
    difficulty=2,
    **CLOSE,
    hints=(
        "`probabilities.sort(descending=True)` gives the sorted values and the places they came from.",
        "A token stays if the sum of those *before* it is still below p: `values.cumsum(0) - values < p`.",
        "Put the kept values back: `result[places[keep]] = values[keep]`, and divide by their sum.",
    ),
)
def top_p(probabilities, p):
    values, places = probabilities.sort(descending=True)
    keep = values.cumsum(0) - values < p
    result = torch.zeros_like(probabilities)
    result[places[keep]] = values[keep]
    return result / result.sum()


@top_p.cases
def _(rng):
    yield Case((torch.tensor([0.1, 0.55, 0.05, 0.3]), 0.8), note="four tokens: 0.55 + 0.3 reaches 0.8")
    yield Case((torch.tensor([0.92, 0.01, 0.04, 0.03]), 0.9), note="one token that already has more than p")
    yield Case(((2 * normal(rng, 40)).softmax(0), 0.9), note="forty tokens, a sharp distribution")
    yield Case(((0.3 * normal(rng, 40)).softmax(0), 0.5), note="forty tokens, nearly equal")


@top_p.mistake("You dropped the token that crosses p. The set must *reach* p, so that token stays.")
def _(probabilities, p):
    values, places = probabilities.sort(descending=True)
    kept = torch.zeros_like(values).scatter(0, places, torch.where(values.cumsum(0) <= p, values, 0.0))
    return kept / kept.sum()


@top_p.mistake("The right tokens are left, but they do not add up to 1: divide by their sum.")
def _(probabilities, p):
    values, places = probabilities.sort(descending=True)
    return torch.zeros_like(values).scatter(0, places, torch.where(values.cumsum(0) - values < p, values, 0.0))


@top_p.mistake("Your answer is in sorted order. Put each probability back where its token was.")
def _(probabilities, p):
    values, _ = probabilities.sort(descending=True)
    kept = torch.where(values.cumsum(0) - values < p, values, 0.0)
    return kept / kept.sum()

"""Exercises of week 03, First networks on MNIST."""

import torch

from course_utils.learn.exercise import Case, exercise


@exercise(
    "week03.cross_entropy",
    points=2,
    minutes=12,
    difficulty=2,
    needs=("torch",),
    hints=(
        "log softmax is z − log Σ exp(z). Subtract each row's largest logit first: then exp cannot overflow.",
        "`z.max(dim=1, keepdim=True).values` is each row's largest; `log_p[torch.arange(len(y)), y]` picks by label.",
    ),
)
def cross_entropy(z, y):
    z = z - z.max(dim=1, keepdim=True).values
    log_p = z - z.exp().sum(dim=1, keepdim=True).log()
    return -log_p[torch.arange(len(y)), y].mean()


@cross_entropy.cases
def _(rng):
    yield Case((torch.zeros(3, 10, dtype=torch.float64), torch.tensor([0, 4, 9])), note="all logits equal: log 10")
    z, y = torch.from_numpy(rng.normal(0, 2, size=(6, 10))), torch.from_numpy(rng.integers(10, size=6))
    yield Case((z, y), note="six pictures, ordinary logits")
    yield Case((z[:1, :3], z[:1, :3].argmin(dim=1)), note="one picture of the least likely of three classes")
    huge, ones = torch.tensor([[1e4, 0, -1e4], [0, 1e4, 5e3], [-1e4, 0, -5e3]]).double(), torch.tensor([1, 1, 1])
    yield Case((huge, ones), note="two pictures' largest logit is 10,000, the third's 0")


@cross_entropy.drive
def _(attempt, z, y):
    return float(loss) if getattr(loss := attempt(z, y), "ndim", 0) == 0 else loss


@cross_entropy.mistake("exp(10,000) is too large for any float: inf / inf is nan. Subtract the row's maximum first.")
def _(z, y):
    p = z.exp() / z.exp().sum(dim=1, keepdim=True)
    return -p[torch.arange(len(y)), y].log().mean()


@cross_entropy.mistake("Infinite: exp overflowed, or p became 0. First z − maximum, then log p = z − log Σ exp(z).")
def _(z, y):
    p = torch.softmax(z, dim=1)
    return -p[torch.arange(len(y)), y].log().mean()


@cross_entropy.mistake("This is the sum over the pictures. The loss is their mean: it must not grow with the batch.")
def _(z, y):
    return -torch.log_softmax(z, dim=1)[torch.arange(len(y)), y].sum()


@cross_entropy.mistake("The sign is wrong: log p is negative, and a loss is −log p.")
def _(z, y):
    return torch.log_softmax(z, dim=1)[torch.arange(len(y)), y].mean()


@cross_entropy.mistake("You normalised each column. The probabilities of one picture stand in a row: dim=1.")
def _(z, y):
    return -torch.log_softmax(z, dim=0)[torch.arange(len(y)), y].mean()


@exercise(
    "week03.softmax_gradient",
    points=2,
    minutes=10,
    difficulty=2,
    needs=("torch",),
    hints=(
        "`torch.softmax(z, dim=1)` is p. Then 1 comes off in one place of each row: that of the right class.",
        "`p[torch.arange(len(y)), y] -= 1` does it. The loss is a mean over N pictures, so divide by N at the end.",
    ),
)
def softmax_gradient(z, y):
    p = torch.softmax(z, dim=1)
    p[torch.arange(len(y)), y] -= 1
    return p / len(y)


@softmax_gradient.cases
def _(rng):
    yield Case((torch.zeros(2, 4, dtype=torch.float64), torch.tensor([0, 3])), note="two pictures, all logits equal")
    z, y = torch.from_numpy(rng.normal(0, 2, size=(5, 10))), torch.from_numpy(rng.integers(10, size=5))
    yield Case((z, y), note="five pictures, ten classes")


@softmax_gradient.mistake("Right for the sum of the losses. The loss is their mean: divide by the number of pictures.")
def _(z, y):
    return torch.softmax(z, dim=1) - torch.eye(z.shape[1], dtype=z.dtype)[y]


@softmax_gradient.mistake("You normalised each column. The probabilities of one picture stand in a row: dim=1.")
def _(z, y):
    return (torch.softmax(z, dim=0) - torch.eye(z.shape[1], dtype=z.dtype)[y]) / len(y)


@softmax_gradient.mistake("At the right class 1 must come off the probability, else nothing is pulled up.")
def _(z, y):
    return torch.softmax(z, dim=1) / len(y)


@softmax_gradient.mistake("The sign is wrong. The gradient points uphill: positive where p is too large.")
def _(z, y):
    return (torch.eye(z.shape[1], dtype=z.dtype)[y] - torch.softmax(z, dim=1)) / len(y)


@exercise(
    "week03.momentum_step",
    points=2,
    minutes=8,
    difficulty=1,
    needs=("torch",),
    hints=(
        "First the velocity: keep a part of the old one (`momentum * v`) and add the new gradient.",
        "Then the weights move against the *new* velocity, times the learning rate. Return both, weights first.",
    ),
)
def momentum_step(w, g, v, lr, momentum):
    v = momentum * v + g
    return w - lr * v, v


@momentum_step.cases
def _(rng):
    w, g, v = (torch.from_numpy(rng.normal(size=(2, 3))) for _ in range(3))
    yield Case((w, g, torch.zeros_like(v), 0.1, 0.9), note="the first step: the velocity is still 0")
    yield Case((w, g, v, 0.1, 0.9), note="a later step")
    yield Case((w, g, v, 0.5, 0.0), note="momentum 0: plain gradient descent")


@momentum_step.mistake("The learning rate is in your velocity. torch keeps it out: v = momentum·v + g, w = w − lr·v.")
def _(w, g, v, lr, momentum):
    v = momentum * v + lr * g
    return w - v, v


@momentum_step.mistake("You moved with the old velocity. Update the velocity first, then take the step with it.")
def _(w, g, v, lr, momentum):
    return w - lr * v, momentum * v + g


@momentum_step.mistake("You weighted the gradient by 1 − momentum, as Adam does. Here it counts in full.")
def _(w, g, v, lr, momentum):
    v = momentum * v + (1 - momentum) * g
    return w - lr * v, v


@momentum_step.mistake("This climbs: the gradient points uphill, so the step is minus lr·v.")
def _(w, g, v, lr, momentum):
    v = momentum * v + g
    return w + lr * v, v


@exercise(
    "week03.output_size",
    points=1,
    minutes=5,
    difficulty=1,
    needs=(),
    hints=(
        "Padding adds p on both sides. How many places lie between the first position of the window and the last?",
        "n + 2p − k places, in steps of s, rounded down; and the first position itself counts too.",
    ),
)
def output_size(n, k, p, s):
    return (n + 2 * p - k) // s + 1


@output_size.cases
def _(rng):
    yield Case((28, 3, 1, 1), note="28 pixels, window 3, padding 1: the size stays")
    yield Case((28, 2, 0, 2), note="pooling: window 2 in steps of 2")
    yield Case((28, 3, 1, 2), note="steps of 2: the last step does not fit")
    n, k, p, s = (int(rng.integers(*between)) for between in ((32, 999), (2, 9), (1, 5), (2, 6)))
    yield Case((n, k, p, s), note=f"{n} pixels, window {k}, padding {p}, steps of {s}")


@output_size.mistake("One position is missing: the window also stands at the very start. Add 1.")
def _(n, k, p, s):
    return (n + 2 * p - k) // s


@output_size.mistake("Padding is added on both sides: 2p.")
def _(n, k, p, s):
    return (n + p - k) // s + 1


@output_size.mistake("A window that does not fit any more does not count: round down, with `//`.")
def _(n, k, p, s):
    return -(-(n + 2 * p - k) // s) + 1


@output_size.mistake("A count of positions is a whole number: divide with `//`.")
def _(n, k, p, s):
    return (n + 2 * p - k) / s + 1


@exercise(
    "week03.conv2d",
    points=3,
    minutes=20,
    difficulty=3,
    needs=("torch",),
    hints=(
        "Start with `out = torch.zeros(O, H - k + 1, W - k + 1)` and two loops over its rows i and columns j.",
        "Multiply the window `x[:, i:i + k, j:j + k]` with a filter `w[o]`, entry by entry; add all up, and the bias.",
    ),
)
def conv2d(x, w, b):
    k, (_, height, width) = w.shape[-1], x.shape
    out = torch.zeros(len(w), height - k + 1, width - k + 1, dtype=x.dtype)
    for i in range(height - k + 1):
        for j in range(width - k + 1):
            out[:, i, j] = (w * x[:, i : i + k, j : j + k]).sum(dim=(1, 2, 3)) + b
    return out


@conv2d.cases
def _(rng):
    edge = torch.tensor([[[[-1.0, 1.0], [-1.0, 1.0]]]], dtype=torch.float64)
    step = torch.tensor([[[0.0, 0.0, 1.0, 1.0]] * 3], dtype=torch.float64)
    yield Case((step, edge, torch.zeros(1, dtype=torch.float64)), note="a dark and a bright half, one edge filter")
    for channels, filters, k in ((1, 2, 3), (3, 4, 2)):
        x, w = rng.normal(size=(channels, 5, 6)), rng.normal(size=(filters, channels, k, k))
        given = tuple(torch.from_numpy(one) for one in (x, w, rng.normal(size=filters)))
        yield Case(given, note=f"{channels} channel{'s' * (channels > 1)}, {filters} filters of {k} × {k}")


@conv2d.mistake("You turned the filters round, as mathematicians do. In a network the window is not flipped.")
def _(x, w, b):
    return torch.conv2d(x[None], w.flip(2, 3), b)[0]


@conv2d.mistake("The bias is missing: each filter adds its own number to every place of its map.")
def _(x, w, b):
    return torch.conv2d(x[None], w)[0]


@conv2d.mistake("You used the first channel only. A filter reaches through all channels and adds them up.")
def _(x, w, b):
    return torch.conv2d(x[None, :1], w[:, :1], b)[0]


@conv2d.mistake("The last row and column are missing: range(H − k + 1), since the window also fits at H − k.")
def _(x, w, b):
    return torch.conv2d(x[None], w, b)[0, :, :-1, :-1]

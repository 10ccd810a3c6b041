"""Exercises of week 04a, CIFAR-10 and residual networks."""

import torch

from course_utils.learn.exercise import Case, exercise


@exercise(
    "week04a.count_weights",
    points=1,
    minutes=8,
    difficulty=1,
    needs=(),
    hints=(
        "One filter of a 3×3 convolution looks at all input channels: it has inputs · 3 · 3 weights.",
        "A convolution has one filter for each output channel; batch norm has a weight and a bias for each channel.",
    ),
)
def count_weights(layers):
    total = 0
    for kind, inputs, outputs in layers:
        total += {"conv": 9 * inputs * outputs, "norm": 2 * outputs, "linear": inputs * outputs + outputs}[kind]
    return total


@count_weights.cases
def _(rng):
    yield Case(([("conv", 3, 64)],), note="the first convolution of a ResNet-9")
    yield Case(([("linear", 512, 10)],), note="the last layer")
    a, b = (int(one) for one in rng.integers(5, 60, size=2))
    block = [("conv", a, b), ("norm", b, b), ("conv", b, b), ("norm", b, b), ("linear", b, 10)]
    yield Case((block,), note=f"two convolutions with {b} filters, their norms, and a last layer")


@count_weights.mistake("You forgot the 3×3: each filter has 9 weights for every input channel, not one.")
def _(layers):
    sizes = {"conv": lambda a, b: a * b, "norm": lambda a, b: 2 * b, "linear": lambda a, b: a * b + b}
    return sum(sizes[kind](a, b) for kind, a, b in layers)


@count_weights.mistake("Each convolution got a bias. They have none here: the norm behind each has its own.")
def _(layers):
    sizes = {"conv": lambda a, b: 9 * a * b + b, "norm": lambda a, b: 2 * b, "linear": lambda a, b: a * b + b}
    return sum(sizes[kind](a, b) for kind, a, b in layers)


@count_weights.mistake(
    "You counted the running mean and variance of the norms. They are kept, but not learned: they get no gradient."
)
def _(layers):
    sizes = {"conv": lambda a, b: 9 * a * b, "norm": lambda a, b: 4 * b, "linear": lambda a, b: a * b + b}
    return sum(sizes[kind](a, b) for kind, a, b in layers)


@exercise(
    "week04a.batch_norm",
    points=3,
    minutes=20,
    difficulty=3,
    needs=("torch",),
    relative=1e-4,
    hints=(
        "One mean and one variance a channel: over pictures, rows and columns, which are dimensions 0, 2 and 3.",
        "To normalise, divide by n (`x.var((0, 2, 3), correction=0)`). The running variance takes the one over n − 1.",
        "`mean[:, None, None]` has shape (C, 1, 1), so it lines up with x of shape (N, C, H, W).",
    ),
)
def batch_norm(x, running_mean, running_var, training):
    mean, var = running_mean, running_var
    if training:
        mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)
        running_mean = 0.9 * running_mean + 0.1 * mean
        running_var = 0.9 * running_var + 0.1 * x.var((0, 2, 3), correction=1)
    y = (x - mean[:, None, None]) / (var[:, None, None] + 1e-5).sqrt()
    return y, running_mean, running_var


@batch_norm.cases
def _(rng):
    def draw(*shape):
        return torch.from_numpy(rng.normal(3, 2, size=shape))

    mean, var = draw(4), draw(4).square() + 0.5
    yield Case((draw(2, 4, 2, 3), mean, var, True), note="training, two pictures")
    yield Case((draw(8, 4, 3, 3), mean, var, False), note="evaluation, eight pictures")
    yield Case((draw(1, 4, 1, 1), mean, var, False), note="evaluation, one picture of one pixel")
    yield Case((0 * draw(2, 4, 2, 2) + 3, mean, var, True), note="training, all values equal")


@batch_norm.mistake("In evaluation you normalise with the batch's own values, too. There the running ones count.")
def _(x, running_mean, running_var, training):
    mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)
    y = (x - mean[:, None, None]) / (var[:, None, None] + 1e-5).sqrt()
    if training:
        running_mean, running_var = 0.9 * running_mean + 0.1 * mean, 0.9 * running_var + 0.1 * x.var((0, 2, 3))
    return y, running_mean, running_var


@batch_norm.mistake("The shares are swapped: running values keep 0.9 of the old ones and take 0.1 of the batch's.")
def _(x, running_mean, running_var, training):
    mean, var = running_mean.clone(), running_var.clone()
    return torch.nn.functional.batch_norm(x, mean, var, training=training, momentum=0.9), mean, var


@batch_norm.mistake("Nearly: the running variance takes the batch's variance over n − 1 (correction=1), not over n.")
def _(x, running_mean, running_var, training):
    mean, var = running_mean, running_var
    if training:
        mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)
        running_mean, running_var = 0.9 * running_mean + 0.1 * mean, 0.9 * running_var + 0.1 * var
    return (x - mean[:, None, None]) / (var[:, None, None] + 1e-5).sqrt(), running_mean, running_var


@batch_norm.mistake("You divide by a deviation over n − 1. To normalise the batch itself, take the variance over n.")
def _(x, running_mean, running_var, training):
    mean, var = running_mean, running_var
    if training:
        mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3))
        running_mean, running_var = 0.9 * running_mean + 0.1 * mean, 0.9 * running_var + 0.1 * var
    return (x - mean[:, None, None]) / (var[:, None, None] + 1e-5).sqrt(), running_mean, running_var


@exercise(
    "week04a.residual",
    points=2,
    minutes=12,
    difficulty=2,
    needs=("torch",),
    hints=(
        "`torch.conv2d(x, w1, padding=1)` keeps height and width; `torch.relu` follows the first convolution only.",
        "Add the short cut first, and apply the last `torch.relu` to the sum.",
    ),
)
def residual(x, w1, w2):
    branch = torch.conv2d(torch.relu(torch.conv2d(x, w1, padding=1)), w2, padding=1)
    return torch.relu(x + branch)


@residual.cases
def _(rng):
    def draw(*shape):
        return torch.from_numpy(rng.normal(0, 0.5, size=shape))

    yield Case((draw(1, 2, 4, 4), draw(2, 2, 3, 3), draw(2, 2, 3, 3)), note="one picture of 4 × 4, two channels")
    yield Case((draw(3, 4, 5, 6), draw(8, 4, 3, 3), draw(4, 8, 3, 3)), note="eight channels in the middle")
    yield Case((draw(2, 3, 4, 4), draw(3, 3, 3, 3), 0 * draw(3, 3, 3, 3)), note="a second convolution of zeros")


@residual.mistake("There is no short cut: add x to the branch before the last ReLU.")
def _(x, w1, w2):
    return torch.relu(torch.conv2d(torch.relu(torch.conv2d(x, w1, padding=1)), w2, padding=1))


@residual.mistake("The last ReLU sits on the branch. It belongs on the sum: relu(x + branch).")
def _(x, w1, w2):
    return x + torch.relu(torch.conv2d(torch.relu(torch.conv2d(x, w1, padding=1)), w2, padding=1))


@residual.mistake("The last ReLU is missing: it applies to the sum of x and branch.")
def _(x, w1, w2):
    return x + torch.conv2d(torch.relu(torch.conv2d(x, w1, padding=1)), w2, padding=1)


@residual.mistake("Between the two convolutions a ReLU is missing: without it, the two together are one linear step.")
def _(x, w1, w2):
    return torch.relu(x + torch.conv2d(torch.conv2d(x, w1, padding=1), w2, padding=1))


@exercise(
    "week04a.one_cycle",
    points=2,
    minutes=10,
    difficulty=2,
    needs=(),
    hints=(
        "Before `top` the rate climbs along a straight line from peak / 25 at step 0 to peak at step `top`.",
        "From `top` on: which share of the way down, (step − top) / (last − top), has been walked? Lose that share.",
    ),
)
def one_cycle(step, top, last, peak):
    if step < top:
        return peak / 25 + (peak - peak / 25) * step / top
    return peak * (last - step) / (last - top)


@one_cycle.cases
def _(rng):
    top, last = int(rng.integers(20, 60)), int(rng.integers(100, 200))
    yield Case((0, 5, 20, 0.4), note="the first step")
    yield Case((5, 5, 20, 0.4), note="the top")
    yield Case((20, 5, 20, 0.4), note="the last step")
    yield Case((3, 5, 20, 0.4), note="on the way up")
    yield Case((top + 11, top, last, 0.1), note="on the way down")


@one_cycle.mistake("The climb starts at 0. It starts at peak / 25.")
def _(step, top, last, peak):
    return peak * step / top if step < top else peak * (last - step) / (last - top)


@one_cycle.mistake("Going down you divide by all steps. The way down is last − top steps long.")
def _(step, top, last, peak):
    return peak / 25 + (peak - peak / 25) * step / top if step < top else peak * (last - step) / last


@one_cycle.mistake("This climbs to peak + peak / 25. The climb itself is only peak − peak / 25 high.")
def _(step, top, last, peak):
    return peak / 25 + peak * step / top if step < top else peak * (last - step) / (last - top)


@exercise(
    "week04a.smoothed_loss",
    points=2,
    minutes=12,
    difficulty=2,
    needs=("torch",),
    hints=(
        "`torch.log_softmax(logits, 1)` gives the logarithm of each class's probability, safely also for huge logits.",
        "The loss of a picture is −(1 − s) · (the label's log probability) − s · (the mean of all log probabilities).",
    ),
)
def smoothed_loss(logits, labels, s):
    logs = torch.log_softmax(logits, 1)
    right = logs.gather(1, labels[:, None]).squeeze(1)
    return -((1 - s) * right + s * logs.mean(1)).mean()


@smoothed_loss.cases
def _(rng):
    logits, labels = torch.from_numpy(rng.normal(0, 2, size=(6, 10))), torch.from_numpy(rng.integers(0, 10, size=6))
    yield Case((logits, labels, 0.1), note="six pictures, s = 0.1")
    yield Case((1e4 * logits, labels, 0.1), note="logits of ten thousands")


@smoothed_loss.mistake("s is shared among the other nine classes. Here, as in torch, all ten share it, the label too.")
def _(logits, labels, s):
    logs = torch.log_softmax(logits, 1)
    right = logs.gather(1, labels[:, None]).squeeze(1)
    return -((1 - s) * right + s * (logs.sum(1) - right) / (logits.shape[1] - 1)).mean()


@smoothed_loss.mistake("This is the plain cross-entropy: s is not used.")
def _(logits, labels, s):
    return torch.nn.functional.cross_entropy(logits, labels)


@smoothed_loss.mistake("The second part is summed over the classes. Each class gets s / 10: take the mean.")
def _(logits, labels, s):
    logs = torch.log_softmax(logits, 1)
    return -((1 - s) * logs.gather(1, labels[:, None]).squeeze(1) + s * logs.sum(1)).mean()

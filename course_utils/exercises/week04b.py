"""Exercises of week 04b, transfer learning the fast.ai way."""

import numpy as np

from course_utils.learn.exercise import Case, exercise


@exercise(
    "week04b.normalise",
    points=2,
    minutes=10,
    difficulty=2,
    needs=("numpy",),
    hints=(
        "Three steps: whole numbers 0…255 to 0…1, then subtract the mean and divide by the deviation, then move the axis.",
        "While the colour is the last axis, `(x - mean) / std` lines up by itself. `x.transpose(0, 3, 1, 2)` moves it.",
    ),
    absolute=1e-6,  # float32 is good enough here
)
def normalise(pictures, mean, std):
    return ((pictures / 255 - mean) / std).transpose(0, 3, 1, 2)


@normalise.cases
def _(rng):
    half = np.full(3, 0.5)
    imagenet = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    corners = 255 * rng.integers(0, 2, size=(1, 2, 3, 3), dtype=np.uint8)
    yield Case((corners, half, half), note="2 × 3 pixels, each colour off or full: they become −1 and 1")
    batch = rng.integers(0, 256, size=(3, 4, 5, 3), dtype=np.uint8)
    yield Case((batch, half, half), note="three pictures, mean and deviation 0.5")
    yield Case((batch, *imagenet), note="the same pictures with ImageNet's means and deviations")


@normalise.mistake("You left the values at 0…255. The means and deviations are stated for 0…1: divide by 255 first.")
def _(pictures, mean, std):
    return ((pictures - mean) / std).transpose(0, 3, 1, 2)


@normalise.mistake("The numbers are right, the order of the axes is not: torch wants N × 3 × height × width.")
def _(pictures, mean, std):
    return (pictures / 255 - mean) / std


@normalise.mistake("`reshape` moves no number: colours and places get mixed up. `transpose` moves the axis.")
def _(pictures, mean, std):
    normal = (pictures / 255 - mean) / std
    return normal.reshape(len(pictures), 3, *pictures.shape[1:3])


@normalise.mistake("You measured mean and deviation on these pictures. Use the given ones: the network knows those.")
def _(pictures, mean, std):
    x = pictures / 255
    with np.errstate(invalid="ignore", divide="ignore"):
        return ((x - x.mean(axis=(0, 1, 2))) / x.std(axis=(0, 1, 2))).transpose(0, 3, 1, 2)


@exercise(
    "week04b.freeze",
    points=2,
    minutes=10,
    difficulty=2,
    needs=("torch",),
    hints=(
        "`module.requires_grad_(False)`, with the underscore, reaches every parameter inside a module.",
        "Running means are no parameters. They move in every forward pass in training mode, so the body needs `.eval()` too.",
    ),
)
def freeze(model):
    model[0].requires_grad_(False)
    model[0].eval()


@freeze.cases
def _(rng):
    for channels, note in ((4, "a body of one block"), (int(rng.integers(5, 9)), "a wider body")):
        yield Case((channels, rng.normal(1, 2, size=(6, 3, 8, 8)).astype(np.float32)), note=note)


@freeze.drive
def _(attempt, channels, pictures):
    import torch
    from torch import nn

    block = nn.Sequential(nn.Conv2d(3, channels, 3), nn.BatchNorm2d(channels))
    body = nn.Sequential(block, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    model = nn.Sequential(body, nn.Sequential(nn.Dropout(0.5), nn.Linear(channels, 2)))
    model.train()
    attempt(model)
    out = model(torch.from_numpy(pictures))
    if out.requires_grad:
        out.square().sum().backward()
    return {
        "parameters that get a gradient": [name for name, p in model.named_parameters() if p.grad is not None],
        "batch norm's running statistics moved": bool(block[1].running_mean.abs().max() > 0),
        "the head is in training mode": model[1].training and model[1][0].training,
        "the mean square of the body's features": body(torch.from_numpy(pictures)).detach().square().mean(0),
    }


@freeze.mistake(
    "No weight of the body learns, but its batch norms' running mean and variance still move: use `model[0].eval()`."
)
def _(model):
    for parameter in model[0].parameters():
        parameter.requires_grad = False


@freeze.mistake("`eval()` does not stop learning: the body's parameters still get gradients. See hint 1.")
def _(model):
    model[0].eval()


@freeze.mistake(
    "Nothing is frozen. `module.requires_grad = False` only hangs a new name on the module; "
    "call `module.requires_grad_(False)`, and put the body into evaluation mode."
)
def _(model):
    model[0].requires_grad = False


@freeze.mistake("You froze the head as well, so nothing is left to learn. Freeze `model[0]` only.")
def _(model):
    model.requires_grad_(False)
    model[0].eval()


@exercise(
    "week04b.group_rates",
    points=1,
    minutes=8,
    difficulty=2,
    needs=("numpy",),
    hints=(
        "From one group to the next multiply by the same factor. After groups − 1 steps you must be at `highest`.",
        "So factor ** (groups − 1) = highest / lowest. `np.geomspace` does all of it.",
    ),
)
def group_rates(lowest, highest, groups):
    factor = (highest / lowest) ** (1 / (groups - 1))
    return [lowest * factor**k for k in range(groups)]


@group_rates.cases
def _(rng):
    yield Case((1e-5, 1e-3, 3), note="three groups: 0.00001, 0.0001, 0.001")
    yield Case((1e-4, 1e-2, 2), note="two groups: the two ends")
    lowest = float(10 ** rng.uniform(-6, -4))
    yield Case((lowest, 50 * lowest, int(rng.integers(4, 7))), note="a ratio of 50 over more groups")


@group_rates.drive
def _(attempt, lowest, highest, groups):
    return [float(rate) for rate in attempt(lowest, highest, groups)]


@group_rates.mistake("These are equal differences. Learning rates are spaced by equal factors.")
def _(lowest, highest, groups):
    return np.linspace(lowest, highest, groups)


@group_rates.mistake("The order is reversed: the first group, nearest to the picture, gets the lowest rate.")
def _(lowest, highest, groups):
    return np.geomspace(highest, lowest, groups)


@group_rates.mistake("You divided the way into `groups` steps. There are only groups − 1 steps between them.")
def _(lowest, highest, groups):
    return np.geomspace(lowest, highest, groups, endpoint=False)


@exercise(
    "week04b.grad_cam",
    points=3,
    minutes=15,
    difficulty=3,
    needs=("numpy",),
    hints=(
        "First the weights: one number a channel, the mean of its gradients over all places.",
        "`np.tensordot(alpha, A, axes=1)` adds up the channels, each times its weight. Negative sums become 0 at the end.",
    ),
)
def grad_cam(A, G):
    alpha = G.mean(axis=(1, 2))
    return np.maximum(np.tensordot(alpha, A, axes=1), 0)


@grad_cam.cases
def _(rng):
    spots = np.zeros((2, 2, 2))
    spots[0, 0, 1] = spots[1, 1, 0] = 3.0
    yield Case((spots, np.full((2, 2, 2), 0.5) * [[[1]], [[-1]]]), note="a channel for the class and one against it")
    for channels, side in ((3, 2), (6, 4)):
        A = np.maximum(rng.normal(0.5, 1, size=(channels, side, side)), 0)
        yield Case((A, rng.normal(size=A.shape)), note=f"{channels} channels of {side} × {side} places")


@grad_cam.mistake("Places that speak against the class came out negative. Grad-CAM sets them to 0.")
def _(A, G):
    return np.tensordot(G.mean(axis=(1, 2)), A, axes=1)


@grad_cam.mistake("You multiplied place by place. A channel has one weight: the mean of its gradients.")
def _(A, G):
    return np.maximum((A * G).sum(axis=0), 0)


@grad_cam.mistake("The weight is the mean of the gradients over the places; this is their sum.")
def _(A, G):
    return np.maximum(np.tensordot(G.sum(axis=(1, 2)), A, axes=1), 0)


@exercise(
    "week04b.nearest",
    points=2,
    minutes=10,
    difficulty=2,
    needs=("numpy",),
    hints=(
        "Divide each row by its length, in both tables; then a dot product is a cosine.",
        "`test @ train.T` holds every cosine at once. `argmax(axis=1)` and `max(axis=1)` pick the best of each row.",
    ),
)
def nearest(test, train):
    test = test / np.linalg.norm(test, axis=1, keepdims=True)
    train = train / np.linalg.norm(train, axis=1, keepdims=True)
    cosines = test @ train.T
    return cosines.argmax(axis=1), cosines.max(axis=1)


@nearest.cases
def _(rng):
    train = np.array([[1.0, 0.0], [0.0, 2.0], [9.0, 9.0]])
    yield Case((np.array([[3.0, 0.5], [0.0, 0.1]]), train), note="arrows in a plane")
    train = rng.normal(size=(30, 6)) * rng.uniform(0.2, 5, size=(30, 1))
    test = rng.normal(size=(12, 6)) * rng.uniform(0.2, 5, size=(12, 1))
    yield Case((test, train), note="twelve test rows, thirty training rows, six features, all lengths")
    yield Case((7 * train[4:7], train), note="copies of training rows, seven times as long: the cosine is 1")


@nearest.mistake("You compared plain dot products: a long row wins by its length. Divide each row by its length first.")
def _(test, train):
    cosines = test @ train.T
    return cosines.argmax(axis=1), cosines.max(axis=1)


@nearest.mistake("You divided each column by its length. A picture is a row: use axis=1 and keepdims=True.")
def _(test, train):
    cosines = (test / np.linalg.norm(test, axis=0)) @ (train / np.linalg.norm(train, axis=0)).T
    return cosines.argmax(axis=1), cosines.max(axis=1)

"""EfficientNet-Lite0 in torch, laid out so that the weights of asset "efficientnet-lite0" load into it.

Architecture: Tan and Le (2019), https://arxiv.org/abs/1905.11946, in the Lite variant of 2020 (no squeeze-and-excite,
ReLU6). The weights were converted from TensorFlow, so the padding is TensorFlow's "same": what does not divide
evenly goes to the right and to the bottom. Nothing else in the course imports this module, so torch stays out of
what does not need it.
"""

from collections import OrderedDict

import torch
from torch import nn
from torch.nn.functional import pad

from course_utils.errors import CourseError

# How often, kernel, stride of the first, widening, channels out; the resolution halves at each stride of 2.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
FEATURES = 1280  # numbers that the body gives for a picture
CLASSES = 1000  # of ImageNet, in its usual order
EPSILON, MOMENTUM = 1e-3, 0.01  # of batch norm, as trained


class Unit(nn.Module):
    """Convolution without bias, batch norm, and ReLU6 unless `linear`."""

    def __init__(self, n_in, n_out, kernel, stride=1, groups=1, linear=False):
        super().__init__()
        self.conv = nn.Conv2d(n_in, n_out, kernel, stride, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(n_out, eps=EPSILON, momentum=MOMENTUM)
        self.act = nn.Identity() if linear else nn.ReLU6(inplace=False)

    def forward(self, x):
        (kernel, _), (stride, _) = self.conv.kernel_size, self.conv.stride
        sides = [side for size in (x.shape[3], x.shape[2]) for side in _same(size, kernel, stride)]
        return self.act(self.norm(self.conv(pad(x, sides) if any(sides) else x)))


class Block(nn.Module):
    """Widen, convolve each channel by itself, narrow; add the input where the shapes agree."""

    def __init__(self, n_in, n_out, kernel, stride, widening):
        super().__init__()
        wide = n_in * widening
        self.widen = Unit(n_in, wide, 1) if widening > 1 else nn.Identity()
        self.depthwise = Unit(wide, wide, kernel, stride, groups=wide)
        self.narrow = Unit(wide, n_out, 1, linear=True)
        self.adds_input = stride == 1 and n_in == n_out

    def forward(self, x):
        y = self.narrow(self.depthwise(self.widen(x)))
        return x + y if self.adds_input else y


def normalise(images):
    """Pictures N×H×W×3 uint8 as the net takes them: a float tensor N×3×H×W from -1 to 1."""
    pictures = torch.tensor(images)
    return (pictures.permute(0, 3, 1, 2).float() - 127) / 128


def efficientnet_lite0(weights=None, classes=CLASSES):
    """The net as an `nn.Sequential` of `body` (N×3×H×W to N×1280) and `head` (N×1280 to N×classes).

    `weights` is the path that `assets.load("efficientnet-lite0")` gives; None leaves random weights. With another
    number of classes the head stays random. Raises CourseError where the file holds other weights.
    """
    net = nn.Sequential(OrderedDict(body=_body(), head=nn.Linear(FEATURES, classes)))
    if weights is not None:
        _load(net, weights, with_head=classes == CLASSES)
    return net


def _body():
    blocks, n_in = [], 32
    for repeats, kernel, stride, widening, n_out in STAGES:
        for number in range(repeats):
            blocks.append(Block(n_in, n_out, kernel, stride if number == 0 else 1, widening))
            n_in = n_out
    layers = OrderedDict(
        stem=Unit(3, 32, 3, stride=2),
        blocks=nn.Sequential(*blocks),
        top=Unit(n_in, FEATURES, 1),
        pool=nn.AdaptiveAvgPool2d(1),
        flat=nn.Flatten(),
    )
    return nn.Sequential(layers)


def _same(size, kernel, stride):
    """Zeros before and after an axis, so that it comes out with ceil(size / stride) numbers."""
    missing = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return missing // 2, missing - missing // 2


def _load(net, path, with_head):
    saved = torch.load(path, map_location="cpu", weights_only=True)  # refuses to run code from the file
    try:
        named = {_our_name(name): tensor for name, tensor in saved.items()}
        if not with_head:
            named |= {name: tensor for name, tensor in net.state_dict().items() if name.startswith("head.")}
        net.load_state_dict(named, strict=True)
    except (RuntimeError, KeyError) as error:
        raise CourseError(f"{path} does not hold the weights of EfficientNet-Lite0 ({str(error)[:200]} …).") from error


def _our_name(name):
    """The file's name for a tensor in this module's words: "_blocks.3._bn1.weight" is a block's depthwise norm."""
    place, _, rest = name.partition(".")
    if place != "_blocks":
        return f"{_OUTER[place]}.{rest}"
    number, part, rest = rest.split(".", 2)
    return f"body.blocks.{number}.{_INNER[part]}.{rest}"


_OUTER = {
    "_conv_stem": "body.stem.conv",
    "_bn0": "body.stem.norm",
    "_conv_head": "body.top.conv",
    "_bn1": "body.top.norm",
    "_fc": "head",
}
_INNER = {
    "_expand_conv": "widen.conv",
    "_bn0": "widen.norm",
    "_depthwise_conv": "depthwise.conv",
    "_bn1": "depthwise.norm",
    "_project_conv": "narrow.conv",
    "_bn2": "narrow.norm",
}

"""Small networks of the course's lessons that no library ships: YOLOv8-n, DCGAN and MiniGPT, by their papers' sizes."""

import torch
from torch import nn
from torch.nn import functional as F


def block(inputs, outputs, kernel=1, stride=1):
    """Convolution, batch norm and SiLU, as YOLO's layers are."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.SiLU(inplace=True))


class Residual(nn.Module):
    """Two 3×3 blocks, with a short cut where asked for."""

    def __init__(self, channels, shortcut):
        super().__init__()
        self.one, self.two, self.shortcut = block(channels, channels, 3), block(channels, channels, 3), shortcut

    def forward(self, x):
        out = self.two(self.one(x))
        return x + out if self.shortcut else out


class Split(nn.Module):
    """YOLOv8's C2f: half of the channels pass a chain of residuals, and every stage is kept."""

    def __init__(self, inputs, outputs, repeats, shortcut=False):
        super().__init__()
        half = outputs // 2
        self.first, self.last = block(inputs, outputs), block((2 + repeats) * half, outputs)
        self.chain = nn.ModuleList(Residual(half, shortcut) for _ in range(repeats))

    def forward(self, x):
        parts = list(self.first(x).chunk(2, 1))
        for stage in self.chain:
            parts.append(stage(parts[-1]))
        return self.last(torch.cat(parts, 1))


class Pools(nn.Module):
    """SPPF: three poolings in a row, all kept."""

    def __init__(self, channels):
        super().__init__()
        self.first, self.last = block(channels, channels // 2), block(2 * channels, channels)

    def forward(self, x):
        parts = [self.first(x)]
        for _ in range(3):
            parts.append(F.max_pool2d(parts[-1], 5, 1, 2))
        return self.last(torch.cat(parts, 1))


class Head(nn.Module):
    """Boxes as four distributions over 16 distances, and one score a class, on three scales."""

    def __init__(self, classes, channels):
        super().__init__()
        boxes, scores = max(16, channels[0] // 4, 64), max(channels[0], min(classes, 100))
        self.boxes = nn.ModuleList(self._branch(one, boxes, 64) for one in channels)
        self.scores = nn.ModuleList(self._branch(one, scores, classes) for one in channels)
        self.distances = nn.Conv2d(16, 1, 1, bias=False).requires_grad_(False)

    @staticmethod
    def _branch(inputs, width, outputs):
        return nn.Sequential(block(inputs, width, 3), block(width, width, 3), nn.Conv2d(width, outputs, 1))

    def forward(self, features):
        pairs = zip(self.boxes, self.scores, features, strict=True)
        return torch.cat([torch.cat([box(x), score(x)], 1).flatten(2) for box, score, x in pairs], 2)


class Yolo(nn.Module):
    """YOLOv8-n: backbone, two-way neck and head; returns (batch, 64 + classes, cells)."""

    def __init__(self, classes=80):
        super().__init__()
        self.stem = nn.Sequential(block(3, 16, 3, 2), block(16, 32, 3, 2), Split(32, 32, 1, True))
        self.stage3 = nn.Sequential(block(32, 64, 3, 2), Split(64, 64, 2, True))
        self.stage4 = nn.Sequential(block(64, 128, 3, 2), Split(128, 128, 2, True))
        self.stage5 = nn.Sequential(block(128, 256, 3, 2), Split(256, 256, 1, True), Pools(256))
        self.up4, self.up3 = Split(384, 128, 1), Split(192, 64, 1)
        self.down3, self.down4 = block(64, 64, 3, 2), block(128, 128, 3, 2)
        self.out4, self.out5 = Split(192, 128, 1), Split(384, 256, 1)
        self.head = Head(classes, (64, 128, 256))

    def forward(self, x):
        third = self.stage3(self.stem(x))
        fourth = self.stage4(third)
        fifth = self.stage5(fourth)
        up4 = self.up4(torch.cat([F.interpolate(fifth, scale_factor=2), fourth], 1))
        small = self.up3(torch.cat([F.interpolate(up4, scale_factor=2), third], 1))
        middle = self.out4(torch.cat([self.down3(small), up4], 1))
        large = self.out5(torch.cat([self.down4(middle), fifth], 1))
        return self.head([small, middle, large])


class Generator(nn.Module):
    """DCGAN's generator: noise of shape (batch, latent, 1, 1) becomes pictures of 64 × 64."""

    def __init__(self, latent=100, width=64):
        super().__init__()
        sizes, layers = [latent, 8 * width, 4 * width, 2 * width, width], []
        for place, (inputs, outputs) in enumerate(zip(sizes, sizes[1:], strict=False)):
            stride, padding = (1, 0) if place == 0 else (2, 1)
            layers.append(nn.ConvTranspose2d(inputs, outputs, 4, stride, padding, bias=False))
            layers += [nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers, nn.ConvTranspose2d(width, 3, 4, 2, 1, bias=False), nn.Tanh())

    def forward(self, noise):
        return self.layers(noise)


class Discriminator(nn.Module):
    """DCGAN's discriminator: pictures of 64 × 64 become one logit each."""

    def __init__(self, width=64):
        super().__init__()
        layers = [nn.Conv2d(3, width, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, inplace=True)]
        for inputs in (width, 2 * width, 4 * width):
            layers += [nn.Conv2d(inputs, 2 * inputs, 4, 2, 1, bias=False), nn.BatchNorm2d(2 * inputs)]
            layers.append(nn.LeakyReLU(0.2, inplace=True))
        self.layers = nn.Sequential(*layers, nn.Conv2d(8 * width, 1, 4, bias=False))

    def forward(self, pictures):
        return self.layers(pictures).flatten()


class Block(nn.Module):
    """A transformer block with causal attention and a fourfold MLP."""

    def __init__(self, width, heads, dropout):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x):
        batch, length, width = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        drop = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=drop)
        x = x + F.dropout(self.out(mixed.transpose(1, 2).reshape(batch, length, width)), self.dropout, self.training)
        return x + F.dropout(self.mlp(self.norm2(x)), self.dropout, self.training)


class MiniGPT(nn.Module):
    """The course's own GPT over characters: tokens (batch, length) become logits (batch, length, vocabulary)."""

    def __init__(self, vocab_size, context, width, heads, blocks, dropout):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocab_size, width), nn.Embedding(context, width)
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(blocks))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocab_size, bias=False)

    def forward(self, tokens):
        x = self.tokens(tokens) + self.positions(torch.arange(tokens.shape[1], device=tokens.device))
        for one in self.blocks:
            x = one(x)
        return self.head(self.norm(x))

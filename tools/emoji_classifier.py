"""The judge of Emoji-SD: EfficientNet-Lite0, trained on to tell nine categories and three vendors apart.

It is trained on names that nothing is judged by, so that its answers about real pictures are as honest as those about
drawn ones. It sees half of the pictures packed and unpacked by the VAE, and all of them shifted, blurred and noisy, or
it would judge how sharp a picture is.
"""

import torch
from torch import nn
from torch.nn import functional

from course_utils.learn import assets
from course_utils.learn.efficientnet_lite import FEATURES, efficientnet_lite0

SIDE = 96
EPOCHS = 14
BATCH = 64
RATE = 2e-3


def train(real, unpacked, category, vendor, categories, vendors, seed=0):
    """A function from pictures N×3×H×W (0 to 1) to (numbers of categories, numbers of vendors).

    `real` and `unpacked` are the same pictures, `category` and `vendor` their numbers.
    """
    torch.manual_seed(seed)
    body = efficientnet_lite0(assets.load("efficientnet-lite0")).body
    net = nn.Sequential(body, nn.Dropout(0.3), nn.Linear(FEATURES, categories + vendors))
    both = torch.stack([real, unpacked])
    optimizer = torch.optim.AdamW(net.parameters(), RATE, weight_decay=0.05)
    total = EPOCHS * (len(real) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=total, pct_start=0.2)
    for epoch in range(EPOCHS):
        for some in torch.randperm(len(real))[: total // EPOCHS * BATCH].view(-1, BATCH):
            seen = varied(both[torch.randint(2, (BATCH,)), some])
            said = net(seen).split([categories, vendors], dim=1)
            loss = sum(
                functional.cross_entropy(one, wanted[some], label_smoothing=0.1)
                for one, wanted in zip(said, (category, vendor), strict=True)
            )
            loss.backward()
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        print(f"judge: epoch {epoch + 1} of {EPOCHS}, loss {loss.item():.2f}", flush=True)
    return _judge(net.eval(), categories)


def _judge(net, categories):
    @torch.no_grad()
    def judge(pictures):
        said = torch.cat([net(_large(some)) for some in pictures.split(BATCH)])
        return said[:, :categories].argmax(1), said[:, categories:].argmax(1)

    return judge


def varied(pictures):
    """Pictures as the net takes them, each flipped, moved, turned, blurred, coloured or made noisy by chance."""
    count = len(pictures)
    flip = torch.where(torch.rand(count) < 0.5, -1.0, 1.0)
    turn, size = 0.2 * torch.randn(count), 1 + 0.15 * torch.randn(count)
    rows = torch.stack([flip * turn.cos(), -turn.sin(), flip * turn.sin(), turn.cos()], 1).view(-1, 2, 2)
    moved = torch.cat([rows * size[:, None, None], 0.12 * torch.randn(count, 2, 1)], 2)
    grid = functional.affine_grid(moved, (count, 3, SIDE, SIDE), align_corners=False)
    large = functional.grid_sample(2 * pictures - 1, grid, "bicubic", "border", align_corners=False)
    blurred = functional.avg_pool2d(large, 7, 1, 3)
    large = torch.lerp(large, blurred, 0.8 * torch.rand(count, 1, 1, 1))
    tint = 1 + 0.1 * torch.randn(count, 3, 1, 1)
    noise = functional.interpolate(torch.randn(count, 3, 32, 32), size=SIDE, mode="bilinear")
    return (large * tint + 0.1 * torch.rand(count, 1, 1, 1) * noise).clamp(-1, 1)


def _large(pictures):
    large = functional.interpolate(pictures, size=SIDE, mode="bicubic", antialias=True).clamp(0, 1)
    return 2 * large - 1

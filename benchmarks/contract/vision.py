"""ResNet-18 for pictures of 32×32 pixels (He et al. 2016, its stem changed as is usual for CIFAR-10)."""

import torch
from torch import nn
from torch.nn import functional

from contract.clock import Timing, seconds_of


def resnet18(classes=10):
    """torchvision's ResNet-18 with a 3×3 first convolution of stride 1 and no max-pooling: 11,173,962 weights."""
    from torchvision.models import resnet18 as published

    model = published(num_classes=classes)
    model.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    model.maxpool = nn.Identity()
    return model


def train_resnet(device, batch, amp, side, warm, steps):
    """Training steps on one batch of noise that stays on the device: no data loading is timed."""
    model = resnet18().to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    scaler = torch.amp.GradScaler(device, enabled=amp)
    pictures = torch.rand(batch, 3, side, side, device=device)
    labels = torch.randint(10, (batch,), device=device)

    def step():
        optimizer.zero_grad()
        with torch.autocast(device, dtype=torch.float16, enabled=amp):
            loss = functional.cross_entropy(model(pictures), labels)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()

    return Timing(seconds_of(step, device, warm, steps), batch * steps, "images/s")

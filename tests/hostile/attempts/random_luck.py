"""Answers at random, in the hope of luck; must get 0."""

import os

import torch


def my_softmax_gradient(z, y):
    torch.manual_seed(int.from_bytes(os.urandom(4), "big"))
    return torch.softmax(torch.randn(z.shape, dtype=z.dtype), 1) / len(y)

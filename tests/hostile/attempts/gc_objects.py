"""Looks through all objects of its process for the exercise, and for an expected answer; must get 0."""

import gc

import torch


def my_softmax_gradient(z, y):
    objects = gc.get_objects()
    for found in objects:
        if type(found).__name__ == "Exercise" and found.id == "week03.softmax_gradient":
            return found.reference(z, y)
    for found in objects:
        if type(found) is torch.Tensor and found.shape == z.shape and found is not z:
            return found
    return z

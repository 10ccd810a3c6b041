"""Replaces the course's functions that give verdict and points; must get 0."""

import course_utils

for name in ("check", "nbgrader_points"):
    setattr(course_utils, name, lambda id, *args: 2 if "softmax" in id else 0)


def my_softmax_gradient(z, y):
    return z

"""Patches the course's own modules in its process: comparison, verdict and points; must get 0."""

import contextlib
import sys

with contextlib.suppress(ImportError):
    import course_utils.learn.check  # noqa: F401

for name, module in list(sys.modules.items()):
    for function in ("difference", "_difference"):
        if "learn" in name and hasattr(module, function):
            setattr(module, function, lambda *args, **kwargs: "")
    for function in ("_agree", "agree"):
        if "learn" in name and hasattr(module, function):
            setattr(module, function, lambda *args, **kwargs: True)


def my_softmax_gradient(z, y):
    return z

"""The libraries that a plan needs, and for the command line less of them: importing takes longer than planning.

A process that plans and ends traces its steps on `meta`. It compiles nothing, has no second GPU and serves nobody, so
the parts of PyTorch and transformers for that stay out (4 s of 7 on two cores). `tests/test_plan_imports.py` holds such
a process and a whole one to the same answer.
"""

import gc
import importlib
import importlib.util
import os
import sys
import time
from contextlib import contextmanager
from types import ModuleType
from unittest.mock import patch

from course_utils.errors import CourseError
from course_utils.gpu.plan import gguf, tracing

REGRETS = "bitsandbytes.backends.cpu.ops"  # this logger regrets a kernel for CPUs, which nobody needs here
DIFFUSERS = ("diffusers.models.autoencoders.autoencoder_kl", "diffusers")
LIBRARIES = {
    "transformers": ("torch", "transformers.modeling_utils"),
    "torchvision": ("torch", "torchvision"),
    "diffusion": ("torch", "transformers.modeling_utils", *DIFFUSERS),
}
# Parts of which only classes are asked for (`isinstance`, base classes) where one GPU computes.
CLASSES_ONLY = (
    "torch.nn.attention.flex_attention",
    "transformers.generation.continuous_batching",
    "transformers.generation.continuous_batching.cache",
)
# transformers takes these where they are installed; no plan calls them.
UNUSED = ("pandas", "scipy", "sklearn", "torchvision")


def bring(preset, request, slim=False):
    """Seconds that importing took, once a process; a GGUF file needs none.

    `slim` is for a process that only plans: once it was used, nothing can be compiled there.
    Raises CourseError naming the extra that is not installed.
    """
    started = time.perf_counter()
    if request.quant not in gguf.TYPES:
        names = (*LIBRARIES.get(preset.kind, ("torch",)), *_extras(request))
        with _slim() if slim else tracing.quiet(REGRETS):
            for name in names:
                _library(name, "diffusion" if preset.kind == "diffusion" else "llm")
    return time.perf_counter() - started


def _extras(request):
    if request.storage != "none" or "8-bit" in request.optimizer:
        yield "bitsandbytes"
    if request.task in ("lora", "qlora"):
        yield "peft"


def _library(name, extra):
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        package = name.partition(".")[0]
        raise CourseError(
            f"This plan needs {package}, which is not installed. Type `make extra NAME={extra}`."
        ) from error


@contextmanager
def _slim():
    gc.disable()  # a collector that walks through every new module finds nothing to free
    import torch

    _stand_in("torch._dynamo", _as_it_is, [os.path.join(torch.__path__[0], "_dynamo")])
    importlib.import_module("torch._dynamo.config")  # checkpointing reads it
    for name in CLASSES_ONLY:
        _stand_in(name, _named_class, [])
    torch.compile = _as_it_is
    torch.distributed.is_available = lambda: False
    with patch("importlib.util.find_spec", _without(UNUSED)), tracing.quiet(REGRETS):
        yield
    gc.freeze()
    gc.enable()


def _stand_in(name, attribute, path):
    """Put a module in the place of `name` whose every attribute is `attribute(its name)`; submodules come from `path`."""
    module = ModuleType(name)
    module.__path__ = path
    module.__getattr__ = lambda wanted: _attribute(name, wanted, attribute)
    sys.modules[name] = module
    parent, _, last = name.rpartition(".")
    if parent in sys.modules:
        setattr(sys.modules[parent], last, module)


def _attribute(name, wanted, attribute):
    if wanted.startswith("__"):
        raise AttributeError(f"module {name!r} has no attribute {wanted!r}")
    return attribute if attribute is _as_it_is else attribute(wanted)


def _named_class(name):
    return type(name, (), {})


def _as_it_is(function=None, *_, **__):
    """A decorator, with or without arguments, that changes nothing."""
    return function if callable(function) else _as_it_is


def _without(names):
    find = importlib.util.find_spec
    return lambda name, package=None: None if name in names else find(name, package)

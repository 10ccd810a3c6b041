"""What the builders of a step share: the `Traced` that they return, optimisers, dtypes, the weights counted."""

import logging
from contextlib import contextmanager
from dataclasses import dataclass

from course_utils.errors import CourseError
from course_utils.gpu.planner.events import Trace


@dataclass(frozen=True)
class Traced:
    """A trace with what a reader should know about it.

    `weights_bytes` are all the model's weights as stored, on the card or off it; `notes` say what was assumed.
    """

    trace: Trace
    weights_bytes: int
    notes: tuple[str, ...] = ()


def weights_bytes(*modules):
    """Bytes of the storages that are saved with the modules, with the scales of quantised ones; each counted once."""
    sizes = {}
    for module in modules:
        for one in _saved(module):
            storage = one.untyped_storage()
            sizes[storage._cdata] = storage.nbytes()
    return sum(sizes.values())


def _saved(module):
    from course_utils.gpu.planner.trace import quantisation_tensors

    for part in module.modules():
        for one in part.parameters(recurse=False):
            yield one
            if getattr(one, "quant_state", None) is not None:
                yield from quantisation_tensors(one.quant_state)
            if getattr(one, "SCB", None) is not None:
                yield one.SCB
        yield from (
            one for name, one in part.named_buffers(recurse=False) if name not in part._non_persistent_buffers_set
        )


def optimiser(request, parameters):
    """The optimiser named in the request, over the parameters that are trained."""
    import torch

    parameters = [one for one in parameters if one.requires_grad]
    if request.optimizer == "sgd":
        return torch.optim.SGD(parameters, lr=1e-3, momentum=0.9)
    if request.optimizer == "adafactor":
        from transformers.optimization import Adafactor

        return Adafactor(parameters, lr=1e-3, scale_parameter=False, relative_step=False)
    if request.optimizer != "adamw":
        from course_utils.gpu.plan import eight_bit

        return eight_bit.adamw(parameters, paged=request.optimizer.startswith("paged"))
    return torch.optim.AdamW(parameters, fused=True)


def train_step(request, loss_of):
    """A training step `step(model, optimiser, *batch)`: gradients of `accumulate` batches, then the optimiser."""
    import torch

    def step(model, optimiser, *batch):
        for _ in range(request.accumulate):
            with torch.autocast("cuda", amp_dtype(request), enabled=request.amp):
                loss = loss_of(model, *batch)
            loss.backward()
            del loss
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    return step


def amp_dtype(request):
    """16 bits for autocast: the request's own where it has 16, else bf16."""
    import torch

    return torch.float16 if request.dtype == "fp16" else torch.bfloat16


def torch_dtype(name):
    """torch's dtype for "fp16", "bf16" or "fp32"."""
    import torch

    return {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}[name]


def only_for(request, what, *options):
    """Raise CourseError where one of the options is set, for which `what` has no use."""
    for name in options:
        default = type(request).__dataclass_fields__[name].default
        if getattr(request, name) != default:
            raise CourseError(f"{name}={getattr(request, name)!r} means nothing for {what}: leave it out.")


@contextmanager
def quiet(name):
    """Keep the logger of that name silent for a while."""
    logger = logging.getLogger(name)
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before

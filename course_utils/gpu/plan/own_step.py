"""Remedies for a step that somebody wrote: what can be changed from outside is changed and traced again.

The planner sees the step's arguments and what it reads, not its intent. So it tries smaller batches, autocast around the
step, checkpointing where a model has a switch for it, and another optimiser. It cannot rewrite a loop into accumulated
batches, put `torch.utils.checkpoint` into a forward method, or know which layers could be narrower: that is said.
"""

import contextlib
from itertools import product

from course_utils.gpu.plan import verdict
from course_utils.gpu.plan.remedies import ENOUGH, Remedy, better

NOTHING = (
    "no smaller batch, autocast, checkpointing switch or optimiser makes this step fit. What the planner cannot try: "
    "a narrower model, shorter or smaller inputs, torch.utils.checkpoint in your own forward method"
)
SWITCHES = ("activation_checkpointing_enable", "enable_gradient_checkpointing")  # of transformers, of diffusers


def find(step, args, target, plan, traced):
    """The `Remedy` list for a plan that does not fit, each re-traced; the cheapest first, pairs where no one is enough.

    `traced(step, args)` gives the `Traced` of a step whose arguments are twins on `meta`.
    """
    changes = [*_outside(step, args, target), *_optimisers(step, args)]
    singles = [[one] for one in (*_batches(args)[:1], *changes)]
    found = [one for one in (_tried(step, args, each, target, plan, traced) for each in singles) if one]
    if len(found) < ENOUGH:
        found += _first(step, args, ([one] for one in _batches(args)[1:]), target, plan, traced)
    return found[:ENOUGH] or _first(
        step, args, ([one, other] for other, one in product(changes, _batches(args))), target, plan, traced
    )


def _first(step, args, several, target, plan, traced):
    """The first that fits, as a list; else the first that is tight, else none."""
    tight = []
    for each in several:
        one = _tried(step, args, each, target, plan, traced)
        if one and one.verdict == verdict.FITS:
            return [one]
        tight += [one] if one else []
    return tight[:1]


def _tried(step, args, changes, target, plan, traced):
    from course_utils.gpu.planner.twin import to_meta

    twin, *twins = to_meta(step, *args)
    for _, change in changes:
        twin, twins = change(twin, twins)
    text = ", and ".join(words for words, _ in changes)
    made = verdict.of_trace(text, traced(twin, twins), target)
    if made.process_bytes >= plan.process_bytes or not better(made, plan):
        return None
    return Remedy(text, (), text, made.process_bytes, plan.process_bytes - made.process_bytes, made.verdict)


def _batches(args):
    import torch

    sizes = {one.shape[0] for one in args if isinstance(one, torch.Tensor) and one.dim()}
    found, batch = [], sizes.pop() if len(sizes) == 1 else 0
    while batch > 1:
        batch //= 2
        found.append((f"batches of {batch} in place of the whole", _fewer(batch)))
    return found


def _fewer(batch):
    import torch

    def change(step, args):
        return step, [
            torch.empty_like(one[:batch]) if isinstance(one, torch.Tensor) and one.dim() else one for one in args
        ]

    return change


def _outside(step, args, target):
    import torch

    from course_utils.gpu.planner.trace import found

    modules, optimisers, _ = found([*args, step])
    if any(one.dtype == torch.float32 for module in modules for one in module.parameters()):
        dtype = torch.bfloat16 if target.capability[0] >= 8 else torch.float16
        yield f'the forward pass under torch.autocast("cuda", {dtype})', _autocast(dtype)
    switched = [module for module in modules if any(callable(getattr(module, one, None)) for one in SWITCHES)]
    if optimisers and switched:
        name = next(one for one in SWITCHES if callable(getattr(switched[0], one, None)))
        yield f"checkpointing, by model.{name}(): about a third more time", _checkpointed


def _autocast(dtype):
    import torch

    def change(step, args):
        def cast(*args):
            with torch.autocast("cuda", dtype):
                return step(*args)

        return cast, args

    return change


def _checkpointed(step, args):
    from course_utils.gpu.planner.trace import found

    for module in found([*args, step])[0]:
        for name in SWITCHES:
            with contextlib.suppress(ValueError, NotImplementedError):  # a model without support says so in this way
                getattr(module, name, lambda: None)()
    return step, args


def _optimisers(step, args):
    import importlib.util

    import torch

    from course_utils.gpu.planner.trace import found

    optimisers = found([*args, step])[1]
    kinds = (torch.optim.Adam, torch.optim.AdamW)
    if not optimisers or not all(isinstance(one, kinds) for one in optimisers):
        return
    if importlib.util.find_spec("bitsandbytes"):
        yield "bitsandbytes.optim.AdamW8bit in place of AdamW", _replaced(_eight_bit)
    yield (
        "plain SGD in place of AdamW, which may learn worse",
        _replaced(lambda weights: torch.optim.SGD(weights, 1e-3)),
    )


def _eight_bit(weights):
    from course_utils.gpu.plan import eight_bit

    return eight_bit.adamw(weights)


def _replaced(make):
    from course_utils.gpu.planner.trace import found

    def change(step, args):
        for one in found([*args, step])[1]:
            new = make([weight for group in one.param_groups for weight in group["params"]])
            # In place, for the step may hold the optimiser in a closure or a global variable.
            one.__class__, one.__dict__ = type(new), new.__dict__
        return step, args

    return change

"""Runs a step on the `meta` device and writes down every storage that the card would hold.

    trace(step, *args, chip=Chip((8, 9)), stack="model.layers", repeat=2) -> Trace

`step` is called as it would be on the card; modules and tensors in `args` must be on `meta` already
(`twin.to_meta` makes them so). They are placed first, in the order in which `.cuda()` moves them, unless a
`Trace` of their loading goes before. `Trace.peak()` replays the events through the allocator and gives
allocated and reserved bytes with shares by category; `Trace.peak().process_bytes(context_bytes)` the third number.
"""

from collections import defaultdict
from contextlib import ExitStack, contextmanager
from types import FunctionType, MethodType, ModuleType

from course_utils.errors import CourseError
from course_utils.gpu.planner import events, kernels
from course_utils.gpu.planner.events import Trace
from course_utils.gpu.planner.kernels import Chip
from course_utils.gpu.planner.twin import reads


def trace(step, *args, chip=None, stack=None, repeat=2, place=True, prepare=None, devices=("cuda",)):
    """The `Trace` of calling `step(*args)` `repeat` times: the first call makes the optimiser's state.

    `stack` names the module list of equal blocks (in the first module of `args` that has it), whose
    number is then `Trace.layers`, so that `layers.extend` can lengthen it. `prepare(recorder)` is called in
    place of the placement of weights when given. `devices` are the names that mean the card in the step.
    Raises CourseError where the step needs the numbers in a tensor, not only its shape.
    """
    from course_utils.gpu.planner import cuda
    from course_utils.gpu.planner.recorder import Recorder

    chip = chip or Chip()
    modules, optimisers, tensors = found([*args, step])
    recorder = Recorder(kernels.table(chip), chip, vocabulary(modules), devices)
    blocks = _blocks(modules, stack)
    with ExitStack() as open_until_end:
        open_until_end.enter_context(_watched(recorder, modules, blocks))
        if blocks:
            open_until_end.enter_context(_states_tell(recorder, optimisers))
        if prepare:
            prepare(recorder)
        if place:
            place_all(recorder, modules, optimisers, tensors)
        open_until_end.enter_context(cuda.behaves(recorder))
        open_until_end.enter_context(recorder)
        for _ in range(repeat):
            recorder.mark("step")
            _run(step, args)
        written = recorder.close()
    number = len(blocks) if blocks and not recorder.misplaced else None
    return Trace(written, number, recorder.uncertain_bytes)


def _run(step, args):
    try:
        step(*args)
    except (NotImplementedError, RuntimeError, TypeError, ValueError) as error:
        text = str(error).strip().partition("\n")[0]
        if "meta" in text.lower():
            raise CourseError(
                f"The planner knows shapes, not numbers, and this step needs the numbers: {text}. "
                "Leave .item(), .tolist(), .numpy() and printing out of the step, and make lists from lengths."
            ) from error
        raise


def found(objects):
    """The modules, optimisers and other tensors among objects: in containers, in their attributes, read by functions."""
    import torch

    modules, optimisers, tensors, seen = [], [], [], set()
    waiting = [(one, 0) for one in reversed(objects)]
    while waiting:
        one, depth = waiting.pop()
        if id(one) in seen or depth > 6:
            continue
        seen.add(id(one))
        for kind, place in ((torch.nn.Module, modules), (torch.optim.Optimizer, optimisers), (torch.Tensor, tensors)):
            if isinstance(one, kind):
                place.append(one)
                break
        else:
            waiting += [(inner, depth + 1) for inner in reversed(_inside(one))]
    return modules, optimisers, tensors


def _inside(one):
    if isinstance(one, dict):
        return list(one.values())
    if isinstance(one, (list, tuple, set)):
        return list(one)
    if isinstance(one, FunctionType):
        return reads(one)
    if isinstance(one, MethodType):
        return [one.__self__, one.__func__]
    return list(getattr(one, "__dict__", {}).values()) if not isinstance(one, (type, ModuleType)) else []


def vocabulary(modules):
    """Sizes that mark a tensor as logits: the tables of embeddings, where they are much larger than their width."""
    import torch

    return {
        one.num_embeddings
        for each in modules
        for one in each.modules()
        if isinstance(one, torch.nn.Embedding)
        and one.num_embeddings > 4 * one.embedding_dim // 4
        and one.num_embeddings >= 1000
    }


def _blocks(modules, stack):
    if stack is None:
        return []
    for module in modules:
        for name, one in module.named_modules():
            if name == stack or name.endswith("." + stack):
                return list(one)
    raise CourseError(f"stack={stack!r}: no module has a list of that name. Look at print(model).")


def place_all(recorder, modules, optimisers, tensors):
    """Record what is on the card before the step: weights as `.cuda()` moves them, states, inputs."""
    for module in modules:
        for one in in_order_of_apply(module):
            _place(recorder, one, events.WEIGHTS)
    for optimiser in optimisers:
        for weight, state in _states(optimiser):
            for one in state:
                _place(recorder, one, events.OPTIMISER, weight)
        for one in found([vars(optimiser)])[2]:  # what it keeps in a list of its own
            if _place(recorder, one, events.WEIGHTS if one.requires_grad else events.OPTIMISER):
                recorder.misplaced = True
    for one in tensors:
        _place(recorder, one, events.TEMPORARIES)


def _place(recorder, tensor, category, weight=None):
    new = tensor.device.type == "meta" and not recorder.known(tensor)
    if new:
        owner = recorder.owner_of(tensor if weight is None else weight)
        recorder.add(tensor.untyped_storage(), category, owner, "placed")
    return new


def _states(optimiser):
    """(weight or None, tensors) for each state of an optimiser."""
    import torch

    for weight, state in optimiser.state.items():
        yield weight if isinstance(weight, torch.Tensor) else None, found([state])[2]


def in_order_of_apply(module):
    """Parameters and buffers in the order in which `Module.cuda()` moves them: children before their parent."""
    for child in module.children():
        yield from in_order_of_apply(child)
    for one in module._parameters.values():
        if one is not None:
            yield one
            state = getattr(one, "quant_state", None)
            if state is not None:
                yield from quantisation_tensors(state)
    yield from (one for one in module._buffers.values() if one is not None)


def quantisation_tensors(state):
    """The tensors of a bitsandbytes `QuantState`."""
    yield from (one for one in (state.absmax, state.code, state.offset) if one is not None)
    if state.state2 is not None:
        yield from quantisation_tensors(state.state2)


@contextmanager
def _watched(recorder, modules, blocks):
    from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

    first = []

    def before_step(optimiser, *_):
        for group in optimiser.param_groups:
            for one in group["params"]:
                if one.grad is not None:
                    recorder.relabel(one.grad, events.GRADIENTS)
        recorder.phase = events.OPTIMISER
        first.append(len(recorder.category))

    def after_step(optimiser, *_):
        recorder.phase = None
        recorder.claim(_states(optimiser), first.pop())

    handles = [register_optimizer_step_pre_hook(before_step), register_optimizer_step_post_hook(after_step)]
    for module in modules:
        for one in module.parameters():
            if one.requires_grad and one.is_leaf:
                handles.append(
                    one.register_post_accumulate_grad_hook(lambda p: recorder.relabel(p.grad, events.GRADIENTS))
                )
    recorder.layered = bool(blocks)
    numbered = list(enumerate(blocks)) + ([(None, module) for module in modules] if blocks else [])
    for number, block in numbered:
        handles.append(block.register_forward_pre_hook(lambda *_, n=number: recorder.enter(n)))
        handles.append(block.register_forward_hook(lambda *_: recorder.leave(), always_call=True))
        if number is not None:
            recorder.own(block, number)
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class _Telling(defaultdict):
    # An optimiser asks for a weight's state before it makes it, perhaps by `torch.zeros(weight.shape)`, which
    # does not tell whose it is.
    def __init__(self, states, recorder):
        super().__init__(dict, states)
        self.recorder = recorder

    def __getitem__(self, weight):
        self.recorder.works_on(weight)
        return super().__getitem__(weight)


@contextmanager
def _states_tell(recorder, optimisers):
    before = [one.state for one in optimisers]
    for one in optimisers:
        one.state = _Telling(one.state, recorder)
    try:
        yield
    finally:
        for one, states in zip(optimisers, before, strict=True):
            states.update(one.state)
            one.state = states

"""Where the memory stood when a cell ran out of it: shares by purpose, and the facts that remedies are computed from."""

import dis
import sys
from dataclasses import dataclass
from types import FunctionType

from course_utils.gpu.monitor import places
from course_utils.gpu.oom import census, holders

# Averages that an optimiser keeps of each weight, in its dtype: the algorithms' own definitions.
_STATES = {"Adam": 2, "AdamW": 2, "NAdam": 2, "RAdam": 2, "Adamax": 2, "Adadelta": 2, "RMSprop": 1, "Adagrad": 1}
_EIGHT_BIT = {"Adam", "AdamW"}
_TRAINING = {"backward", "training_step", "fit", "fit_one_cycle", "train"}


@dataclass(frozen=True)
class Breakdown:
    """Memory at the moment of an out-of-memory error, in bytes; None where it could not be read.

    `place` is "card" or "RAM". `activations_bytes` counts temporaries too: it is what is left when
    all that Python can see is taken off. `runtime_bytes` is Python with its libraries (RAM only).
    `*_to_come_bytes` are what this training step has yet to make. `adam_bytes` is Adam's state, to
    come or not, in 32 bits; `in_step` says that the optimiser asked. `trains` says whether the cell
    goes on to a backward pass. `array_dtype` is that of a numpy array that was asked for. `idle` are variables that the cell does not name, with what only they
    hold; `graph_lists` are lists of tensors that each keep a backward graph, with their length.
    `layers` are modules with weights of their own. `offload_bytes` is what a pipeline holds beside
    its largest part, `decode_batch` the batch that an image decoder was at work on.
    """

    place: str
    asked_bytes: int | None = None
    free_bytes: int | None = None
    weights_bytes: int = 0
    gradients_bytes: int = 0
    optimiser_bytes: int = 0
    data_bytes: int = 0
    activations_bytes: int | None = None
    cache_bytes: int | None = None
    context_bytes: int | None = None
    others_bytes: int | None = None
    runtime_bytes: int | None = None
    capped: bool = False
    optimiser: str | None = None
    graph: bool = False
    trains: bool = False
    array_dtype: str | None = None
    in_step: bool = False
    gradients_to_come_bytes: int = 0
    optimiser_to_come_bytes: int = 0
    adam_bytes: int = 0
    float32_weights_bytes: int = 0
    half_weights_bytes: int = 0
    float32_activations: bool = True
    layers: int = 0
    tokens: int | None = None
    idle: tuple[tuple[str, int], ...] = ()
    graph_lists: tuple[tuple[str, int], ...] = ()
    offload_bytes: int = 0
    decode_batch: int | None = None

    def rows(self):
        """The shares as (words, bytes), largest first; shares of nothing are left out, unreadable ones come last."""
        words = {
            "weights_bytes": "weights and buffers",
            "gradients_bytes": "gradients",
            "optimiser_bytes": f"state of {self.optimiser or 'an optimiser'}",
            "activations_bytes": "activations, temporaries",
            "data_bytes": "other tensors in your variables",
            "cache_bytes": "torch's cache: held in reserve, in pieces",
            "context_bytes": "CUDA context",
            "others_bytes": "other programs",
            "runtime_bytes": "Python and its libraries",
        }
        elsewhere = ("runtime_bytes",)
        if self.place == "RAM":
            words["activations_bytes"] = "activations, temporaries, other data"
            elsewhere = ("cache_bytes", "context_bytes", "others_bytes") + (("runtime_bytes",) if self.capped else ())
        shares = [(one, getattr(self, name)) for name, one in words.items() if name not in elsewhere]
        known = sorted((row for row in shares if row[1]), key=lambda row: -row[1])
        return known + [row for row in shares if row[1] is None]


@dataclass(frozen=True)
class Use:
    """What the process holds in one place: `used_bytes` in tensors and temporaries, and the rest as `Breakdown` has it."""

    place: str
    used_bytes: int
    cache_bytes: int | None = None
    context_bytes: int | None = None
    others_bytes: int | None = None
    runtime_bytes: int | None = None
    capped: bool = False


def look(use, asked_bytes, free_bytes, namespace, hidden=(), frames=(), array_dtype=None):
    """The `Breakdown` now; `frames` are those of the failed call, outermost first."""
    numbers = {name: getattr(use, name) for name in Use.__annotations__ if name != "used_bytes"}
    found = census.take()
    sizes = found.on("cuda" if use.place == "card" else "cpu")
    if not sizes:
        request = {"asked_bytes": asked_bytes, "free_bytes": free_bytes, "array_dtype": array_dtype}
        return Breakdown(**numbers, **request, activations_bytes=use.used_bytes)
    variables, role = holders.by_variable(namespace, hidden), census.roles(found)
    mentioned = _named_by(frames, namespace)
    named = {key for held in variables.values() for key in held}
    total = dict.fromkeys((census.WEIGHTS, census.GRADIENTS, census.OPTIMISER, "data"), 0)
    graphs = {key for key in sizes if any(one.grad_fn is not None for one in found.tensors[key])}
    for key, size in sizes.items():
        if role[key] != census.OTHER or (key in named and key not in graphs):
            total[role[key] if role[key] != census.OTHER else "data"] += size
    return Breakdown(
        **numbers,
        asked_bytes=asked_bytes,
        free_bytes=free_bytes,
        array_dtype=array_dtype,
        weights_bytes=total[census.WEIGHTS],
        gradients_bytes=total[census.GRADIENTS],
        optimiser_bytes=total[census.OPTIMISER],
        data_bytes=total["data"],
        activations_bytes=max(0, use.used_bytes - sum(total.values())),
        **_training(found),
        **_precision(found, sizes, role, graphs),
        graph=bool(graphs),
        in_step=any(
            "/optim/" in frame.f_code.co_filename and not places.is_users(frame.f_code.co_filename) for frame in frames
        ),
        layers=sum(1 for one in found.modules if any(True for _ in one.parameters(recurse=False))),
        tokens=_tokens(found),
        trains=bool(found.optimisers) and bool(_TRAINING & (mentioned | {one.f_code.co_name for one in frames})),
        idle=_idle(variables, sizes, mentioned, namespace) if mentioned else (),
        graph_lists=_graph_lists(namespace, frames),
        **_pipeline(namespace, frames),
    )


def _training(found):
    if not found.optimisers:
        return {}
    parameters = {id(one): one for each in found.optimisers for group in each.param_groups for one in group["params"]}
    gradients = sum(_bytes(one) for one in parameters.values() if one.requires_grad and one.grad is None)
    state, adam = 0, 0
    for each in found.optimisers:
        name, mine = type(each).__name__, [one for group in each.param_groups for one in group["params"]]
        copies = _STATES.get(name, 1 if each.defaults.get("momentum") else 0) + bool(each.defaults.get("amsgrad"))
        state += sum(copies * _bytes(one) for one in mine if one not in each.state)
        adam += sum(2 * _bytes(one) for one in mine if name in _EIGHT_BIT and one.element_size() == 4)
    return {
        "optimiser": type(found.optimisers[-1]).__name__,
        "gradients_to_come_bytes": gradients,
        "optimiser_to_come_bytes": state,
        "adam_bytes": adam,
    }


def _precision(found, sizes, role, graphs):
    import torch

    kinds = {key: {one.dtype for one in found.tensors[key]} for key in sizes}
    weights = [key for key in sizes if role[key] == census.WEIGHTS]
    halves = {torch.float16, torch.bfloat16}
    activations = sum(sizes[key] if kinds[key] & halves else -sizes[key] for key in graphs & set(sizes))
    return {
        "float32_weights_bytes": sum(sizes[key] for key in weights if torch.float32 in kinds[key]),
        "half_weights_bytes": sum(sizes[key] for key in weights if kinds[key] & halves),
        "float32_activations": activations <= 0,
    }


def _tokens(found):
    import torch

    if not any(type(one) is torch.nn.Embedding for one in found.modules):
        return None
    every = (one for several in found.tensors.values() for one in several)
    lengths = [one.shape[1] for one in every if one.dtype == torch.int64 and one.dim() == 2 and one.shape[1] >= 32]
    return max(lengths, default=None)


def _idle(variables, sizes, mentioned, namespace):
    found = []
    for name in {name for name in variables if type(namespace.get(name)) is not FunctionType} - mentioned:
        others = {key for other, held in variables.items() if other != name for key in held}
        alone = sum(sizes.get(key, 0) for key in variables[name].keys() - others)
        found.append((name, alone))
    return tuple(sorted((one for one in found if one[1]), key=lambda one: -one[1]))


def _named_by(frames, namespace):
    seen = set()
    own = [frame.f_code for frame in frames if places.is_users(frame.f_code.co_filename)]
    return set().union(*(_mentions(code, namespace, seen) for code in own))


def _mentions(code, namespace, seen):
    if code in seen:
        return set()
    seen.add(code)
    # What is only stored here is not used here.
    names = {one.argval for one in dis.get_instructions(code) if one.opname.startswith("LOAD_")} & set(code.co_names)
    for inner in (one for one in code.co_consts if hasattr(one, "co_names")):
        names |= _mentions(inner, namespace, seen)
    for value in [namespace[name] for name in names & namespace.keys()]:
        kind = value if type(value) is type else type(value)
        methods = vars(kind).values() if kind.__module__ == "__main__" else ()
        for function in [value, *methods]:
            if type(function) is FunctionType:
                names |= _mentions(function.__code__, namespace, seen)
    return names


def _graph_lists(namespace, frames):
    own = [frame.f_locals for frame in frames if places.is_users(frame.f_code.co_filename)]
    found = {}
    for variables in [namespace, *own]:
        for name, value in list(variables.items()):
            if type(value) is list:
                count = sum(1 for one in value[:1000] if getattr(one, "grad_fn", None) is not None)
                found |= {name: count} if count > 1 and not name.startswith("_") else {}
    return tuple(found.items())


def _pipeline(namespace, frames):
    diffusers = sys.modules.get("diffusers")
    kind = getattr(diffusers, "DiffusionPipeline", None) if diffusers else None
    pipelines = [one for one in namespace.values() if kind and isinstance(one, kind)]
    parts = [sum(_bytes(w) for w in part.parameters()) for one in pipelines for part in _modules(one)]
    decoders = [one for one in frames if "autoencoders" in one.f_code.co_filename and one.f_code.co_name == "decode"]
    latents = [one.f_locals.get("z") for one in decoders]
    batches = [one.shape[0] for one in latents if hasattr(one, "shape")]
    return {"offload_bytes": sum(parts) - max(parts, default=0), "decode_batch": max(batches, default=None)}


def _modules(pipeline):
    return [one for one in pipeline.components.values() if hasattr(one, "parameters")]


def _bytes(tensor):
    return tensor.numel() * tensor.element_size()

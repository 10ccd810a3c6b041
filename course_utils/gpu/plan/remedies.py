"""What makes a plan fit: every candidate is planned again, and only what was seen to fit is named."""

from dataclasses import dataclass
from itertools import combinations

from course_utils.bars import bar
from course_utils.errors import CourseError
from course_utils.gpu.plan import gguf, presets, verdict

ENOUGH = 3  # remedies named at most


@dataclass(frozen=True)
class Remedy:
    """A change that fits: what it is in words, the options, the command, its process and what it saves, in bytes."""

    text: str
    options: tuple[tuple[str, object], ...]
    command: str
    process_bytes: int
    saves_bytes: int
    verdict: str


def find(request, plan):
    """The cheapest remedies for a plan that does not fit or is tight, as a list of `Remedy`; empty where none helps.

    The order is by cost to the learner: first what changes the result least, then what takes time, then what
    changes the outcome. A pair is tried only where no single change fits, and only where what its two
    changes save by themselves adds up to half of what is missing or more: together they may save more.
    """
    if plan.verdict == verdict.FITS:
        return []
    changes = list(candidates(request))
    with bar("trying what would make it fit", len(changes), "changes") as tell:
        found, tried = _singles(request, plan, changes, tell)
    return found or _pairs(request, plan, tried)


def _singles(request, plan, several, tell):
    """The first remedies of one change, and (words, changes, plan) of every change that saves something."""
    found, tried = [], {}
    for number, (text, changes) in enumerate(several):
        tell(number)
        kind = frozenset(changes)  # of several batches, say, the first that fits
        if any(kind == frozenset(name for name, _ in one.options) for one in found):
            continue
        made = _planned(request, changes, plan.target)
        if made is None or made.process_bytes >= plan.process_bytes:
            continue
        tried[kind] = (text, changes, made)
        if better(made, plan):
            found.append(_remedy(request, plan, text, changes, made))
        if len(found) == ENOUGH:
            break
    return found, list(tried.values())


def better(made, plan):
    """Whether a changed plan mends: it fits, or at least is tight where nothing fitted."""
    return made.verdict == verdict.FITS or (made.verdict == verdict.TIGHT and plan.verdict == verdict.NOT)


def _pairs(request, plan, tried):
    found, missing = [], plan.process_bytes - plan.target.budget_bytes
    several = [pair for pair in combinations(tried, 2) if _may_do(*pair, plan.process_bytes, missing)]
    with bar("trying two changes at once", len(several), "pairs") as tell:
        for number, ((text, changes, _), (other, more, _)) in enumerate(several):
            tell(number)
            both = _planned(request, changes | more, plan.target)
            if both and better(both, plan):
                found.append(_remedy(request, plan, f"{text}, and {other}", changes | more, both))
            if len(found) == ENOUGH:
                break
    return found


def _may_do(one, other, process_bytes, missing_bytes):
    """Whether two changes go together and may save enough; `one` and `other` are (words, changes, plan)."""
    saved = 2 * process_bytes - one[2].process_bytes - other[2].process_bytes
    return not set(one[1]) & set(other[1]) and saved >= missing_bytes / 2


def _remedy(request, plan, text, changes, made):
    saved = plan.process_bytes - made.process_bytes
    command = request.but(**changes).words()
    return Remedy(text, tuple(changes.items()), command, made.process_bytes, saved, made.verdict)


def _planned(request, changes, target):
    try:
        return verdict.plan(request.but(**changes), target)
    except CourseError:  # this model has no use for the option
        return None


def candidates(request):
    """(words, changes) of what may help this request, the cheapest first."""
    kind = presets.find(request.model).kind
    yield from _free(request, kind)
    yield from _slower(request, kind)
    yield from _other_outcome(request, kind)


def _free(request, kind):
    if request.attention == "eager":
        yield "let torch choose the attention kernel", {"attention": None}
    if request.trains and request.model != "dcgan":  # its two losses are not accumulated
        for half in _halves(request.batch, 1):
            times = request.accumulate * -(-request.batch // half)
            yield f"batches of {half}, {times} of them accumulated for a step", {"batch": half, "accumulate": times}
    if request.slicing is False and kind == "diffusion" and not request.trains and request.batch > 1:
        yield "decode one picture at a time (VAE slicing)", {"slicing": True}
    if kind == "diffusion" and not request.trains and not request.tiling:
        yield "decode in tiles (VAE tiling)", {"tiling": True}


def _slower(request, kind):
    if request.trains and kind in ("transformers", "diffusion") and not request.checkpointing:
        yield "gradient checkpointing: about a third more time", {"checkpointing": True}
    if request.trains and not request.amp and request.dtype in (None, "fp32") and request.task == "train":
        yield "mixed precision (autocast)", {"amp": True}
    if request.task == "train" and kind != "own" and request.optimizer in ("adamw", "sgd"):
        yield "an optimiser with 8-bit states", {"optimizer": "adamw-8bit"}
    if request.trains and request.optimizer in ("adamw", "adamw-8bit"):
        yield "8-bit states that may be paged to RAM", {"optimizer": "paged-adamw-8bit"}
    if kind == "diffusion" and not request.trains and request.offload == "none":
        yield "keep only the part at work on the card (model offload)", {"offload": "model"}
    if request.dtype == "fp32" and request.task != "train":
        yield "weights in bf16", {"dtype": "bf16"}


def _other_outcome(request, kind):
    language = kind == "transformers"
    if language and request.task == "lora":
        yield "the frozen weights in nf4 (QLoRA)", {"task": "qlora"}
    if language and request.task == "inference" and request.quant == "none":
        yield "weights in int8", {"quant": "int8"}
    if language and request.task == "inference" and request.quant not in ("nf4", "nf4-dq", "fp4", *gguf.TYPES):
        yield "weights in nf4", {"quant": "nf4"}
    if language and not request.trains and request.cache == "dynamic":
        yield "the KV cache in 8-bit floats", {"cache": "fp8"}
    if request.storage == "nf4":
        yield "double quantisation of the scales", {"quant": "nf4-dq"}
    if request.task in ("lora", "qlora") and request.rank > 4:
        yield f"rank {request.rank // 2}", {"rank": request.rank // 2}
    if language and request.length:
        name = "seq" if request.seq else "context"
        yield from ((f"{half} tokens", {name: half}) for half in _halves(request.length, 256))
    if not request.trains:
        yield from ((f"batch {half}", {"batch": half}) for half in _halves(request.batch, 1))
    if request.task == "train" and language:
        yield "train adapters only (LoRA)", {"task": "lora", "optimizer": "adamw", "amp": False}
        yield (
            "train adapters on nf4 weights (QLoRA) with checkpointing",
            {
                "task": "qlora",
                "optimizer": "adamw",
                "amp": False,
                "dtype": None,
                "checkpointing": True,
            },
        )
    if kind == "diffusion" and not request.trains and request.offload != "sequential":
        yield "bring every layer when it is needed (sequential offload): many times slower", {"offload": "sequential"}


def _halves(value, least):
    while value // 2 >= least:
        value //= 2
        yield value

"""What is to be planned, checked: every value that has a choice is one of the allowed ones, every size is positive."""

import shlex
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches

from course_utils.errors import CourseError

TASKS = ("inference", "train", "lora", "qlora")
DTYPES = ("fp16", "bf16", "fp32")
ATTENTION = ("sdpa", "eager", "flash")
OPTIMIZERS = ("adamw", "adamw-8bit", "paged-adamw-8bit", "sgd", "adafactor")
OFFLOAD = ("none", "model", "sequential")
BITSANDBYTES = ("nf4", "nf4-dq", "fp4", "int8")
GROWING = ("batch", "context", "rank")
SIZES = ("rank", "batch", "seq", "context", "size", "accumulate")


@dataclass(frozen=True)
class Request:
    """One line of `course plan`; None means the model's or the card's own default, sizes in tokens or pixels.

    Raises CourseError for a value that is not allowed, naming the nearest that is.
    """

    model: str
    task: str = "inference"
    quant: str = "none"
    dtype: str | None = None
    attention: str | None = None
    rank: int = 16
    target_modules: str = "all-linear"
    batch: int = 1
    seq: int | None = None
    context: int | None = None
    cache: str = "dynamic"
    size: int | None = None
    optimizer: str = "adamw"
    accumulate: int = 1
    checkpointing: bool = False
    amp: bool = False
    offload: str = "none"
    slicing: bool = False
    tiling: bool = False
    card: str | None = None
    cap: float | None = None
    desktop_gib: float = 0.8
    context_mib: float | None = None

    def __post_init__(self):
        from course_utils.gpu.plan import caches, gguf

        _one_of("cache", self.cache, caches.KINDS)
        _one_of("task", self.task, TASKS)
        _one_of("quant", self.quant, ("none", *BITSANDBYTES, *gguf.TYPES))
        _one_of("optimizer", self.optimizer, OPTIMIZERS)
        _one_of("offload", self.offload, OFFLOAD)
        for name, allowed in (("dtype", DTYPES), ("attention", ATTENTION)):
            if getattr(self, name) is not None:
                _one_of(name, getattr(self, name), allowed)
        for name in SIZES:
            _positive(name, getattr(self, name))
        for name in ("desktop_gib", "context_mib"):
            _not_negative(name, getattr(self, name))
        _agree(self, gguf.TYPES)

    @property
    def length(self):
        """Tokens a sequence, or None where neither `seq` nor `context` was given."""
        return self.context if self.seq is None else self.seq

    @property
    def storage(self):
        """How the weights are stored: `quant`, and nf4 where QLoRA was asked for without saying more."""
        return "nf4" if self.task == "qlora" and self.quant == "none" else self.quant

    @property
    def trains(self):
        return self.task != "inference"

    def but(self, **changes):
        """The same request with some values replaced."""
        return replace(self, **changes)

    def words(self):
        """The request as `course plan` would be typed."""
        line = ["course", "plan", shlex.quote(self.model)]
        for one in fields(self)[1:]:
            value = getattr(self, one.name)
            option = "--" + one.name.replace("_", "-")
            if value == one.default:
                continue
            if one.name == "task":
                line.append(f"--{value}")
            elif value is True:
                line.append(option)
            else:
                line += [option, shlex.quote(f"{value:g}" if isinstance(value, float) else str(value))]
        return " ".join(line)


def _one_of(name, value, allowed):
    if value in allowed:
        return
    near = get_close_matches(str(value).lower(), allowed, n=1, cutoff=0.0)[0]
    raise CourseError(f"{name}={value!r} is not known; it is one of {', '.join(allowed)}. The nearest is {near}.")


def _positive(name, value):
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise CourseError(f"{name}={value!r} must be a whole number of 1 or more, such as {name}=8.")


def _not_negative(name, value):
    wrong = isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < float("inf")
    if value is not None and wrong:
        raise CourseError(f"{name}={value!r} must be a number of 0 or more.")


def _agree(request, gguf_types):
    if request.seq is not None and request.context is not None:
        raise CourseError("seq and context are the same thing here: give seq for training, context for inference.")
    if request.quant in gguf_types and request.trains:
        raise CourseError(f"quant={request.quant!r} is a GGUF file, which llama.cpp runs and nobody trains: use nf4.")
    if request.task == "train" and request.quant != "none":
        raise CourseError(f"quant={request.quant!r} weights cannot be trained; give --qlora, which trains adapters.")
    if request.trains and request.offload != "none":
        raise CourseError(f"offload={request.offload!r} is for inference; training keeps every weight on the card.")
    if request.cache != "dynamic" and request.trains:
        raise CourseError(f"cache={request.cache!r} is for inference: training keeps no KV cache.")
    if request.optimizer != "adamw" and not request.trains:
        raise CourseError(f"optimizer={request.optimizer!r} needs --train, --lora or --qlora: inference has none.")


def parse(line):
    """The `Request` in a line such as "llama-3.1-8b --qlora --seq 512 --checkpointing" (a lesson's plan).

    Raises CourseError for an option or a value that does not exist.
    """
    model, *words = shlex.split(line) or [""]
    kinds = {one.name: one for one in fields(Request)[1:]}
    values, place = {}, 0
    while place < len(words):
        name = words[place].removeprefix("--").replace("-", "_")
        place += 1
        if name in TASKS:
            values["task"] = name
        elif name in kinds and kinds[name].default is False:
            values[name] = True
        elif name in kinds and words[place - 1].startswith("--") and place < len(words):
            values[name] = _number(words[place]) if _is_number(kinds[name]) else words[place]
            place += 1
        else:
            raise CourseError(
                f"{words[place - 1]!r} in the plan {line!r} is no option of `course plan`, or lacks a value."
            )
    return Request(model, **values)


def _is_number(field):
    return field.type in (int, float, int | None, float | None)


def _number(word):
    try:
        return int(word)
    except ValueError:
        try:
            return float(word)
        except ValueError:
            return word

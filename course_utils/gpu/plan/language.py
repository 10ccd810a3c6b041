"""Traces a step of a `transformers` model: with few blocks, then lengthened to all of them."""

import copy

from course_utils.errors import CourseError
from course_utils.gpu.plan import language_model, language_steps, tracing
from course_utils.gpu.planner import events, layers, loading
from course_utils.gpu.planner.trace import trace

NOT_THE_STACK = ("vision", "qformer")  # stacks of blocks beside the one that is lengthened


def traced(request, preset, chip):
    """The `Traced` step of a `transformers` model; raises CourseError for an architecture it does not know."""
    tracing.only_for(request, "a transformers model", "offload", "slicing", "tiling", "size")
    config = configuration(preset)
    whole = _inner(config).num_hidden_layers
    period = _period(config)
    short = layers.ENOUGH + 2 * (period - 1)
    short += (whole - short) % period
    if whole > short:
        try:
            few, model = _trace(request, _shortened(config, short), chip)
            long = layers.extend(few, whole, period)
            return _done(request, long, _weights(model, short, whole, period), config)
        except layers.NotPeriodic:
            pass
    full, model = _trace(request, config, chip)
    return _done(request, full, tracing.weights_bytes(model), config)


def configuration(preset):
    """The preset's configuration object."""
    import transformers

    known = transformers.models.auto.configuration_auto.CONFIG_MAPPING
    kind = preset.config["model_type"]
    if kind not in known:
        raise CourseError(
            f"{preset.name}: model_type {kind!r} is no architecture that transformers {transformers.__version__} knows. "
            "Plan your own network in a notebook with course.plan(step, model, …)."
        )
    values = {name: value for name, value in preset.config.items() if name not in ("model_type", "quantization_config")}
    try:
        return known[kind](**values)
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        raise CourseError(f"{preset.name}: transformers cannot read this config.json: {error}") from error


def _inner(config):
    return config.get_text_config()


def _period(config):
    kinds = getattr(_inner(config), "layer_types", None) or ["full_attention"]
    return 1 if len(set(kinds)) == 1 else 2


def _shortened(config, blocks):
    config = copy.deepcopy(config)
    inner = _inner(config)
    inner.num_hidden_layers = blocks
    if getattr(inner, "layer_types", None):
        inner.layer_types = inner.layer_types[:blocks]
    return config


def _weights(model, short, whole, period):
    blocks = _stack(model, short)[1]
    # One more pair of neighbours of every kind: the blocks of one kind are equal.
    return tracing.weights_bytes(model) + sum(
        tracing.weights_bytes(blocks[layers.EDGE + one % period]) for one in range(whole - short)
    )


def _stack(model, blocks):
    import torch

    for name, module in model.named_modules():
        if (
            isinstance(module, torch.nn.ModuleList)
            and len(module) == blocks
            and not any(one in name for one in NOT_THE_STACK)
        ):
            return name, module
    return None, None


def _trace(request, config, chip):
    model = language_model.build(request, config, chip)
    stack = _stack(model, _inner(config).num_hidden_layers)[0]
    step, args = language_steps.step(request, config, model)
    seen = []

    def prepare(recorder):
        seen.append(recorder)
        if request.storage != "none":
            loading.quantised(recorder, model, upcast=request.task == "qlora")
        elif request.task == "lora":
            loading.plainly(recorder, model)

    def watched(*args):
        return step(lambda tensor: seen[0].relabel(tensor, events.KV_CACHE), *args)

    repeat = 2 if request.trains else 1
    with tracing.quiet("bitsandbytes.autograd._functions"):  # it says at every int8 product that it casts to float16
        return trace(watched, *args, chip=chip, stack=stack, prepare=prepare, repeat=repeat), model


def _done(request, trace, weights, config):
    notes = []
    if request.length is None:
        option = "--seq" if request.trains else "--context"
        notes.append(f"for {language_steps.length(request, config)} tokens; give {option} for others")
    if request.attention == "flash":
        notes.append("flash is the package flash-attn, for batches without padding")
    if request.cache.startswith("int"):
        notes.append("this KV cache needs the package optimum-quanto (cache_implementation='quantized')")
    if request.trains and not request.amp:
        notes.append("without autocast; give --amp where the trainer has bf16=True or fp16=True")
    if request.task == "train" and config.model_type == language_model.PICTURES:
        notes.append("only the layer between pictures and language is trained, as MiniGPT-4 does")
    return tracing.Traced(trace, weights, tuple(notes))

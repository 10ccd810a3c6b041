"""A `transformers` model on `meta`: its class, dtype, quantisation, adapters and checkpointing."""

import warnings

from course_utils.errors import CourseError
from course_utils.gpu.plan import tracing
from course_utils.gpu.planner import flash, quantise

MODULES = {"q": "q_proj", "k": "k_proj", "v": "v_proj", "o": "o_proj"}
BESIDES_LANGUAGE = ("vision_model", "qformer", "language_projection", "lm_head")  # MiniGPT-4 leaves them in 16 bits
PICTURES = "blip-2"  # MiniGPT-4's design: a frozen picture encoder and language model, and a layer between


def build(request, config, chip):
    """The request's model on `meta`: quantised, with adapters and checkpointing, in training mode or not."""
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    dtype = tracing.torch_dtype(weight_dtype(request, config, chip))
    try:
        with torch.device("meta"):
            model = model_class(config)._from_config(config, dtype=dtype, attn_implementation=_attention(request))
    except ValueError as error:
        raise CourseError(
            f"{request.model} has no {request.attention} attention in transformers; leave it out."
        ) from error
    if request.storage != "none":
        kind, double = request.storage.removesuffix("-dq"), request.storage.endswith("-dq")
        skip = BESIDES_LANGUAGE if config.model_type == PICTURES else None
        model = quantise.quantise(model, kind, dtype, double, skip)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        if request.task in ("lora", "qlora"):
            model = _with_adapters(request, model)
        elif request.trains and request.checkpointing:
            model.activation_checkpointing_enable({"use_reentrant": False})
    if request.task == "train" and config.model_type == PICTURES:
        model.requires_grad_(False)
        model.language_projection.float().requires_grad_(True)
    model.config.use_cache = not request.trains
    return model.train(request.trains)


def _attention(request):
    return flash.register() if request.attention == "flash" else request.attention


def weight_dtype(request, config, chip):
    """ "fp16", "bf16" or "fp32": as given; else fp32 where all weights are trained, else 16 bits that the card multiplies."""
    if request.dtype is not None and not (request.task == "train" and request.amp):
        return request.dtype
    if request.task == "train" and config.model_type != PICTURES:
        return "fp32"
    return "bf16" if chip.capability[0] >= 8 else "fp16"


def model_class(config):
    import transformers

    name = (config.architectures or [None])[0]
    if name and hasattr(transformers, name):
        return getattr(transformers, name)
    auto = transformers.models.auto.modeling_auto
    for table in (auto.MODEL_FOR_CAUSAL_LM_MAPPING, auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING, auto.MODEL_MAPPING):
        if type(config) in table:
            return table[type(config)]
    raise CourseError(f"transformers has no model for the configuration {type(config).__name__}.")


def _with_adapters(request, model):
    import peft
    import torch

    if request.storage != "none":
        model = peft.prepare_model_for_kbit_training(
            model,
            use_gradient_checkpointing=request.checkpointing,
            gradient_checkpointing_kwargs={"use_reentrant": False},
        )
    elif request.checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
        model.enable_input_require_grads()
    adapters = peft.LoraConfig(r=request.rank, lora_alpha=2 * request.rank, target_modules=_targets(request, model))
    try:
        with torch.device("meta"):
            return peft.get_peft_model(model, adapters)
    except ValueError as error:
        raise CourseError(
            f"target_modules={request.target_modules!r}: {str(error).partition('.')[0]}. "
            "Give all-linear, or names of the model's linear layers, such as q,v."
        ) from error


def _targets(request, model):
    if request.target_modules == "all-linear":
        return "all-linear"
    names = [one.strip() for one in request.target_modules.split(",") if one.strip()]
    own = {name.rpartition(".")[2] for name, _ in model.named_modules()}
    return [one if one in own else MODULES.get(one, one) for one in names]

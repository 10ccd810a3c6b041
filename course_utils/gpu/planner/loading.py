"""How weights come onto the card: the order decides which holes the allocator keeps."""

from course_utils.gpu.planner import events
from course_utils.gpu.planner.trace import in_order_of_apply, quantisation_tensors


def plainly(recorder, model):
    """As `from_pretrained(...).cuda()` moves a model, then PEFT its adapters, if it has any.

    PEFT brings each adapter in the base layer's dtype and then makes 16-bit ones float32.
    """
    adapters = {id(one) for one in adapters_of(model)}
    for one in in_order_of_apply(model):
        if id(one) not in adapters:
            _add(recorder, one)
    _adapters(recorder, model, through_half=True)


def adapters_of(model):
    """The parameters of LoRA adapters in the order in which PEFT makes them, as a list."""
    found = []
    for module in model.modules():
        if hasattr(module, "lora_A") and hasattr(module, "base_layer"):
            for part in (module.lora_A, module.lora_B, module.lora_embedding_A, module.lora_embedding_B):
                found += list(part.parameters())
    return found


def quantised(recorder, model, upcast=False, clear_cache=True):
    """As `transformers` loads and quantises with bitsandbytes in one go, tensor by tensor in the order of their names.

    `upcast` adds what `prepare_model_for_kbit_training` does: every other weight becomes float32, and (`clear_cache`,
    as PEFT 0.20 does) unused segments are given back. Adapters come last.
    """
    adapters = {id(one) for one in adapters_of(model)}
    named = [(name, one) for name, one in model.named_parameters() if id(one) not in adapters]
    named.sort(key=lambda pair: _natural(pair[0]))
    recorder.mark("room")
    waiting = {}
    for _, one in named:
        if not one.is_floating_point():
            _quantised_weight(recorder, one)
        elif upcast and one.element_size() == 4:
            waiting[id(one)] = recorder.scratch(2 * one.numel(), events.WEIGHT, (one,))
        else:
            _add(recorder, one)
    recorder.mark("room ends")
    for one in model.buffers():
        _add(recorder, one)
    if upcast:
        for one in model.parameters():
            if id(one) in waiting:
                _add(recorder, one)
                waiting.pop(id(one))()
        if clear_cache:
            recorder.mark("empty cache")
    _adapters(recorder, model, through_half=False)


def _quantised_weight(recorder, one):
    state = getattr(one, "quant_state", None)
    elements = one.numel() * (2 if state is not None else 1)
    whole = recorder.scratch(2 * elements, "weight before quantisation", (one,))
    if state is not None:
        scales, *rest = quantisation_tensors(state)
        nested = state.state2 is not None
        early = recorder.scratch(4 * scales.numel(), "scales before quantisation", (one,)) if nested else None
        for each in [one, *rest, scales] if nested else [scales, one, *rest]:
            _add(recorder, each, one)
        if early:
            early()
    else:
        _add(recorder, one.SCB, one)
        _add(recorder, one)
    whole()


def _adapters(recorder, model, through_half):
    found = adapters_of(model)
    halves = [recorder.scratch(2 * one.numel(), "adapter", (one,)) if through_half else None for one in found]
    for one, half in zip(found, halves, strict=True):
        _add(recorder, one)
        if half:
            half()


def _add(recorder, tensor, weight=None):
    if not recorder.known(tensor):
        owner = recorder.owner_of(tensor if weight is None else weight)
        op = events.WEIGHT if weight is None or weight is tensor else "scales"
        recorder.add(tensor.untyped_storage(), events.WEIGHTS, owner, op)


def _natural(name):
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in name.split(".")]

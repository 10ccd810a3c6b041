"""What a `transformers` model does in a step: generation with its KV cache, a forward pass, or a training step."""

from course_utils.errors import CourseError
from course_utils.gpu.plan import caches, tracing
from course_utils.gpu.plan.language_model import PICTURES

CONTEXT, TRAINING = 2048, 512  # tokens where none are given
LEARNED = ("bert", "distilbert", "gpt2", "roberta", "opt")  # these have a table of positions that ends


def step(request, config, model):
    """(step, args): the step takes first a function that marks a tensor as part of the KV cache."""
    import torch

    with torch.device("meta"):
        batch = _inputs(request, config, model, length(request, config))
    if request.trains:
        return _training(request, config, model, batch)
    if not model.can_generate():
        return _forward, (model, batch)
    run = _generate_from_picture if config.model_type == PICTURES else _generate
    token = torch.empty(request.batch, 1, dtype=torch.long, device="meta")

    def cache():
        return caches.make(request.cache, config, length(request, config))

    return run, (model, batch, token, cache)


def length(request, config):
    """Tokens a sequence: those asked for, else a usual number that the model has positions for; CourseError beyond them."""
    inner = config.get_text_config()
    longest = getattr(inner, "max_position_embeddings", None)
    if request.length is None:
        usual = TRAINING if request.trains else CONTEXT
        return min(usual, longest or usual)
    if inner.model_type in LEARNED and request.length > longest:
        raise CourseError(
            f"{request.length} tokens are more than the model's {longest} positions: give {longest} or less."
        )
    return request.length


def _training(request, config, model, batch):
    optimiser = tracing.optimiser(request, model.parameters())
    batch["labels"] = _labels(request, model, batch)
    loss = _loss_with_picture if config.model_type == PICTURES else _loss
    inner = tracing.train_step(request, loss)
    return lambda mark, *args: inner(*args), (model, optimiser, batch)


def _loss(model, batch):
    return model(**batch).loss


def _inputs(request, config, model, tokens):
    import torch

    if model.main_input_name == "pixel_values":
        vision = getattr(config, "vision_config", config)
        size = getattr(vision, "image_size", 224)
        pixels = torch.empty(request.batch, 3, size, size, dtype=model.dtype)
        if not hasattr(config, "text_config"):
            return {"pixel_values": pixels}
        return {"pixel_values": pixels} | _tokens(request, tokens)
    if model.main_input_name != "input_ids":
        raise CourseError(
            f"{type(model).__name__} takes {model.main_input_name}, which the planner cannot make up. "
            "Plan it in a notebook with course.plan(step, model, …)."
        )
    return _tokens(request, tokens)


def _tokens(request, count):
    import torch

    shape = (request.batch, count if request.trains else max(1, count - 1))
    return {name: torch.empty(shape, dtype=torch.long) for name in ("input_ids", "attention_mask")}


def _labels(request, model, batch):
    import torch

    if model.can_generate():
        return batch["input_ids"]
    return torch.empty(request.batch, dtype=torch.long, device="meta")


def _forward(mark, model, batch):
    import torch

    with torch.no_grad():
        return model(**batch).logits if hasattr(model, "num_labels") else model(**batch)


def _generate(mark, model, batch, token, cache):
    # As `generate` does: the prompt at once with logits of its last token, in float32 for sampling, then one token.
    import torch

    with torch.no_grad():
        out = model(**batch, past_key_values=cache(), use_cache=True, logits_to_keep=1)
        _sampled = out.logits[:, -1].to(copy=True, dtype=torch.float32)
        held = out.past_key_values
        del out
        _mark(mark, held)
        mask = torch.ones(token.shape[0], batch["attention_mask"].shape[1] + 1, dtype=torch.long, device="meta")
        model(input_ids=token, attention_mask=mask, past_key_values=held, use_cache=True)
        _mark(mark, held)


def _mark(mark, cache):
    for layer in getattr(cache, "layers", ()):
        for one in (layer.keys, layer.values):
            if one is not None:
                mark(one)


def _embedded(model, batch):
    # MiniGPT-4: 257 patches of the frozen encoder become 32 queries, which stand before the text as tokens.
    import torch

    patches = model.vision_model(batch["pixel_values"]).last_hidden_state
    queries = model.query_tokens.expand(patches.shape[0], -1, -1)
    found = model.qformer(query_embeds=queries, encoder_hidden_states=patches).last_hidden_state
    text = model.get_input_embeddings()(batch["input_ids"][:, found.shape[1] :])
    pictures = model.language_projection(found.to(model.language_projection.weight.dtype)).to(text.dtype)
    return torch.cat([pictures, text], dim=1)


def _generate_from_picture(mark, model, batch, token, cache):
    import torch

    with torch.no_grad():
        inner = {"inputs_embeds": _embedded(model, batch), "attention_mask": batch["attention_mask"]}
        _generate(mark, model.language_model, inner, token, cache)


def _loss_with_picture(model, batch):
    embedded = _embedded(model, batch)
    return model.language_model(
        inputs_embeds=embedded, attention_mask=batch["attention_mask"], labels=batch["input_ids"]
    ).loss

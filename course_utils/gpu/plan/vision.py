"""Steps of picture networks (torchvision's ResNets, YOLO-n, DCGAN) and of the course's MiniGPT."""

from course_utils.errors import CourseError
from course_utils.gpu.plan import tracing
from course_utils.gpu.planner.trace import trace

_UNUSED = ("quant", "attention", "rank", "target_modules", "checkpointing", "cache", "offload", "slicing", "tiling")


def traced(request, preset, chip):
    """The `Traced` training or inference step; raises CourseError for options that such a network has no use for."""
    import torch

    kind = preset.config["model_type"]
    tracing.only_for(request, preset.name, *_UNUSED, *(("size",) if kind == "minigpt" else ("seq", "context")))
    if request.task not in ("train", "inference"):
        raise CourseError(f"--{request.task} is for transformers models; give --train for {preset.name}.")
    with torch.device("meta"):
        maker = {"torchvision": _classifier, "yolo": _detector, "dcgan": _gan, "minigpt": _language}[kind]
        models, batch, loss, note = maker(request, preset.config)
        dtype = tracing.torch_dtype(request.dtype or "fp32")
        models = [one.to(dtype).train(request.trains) for one in models]
        batch = [one.to(dtype) if one.is_floating_point() else one for one in batch]
    step, args = _step(request, models, batch, loss)
    notes = (note,) if note and request.trains else ()
    return tracing.Traced(
        trace(step, *args, chip=chip, repeat=2 if request.trains else 1), tracing.weights_bytes(*models), notes
    )


def _step(request, models, batch, loss):
    import torch

    if request.trains and len(models) == 1:
        optimiser = tracing.optimiser(request, models[0].parameters())
        return tracing.train_step(request, loss), (models[0], optimiser, *batch)
    if request.trains:
        optimisers = [tracing.optimiser(request, one.parameters()) for one in models]
        return _adversaries(request), (*models, *optimisers, *batch)

    def infer(model, first, *rest):
        with torch.no_grad(), torch.autocast("cuda", tracing.amp_dtype(request), enabled=request.amp):
            return model(first)

    return infer, (models[0], *batch)


def _classifier(request, config):
    import torch
    import torchvision

    size = request.size or config["size"]
    model = torchvision.models.get_model(config["name"])
    batch = [torch.empty(request.batch, 3, size, size), torch.empty(request.batch, dtype=torch.long)]
    return [model], batch, lambda model, x, y: torch.nn.functional.cross_entropy(model(x), y), None


def _detector(request, config):
    import torch

    from course_utils.gpu.plan import nets

    size = _multiple_of(request.size or config["size"], 32)
    cells = sum((size // stride) ** 2 for stride in (8, 16, 32))
    x, y = torch.empty(request.batch, 3, size, size), torch.empty(request.batch, 64 + config["classes"], cells)
    loss = torch.nn.functional.binary_cross_entropy_with_logits
    note = "the loss compares every cell with a target; ultralytics' assignment of targets takes some more"
    return [nets.Yolo(config["classes"])], [x, y], lambda model, x, y: loss(model(x), y), note


def _gan(request, config):
    import torch

    from course_utils.gpu.plan import nets

    if request.size not in (None, config["size"]):
        raise CourseError(f"size={request.size}: DCGAN draws {config['size']} × {config['size']} pixels; leave it out.")
    noise = torch.empty(request.batch, config["latent"], 1, 1)
    pictures = torch.empty(request.batch, 3, config["size"], config["size"])
    models = [nets.Generator(config["latent"], config["width"]), nets.Discriminator(config["width"])]
    return models, [noise, pictures], None, None


def _language(request, config):
    import torch

    from course_utils.gpu.plan import nets

    sizes = {name: value for name, value in config.items() if name != "model_type"}
    length = request.length or config["context"]
    if length > config["context"]:
        raise CourseError(f"{length} tokens are more than MiniGPT's {config['context']} positions: give fewer.")
    tokens = torch.empty(request.batch, length, dtype=torch.long)

    def loss(model, x, y):
        return torch.nn.functional.cross_entropy(model(x).flatten(0, 1), y.flatten())

    return [nets.MiniGPT(**sizes)], [tokens, tokens.clone()], loss, None


def _adversaries(request):
    # PyTorch's DCGAN example: the discriminator sees real and drawn pictures, then the generator learns from it.
    import torch

    def loss(logits, real):
        target = torch.full_like(logits, float(real))
        return torch.nn.functional.binary_cross_entropy_with_logits(logits, target)

    def step(generator, discriminator, optimiser_g, optimiser_d, noise, pictures):
        with torch.autocast("cuda", tracing.amp_dtype(request), enabled=request.amp):
            optimiser_d.zero_grad(set_to_none=True)
            loss(discriminator(pictures), True).backward()
            fakes = generator(noise)
            loss(discriminator(fakes.detach()), False).backward()
            optimiser_d.step()
            optimiser_g.zero_grad(set_to_none=True)
            loss(discriminator(fakes), True).backward()
            optimiser_g.step()

    return step


def _multiple_of(size, step):
    if size % step:
        raise CourseError(
            f"size={size} must be a multiple of {step} pixels here, such as {step * max(1, round(size / step))}."
        )
    return size

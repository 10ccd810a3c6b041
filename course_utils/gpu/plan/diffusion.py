"""Steps of Stable Diffusion, part by part as diffusers' pipelines run them: text, one denoising step, picture.

One step is enough, for every later one asks for the same memory. Guidance doubles the batch that the U-Net sees.
"""

from course_utils.errors import CourseError
from course_utils.gpu.plan import offload, tracing
from course_utils.gpu.plan.diffusion_parts import build
from course_utils.gpu.planner.trace import trace

FACTOR = 8  # pixels a latent's side


def traced(request, preset, chip):
    """The `Traced` picture or training step; raises CourseError for options that have no use here."""
    unused = ("quant", "seq", "context", "target_modules", "cache")
    tracing.only_for(request, preset.name, *unused, *(("slicing", "tiling") if request.trains else ()))
    if request.task == "qlora":
        raise CourseError(f"--qlora is for language models; give --lora for {preset.name}.")
    size = request.size or preset.config["size"]
    if size % FACTOR:
        raise CourseError(
            f"size={size} must be a multiple of {FACTOR} pixels, such as {FACTOR * max(1, round(size / FACTOR))}."
        )
    with tracing.quiet("diffusers.models.modeling_utils"):  # `to(dtype)` warns about a list that is empty here
        parts = build(request, preset.config)
        return _traced(request, parts, size, chip)


def _traced(request, parts, size, chip):
    import torch

    if request.trains:
        return _training(request, parts, size, chip)
    latents = torch.empty(request.batch, 4, size // FACTOR, size // FACTOR, dtype=parts.dtype, device="meta")
    ids = torch.empty(request.batch, 77, dtype=torch.long, device="meta")
    # The pipeline excludes its safety checker from both kinds of offload (`_exclude_from_cpu_offload`).
    mover = offload.mover(request.offload, parts.modules, [parts.checker])

    def step(parts, latents, ids):
        with torch.no_grad():
            words, pooled = _encode(mover, parts, torch.cat([ids, ids]))
            latents = _denoise(mover, parts, latents, words, pooled, size)
            return _decode(mover, parts, latents)

    made = trace(step, parts, latents, ids, chip=chip, repeat=1, prepare=mover.prepare)
    return tracing.Traced(made, tracing.weights_bytes(*parts.modules), _notes(request, parts))


def _encode(mover, parts, ids):
    import torch

    found, pooled = [], None
    for encoder in parts.text_encoders:
        with mover.on_card(encoder):
            out = encoder(ids, output_hidden_states=True)
        found.append(out.hidden_states[-2] if len(parts.text_encoders) > 1 else out.last_hidden_state)
        pooled = getattr(out, "text_embeds", pooled)
        del out
    return torch.cat(found, dim=-1), pooled


def _denoise(mover, parts, latents, words, pooled, size):
    import torch

    guided = torch.cat([latents, latents])
    with mover.on_card(parts.unet):
        noise = _predict(parts.unet, guided, words, pooled, size)
    blank, worded = noise.chunk(2)
    mixed = blank + 7.5 * (worded - blank)
    return (latents.float() - 0.1 * mixed).to(latents.dtype)


def _predict(unet, latents, words, pooled, size):
    import torch

    added = None
    if pooled is not None:
        place = torch.empty(latents.shape[0], 6, dtype=latents.dtype, device="meta")
        added = {"text_embeds": pooled, "time_ids": place}
    when = torch.empty((), dtype=torch.long, device="meta")
    return unet(latents, when, encoder_hidden_states=words, added_cond_kwargs=added, return_dict=False)[0]


def _decode(mover, parts, latents):
    # In float16 the decoder of SDXL overflows, so the pipeline turns the whole of it to float32 for a while.
    import torch

    upcast = parts.dtype == torch.float16 and parts.force_upcast
    if upcast:
        mover.convert(parts.vae, torch.float32)
        latents = latents.float()
    with mover.on_card(parts.vae):
        picture = parts.vae.decode(latents / 0.18215, return_dict=False)[0]
        if upcast:
            mover.convert(parts.vae, torch.float16)
    if parts.checker is not None:
        small = torch.empty(picture.shape[0], 3, 224, 224, dtype=parts.dtype, device="meta")
        with mover.on_card(parts.checker):
            parts.checker(small)
    return (picture / 2 + 0.5).clamp(0, 1).cpu().permute(0, 2, 3, 1).float()


def _training(request, parts, size, chip):
    # As diffusers' train_text_to_image(_lora).py: encoders frozen in 16 bits, noise is predicted under autocast.
    import torch

    unet = parts.unet
    pixels = torch.empty(request.batch, 3, size, size, dtype=parts.dtype, device="meta")
    ids = torch.empty(request.batch, 77, dtype=torch.long, device="meta")
    optimiser = tracing.optimiser(request, unet.parameters())
    stay = offload.mover("none", parts.modules)

    def loss(unet, parts, pixels, ids):
        with torch.no_grad():
            words, pooled = _encode(stay, parts, ids)
            latents = parts.vae.encode(pixels).latent_dist.sample() * 0.18215
        noise = torch.randn_like(latents)
        guess = _predict(unet, latents + noise, words, pooled, size)
        return torch.nn.functional.mse_loss(guess.float(), noise.float())

    step = tracing.train_step(request, loss)
    made = trace(step, unet, optimiser, parts, pixels, ids, chip=chip, repeat=2)
    return tracing.Traced(made, tracing.weights_bytes(*parts.modules), _notes(request, parts))


def _notes(request, parts):
    notes = ["guidance doubles the batch in the U-Net"] if not request.trains else []
    if parts.checker is not None:
        notes.append("the safety checker is loaded, as the pipeline does unless told otherwise")
    if request.trains and not request.amp:
        notes.append("without autocast; diffusers' script has mixed precision, which is --amp")
    return tuple(notes)

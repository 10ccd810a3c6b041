"""Trains Emoji-SD, a small Stable Diffusion that draws emoji, on CPU cores. A killed run goes on with the same command.

    python tools/train_emoji_sd.py --out runs/emoji_sd/seed0

Stages: a tokenizer from the captions; the VAE; then text encoder and U-Net together on whitened latents, first with
whole captions, then with captions in which words are missing or made up. v-prediction, weights capped where there is
little noise (as in min-SNR), empty captions for guidance, and an exponential moving average, which is what ships.
"""

import argparse
import functools
import json
import math
import random
import sys
import time
from pathlib import Path

import checkpoints
import emoji_sd_data as data
import emoji_sd_models as models
import torch
from torch.nn import functional

from course_utils.errors import CourseError

WHOLE = {"seed": 0, "vae_steps": 2600, "vae_batch": 32, "steps": 11000, "gap_steps": 3000, "batch": 64}
REAL = {"vae_lr": 1.5e-3, "kl": 1e-6, "lr": 1e-3, "gap_lr": 4e-4, "ema": 0.9995, "min_snr": 5.0, "decay": 0.01}


def main():
    """Train what is not trained yet, then write the pipeline."""
    given = arguments()
    try:
        run(given)
    except CourseError as error:
        sys.exit(str(error))


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the checkpoints and the pipeline")
    parser.add_argument(
        "--packages", type=Path, default=Path("runs/emoji_sd/packages"), help="folder of the .tgz files"
    )
    parser.add_argument("--save-every", type=int, default=200, help="steps between checkpoints")
    for name, value in (WHOLE | REAL).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    return parser.parse_args()


def run(given):
    """From the packages to the pipeline."""
    torch.manual_seed(given.seed)
    given.packages.mkdir(parents=True, exist_ok=True)
    names = data.load(given.packages)
    rows = data.training_rows(names)
    pictures = torch.stack([torch.from_numpy(one[2]) for one in rows]).permute(0, 3, 1, 2)
    pieces = models.tokenizer(data.captions(names), given.out / "pieces")
    coder, vae_log = trained_vae(given, pictures)
    latents = encoded(coder, pictures)
    spread = models.whiten(coder, latents)
    print("variances of the latents before whitening:", [round(one, 3) for one in spread.tolist()], flush=True)
    text, net, log = trained_denoiser(given, rows, encoded(coder, pictures), pieces)
    write_pipeline(given.out / "pipeline", coder, text, net, pieces)
    report = {"settings": settings(given), "names": len(names), "rows": len(rows), "vae": vae_log, **log}
    checkpoints.write(given.out / "report.json", json.dumps(report, indent=1).encode())


def settings(given, stage="gaps"):
    """What decides the result of a stage, which does not depend on what comes after it."""
    vae = ("seed", "vae_steps", "vae_batch", "vae_lr", "kl", "decay")
    later = () if stage == "gaps" else ("gap_steps", "gap_lr")
    names = vae if stage == "vae" else [name for name in (*WHOLE, *REAL) if name not in later]
    return {name: getattr(given, name) for name in names}


def trained_vae(given, pictures):
    """The VAE: L1 and gradient-L1 of the picture, and a little Kullback-Leibler term."""
    coder = models.vae()

    def loss_of(step):
        some = pictures[torch.randint(len(pictures), (given.vae_batch,))].float() / 127.5 - 1
        posterior = coder.encode(some).latent_dist
        made = coder.decode(posterior.sample()).sample.float()
        slopes = sum((made.diff(dim=axis) - some.diff(dim=axis)).abs().mean() for axis in (2, 3))
        return (made - some).abs().mean() + 0.3 * slopes + given.kl * posterior.kl().mean()

    weights = dict(coder.named_parameters())
    log = loop(given, "vae", weights, {}, loss_of, given.vae_steps, given.vae_lr)
    return coder.eval(), log


@torch.no_grad()
def encoded(coder, pictures):
    """Mean latents of all pictures."""
    return torch.cat([coder.encode(some.float() / 127.5 - 1).latent_dist.mean for some in pictures.split(256)])


def trained_denoiser(given, rows, latents, pieces):
    """(text encoder, U-Net, log), both with their averaged weights."""
    text, net, schedule = models.text_encoder(pieces), models.unet(), models.scheduler()
    alphas = schedule.alphas_cumprod
    ratio = alphas / (1 - alphas)
    # The v loss, but never worth more than min_snr + 1 times the loss of the clean picture: little noise teaches little.
    importance = (ratio + 1).clamp(max=given.min_snr + 1) / (ratio + 1)

    def loss_of(step, write=data.caption):
        rng = random.Random(f"{given.seed}/{step}")
        chosen = torch.randint(len(rows), (given.batch,))
        words = [write(rows[i][0], rows[i][1], rng) for i in chosen.tolist()]
        ids = pieces(words, padding="max_length", max_length=models.LENGTH, truncation=True, return_tensors="pt")
        clean, noise = latents[chosen], torch.randn(given.batch, *latents.shape[1:])
        times = torch.randint(len(alphas), (given.batch,))
        wanted = schedule.get_velocity(clean, noise, times)
        said = net(schedule.add_noise(clean, noise, times), times, text(ids["input_ids"])[0]).sample.float()
        per_picture = functional.mse_loss(said, wanted, reduction="none").mean((1, 2, 3))
        return (importance[times] * per_picture).mean()

    weights = {
        f"{part}.{name}": one
        for part, model in (("text", text), ("net", net))
        for name, one in model.named_parameters()
    }
    log = averaged(given, "denoiser", weights, loss_of, given.steps, given.lr)
    with_gaps = functools.partial(loss_of, write=data.caption_with_gaps)
    gaps = averaged(given, "gaps", weights, with_gaps, given.gap_steps, given.gap_lr)
    return text.eval(), net.eval(), {"denoiser": log, "gaps": gaps}


def averaged(given, stage, weights, loss_of, steps, rate):
    """Train the weights and leave their averages in their place; the log."""
    averages = {f"average.{name}": one.detach().clone() for name, one in weights.items()}
    log = loop(given, stage, weights, averages, loss_of, steps, rate)
    with torch.no_grad():
        for name, one in weights.items():
            one.copy_(averages[f"average.{name}"])
    return log


def loop(given, stage, weights, averages, loss_of, steps, rate):
    """Train to the last step, from the stage's checkpoint if there is one; the losses and seconds."""
    optimiser = torch.optim.AdamW(weights.values(), lr=rate, betas=(0.9, 0.99), weight_decay=given.decay)
    path = given.out / f"{stage}.safetensors"
    state = {"settings": settings(given, stage), "step": 0, "seconds": 0.0, "losses": []}
    if path.exists():
        state = checkpoints.load(path, weights | averages, optimiser, settings(given, stage))
        print(f"{stage} goes on from step {state['step']}", flush=True)
    since, recent = time.time(), []
    while state["step"] < steps:
        for group in optimiser.param_groups:
            group["lr"] = rate * share(state["step"], steps)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = loss_of(state["step"])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights.values(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        state["step"] += 1
        average(weights, averages, min(given.ema, 1 - 1 / (1 + state["step"] / 10)))
        recent.append(loss.item())
        if state["step"] % given.save_every == 0 or state["step"] == steps:
            state["seconds"], since = state["seconds"] + time.time() - since, time.time()
            state["losses"].append(sum(recent) / len(recent))
            print(
                f"{stage} {state['step']}/{steps} loss {state['losses'][-1]:.4f} {state['seconds']:.0f} s", flush=True
            )
            recent.clear()
            checkpoints.save(path, weights | averages, optimiser, state)
    return {name: state[name] for name in ("step", "seconds", "losses")}


@torch.no_grad()
def average(weights, averages, keep):
    """Move each average towards its weight."""
    for name, one in averages.items():
        one.lerp_(weights[name.removeprefix("average.")].detach(), 1 - keep)


def share(step, steps, warm=200):
    """The share of the learning rate: up over `warm` steps, then down along a cosine."""
    return min(1.0, (step + 1) / warm) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / steps)))


def write_pipeline(folder, coder, text, net, pieces):
    """The pipeline in Stable Diffusion's own format, in float16."""
    from diffusers import StableDiffusionPipeline

    parts = {"vae": coder.half(), "text_encoder": text.half(), "unet": net.half(), "tokenizer": pieces}
    pipeline = StableDiffusionPipeline(
        **parts,
        scheduler=models.scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder, safe_serialization=True)


if __name__ == "__main__":
    main()

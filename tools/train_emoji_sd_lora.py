"""Trains the LoRA "blueprint" for Emoji-SD: a style that the model has never seen, white lines on blue.

    python tools/train_emoji_sd_lora.py --out course_utils/learn/bundled/emoji_sd_blueprint

Its training pictures are computed from those of `train_emoji_sd.py`: the slopes of the brightness, drawn in white.
About two minutes on two CPU cores; the file is written whole or not at all.
"""

import argparse
import random
import sys
from pathlib import Path

import checkpoints
import emoji_sd_data as data
import torch
import train_emoji_sd as base
from torch.nn import functional

from course_utils.errors import CourseError
from course_utils.learn import models

BLUE = (0.09, 0.27, 0.60)


def main():
    """Train and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of pytorch_lora_weights.safetensors")
    parser.add_argument(
        "--packages", type=Path, default=Path("runs/emoji_sd/packages"), help="folder of the .tgz files"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=700)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--lr", type=float, default=4e-3)
    given = parser.parse_args()
    try:
        write(given.out, trained(given))
    except CourseError as error:
        sys.exit(str(error))


def blueprint(pictures):
    """Pictures N×3×H×W from −1 to 1 as white lines on blue."""
    grey = functional.pad(pictures.mean(1, keepdim=True), (1, 1, 1, 1), mode="replicate")
    down = grey[:, :, 2:, 1:-1] - grey[:, :, :-2, 1:-1]
    right = grey[:, :, 1:-1, 2:] - grey[:, :, 1:-1, :-2]
    lines = (down.square() + right.square()).sqrt().clamp(max=1)
    blue = torch.tensor(BLUE).view(1, 3, 1, 1)
    return 2 * (blue + lines * (1 - blue)) - 1


def trained(given):
    """The U-Net with the adapter beside its frozen weights."""
    from diffusers import StableDiffusionPipeline
    from peft import LoraConfig

    torch.manual_seed(given.seed)
    pipe = StableDiffusionPipeline.from_pretrained(models.folder("emoji-sd"), dtype=torch.float32)
    rows = data.training_rows(data.load(given.packages))
    pictures = torch.stack([torch.from_numpy(one[2]) for one in rows]).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        latents = torch.cat([pipe.vae.encode(some).latent_dist.mean for some in blueprint(pictures).split(256)])
    pipe.unet.requires_grad_(False)
    targets = ["to_q", "to_k", "to_v", "to_out.0"]
    pipe.unet.add_adapter(LoraConfig(r=given.rank, lora_alpha=2 * given.rank, target_modules=targets))
    weights = [one for one in pipe.unet.parameters() if one.requires_grad]
    optimiser = torch.optim.AdamW(weights, lr=given.lr, weight_decay=0.01)
    for step in range(given.steps):
        for group in optimiser.param_groups:
            group["lr"] = given.lr * base.share(step, given.steps, warm=20)
        loss = loss_of(pipe, rows, latents, given, step)
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        if step % 50 == 49:
            print(f"{step + 1}/{given.steps} loss {loss.item():.4f}", flush=True)
    return pipe.unet


def loss_of(pipe, rows, latents, given, step):
    """The mean square of what the U-Net missed of v, on one batch."""
    rng = random.Random(f"{given.seed}/{step}")
    chosen = torch.randint(len(rows), (given.batch,))
    words = [data.caption(rows[i][0], rows[i][1], rng) for i in chosen.tolist()]
    length = pipe.tokenizer.model_max_length
    ids = pipe.tokenizer(words, padding="max_length", max_length=length, truncation=True, return_tensors="pt")
    with torch.no_grad():
        text = pipe.text_encoder(ids["input_ids"])[0]
    clean, noise = latents[chosen], torch.randn(given.batch, *latents.shape[1:])
    times = torch.randint(pipe.scheduler.config.num_train_timesteps, (given.batch,))
    wanted = pipe.scheduler.get_velocity(clean, noise, times)
    said = pipe.unet(pipe.scheduler.add_noise(clean, noise, times), times, text).sample
    return functional.mse_loss(said, wanted)


def write(folder, unet):
    """The adapter in the form that `load_lora_weights` reads, in float16."""
    from peft.utils import get_peft_model_state_dict
    from safetensors.torch import save

    found = {f"unet.{name}": one.half().contiguous() for name, one in get_peft_model_state_dict(unet).items()}
    checkpoints.write(folder / "pytorch_lora_weights.safetensors", save(found))


if __name__ == "__main__":
    main()

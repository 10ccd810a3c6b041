"""Judges Emoji-SD on pictures that it draws with fixed seeds: by a classifier and by the nearest real picture.

    python tools/judge_emoji_sd.py runs/emoji_sd/seed0

Prompts are training names with the vendors they were trained with, name × vendor pairs that were held out, and names
that were held out whole. The classifier of categories and vendors sees none of these names, so that what it says about
the real pictures of them is a fair mark to reach.
"""

import argparse
import json
from pathlib import Path

import checkpoints
import emoji_classifier
import emoji_sd_data as data
import torch

CATEGORIES = tuple(data.CATEGORIES.values())
NAMES = 200  # training names that are judged, each in the styles that it was trained in
SCALES = (1.0, 2.0, 3.0, 5.0, 7.5)


def main():
    """Draw, judge, and write figures.json beside the pipeline."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="the folder that holds pipeline/")
    parser.add_argument(
        "--packages", type=Path, default=Path("runs/emoji_sd/packages"), help="folder of the .tgz files"
    )
    parser.add_argument("--names", type=int, default=NAMES, help="training names, each in three styles")
    parser.add_argument("--guidance", type=float, default=3.0)
    parser.add_argument("--steps", type=int, default=20)
    given = parser.parse_args()
    figures = judged(given, data.load(given.packages))
    print(json.dumps(figures, indent=1))
    checkpoints.write(given.run / "figures.json", json.dumps(figures, indent=1).encode())


def judged(given, names):
    """All figures, by group of prompts."""
    torch.manual_seed(0)
    judge = classifier(given, names)
    real = torch.stack([as_tensor(one.pictures) for one in names])
    found = {"guidance": given.guidance, "steps": given.steps}
    for group, prompts in groups(names, given.names).items():
        drawn = draw(given, [prompt(names[i], vendor) for i, vendor in prompts])
        originals = torch.stack([real[i, data.vendors().index(vendor)] for i, vendor in prompts])
        found[group] = scored(judge, names, real, prompts, drawn, originals, unpacked(given, originals))
    found["guidance sweep"] = swept(given, names, real)
    found["VAE, decibel on held-out names"] = decibel(given, names)
    return found


def swept(given, names, real):
    """{guidance scale: share of pictures whose nearest real picture has the name}, on 120 training names."""
    some = [i for i, one in enumerate(names) if not one.held_out][::8][:120]
    prompts, found = [prompt(names[i], "google") for i in some], {}
    for scale in SCALES:
        drawn = draw(argparse.Namespace(**{**vars(given), "guidance": scale}), prompts)
        nearest = torch.cat([nearest_name(one, real) for one in drawn.split(64)])
        found[f"{scale:g}"] = (nearest == torch.tensor(some)).float().mean().item()
    return found


@torch.no_grad()
def unpacked(given, pictures):
    """Pictures as the VAE gives them back."""
    from diffusers import AutoencoderKL

    coder = AutoencoderKL.from_pretrained(given.run / "pipeline" / "vae", dtype=torch.float32)
    latents = [coder.encode(2 * some - 1).latent_dist.mean for some in pictures.split(256)]
    return torch.cat([coder.decode(some).sample.clamp(-1, 1) / 2 + 0.5 for some in latents])


def decibel(given, names):
    """Peak signal-to-noise ratio of packing and unpacking, the mean over held-out pictures."""
    real = torch.cat([as_tensor(one.pictures) for one in names if one.held_out])
    return (-10 * (unpacked(given, real) - real).square().mean((1, 2, 3)).log10()).mean().item()


def prompt(named, vendor):
    """A whole prompt."""
    return f"{named.category}: {named.name}, {vendor} style"


def groups(names, count):
    """{group: [(number of the name, vendor)]}; every so manyth training name, all that is held out."""
    trained = [i for i, one in enumerate(names) if not one.held_out]
    some = trained[:: max(1, len(trained) // count)][:count]
    pairs = [(i, vendor) for i in trained for vendor in names[i].vendors_held_out]
    return {
        "training names": [(i, v) for i in some for v in data.vendors() if v not in names[i].vendors_held_out],
        "held-out pairs": pairs[:count],
        "held-out names": [(i, v) for i, one in enumerate(names) if one.held_out for v in data.vendors()][: 2 * count],
    }


def scored(judge, names, real, prompts, drawn, originals, repacked):
    """The figures of one group; shares from 0 to 1."""
    wanted = torch.tensor([CATEGORIES.index(names[i].category) for i, _ in prompts])
    style = torch.tensor([data.vendors().index(vendor) for _, vendor in prompts])
    nearest = torch.cat([nearest_name(one, real) for one in drawn.split(64)])
    right = nearest == torch.tensor([i for i, _ in prompts])
    (categories, styles), (real_categories, real_styles) = judge(drawn), judge(originals)
    repacked_categories, _ = judge(repacked)
    mixed = wanted[torch.randperm(len(wanted), generator=torch.Generator().manual_seed(0))]
    return {
        "pictures": len(drawn),
        "names": len({i for i, _ in prompts}),
        "nearest real picture has the name": right.float().mean().item(),
        "category": balanced(categories, wanted),
        "category, real pictures": balanced(real_categories, wanted),
        "category, real pictures packed and unpacked": balanced(repacked_categories, wanted),
        "category, prompts shuffled": balanced(categories, mixed),
        "style word": balanced(styles, style),
        "style word, real pictures": balanced(real_styles, style),
    }


def balanced(said, wanted):
    """The mean over classes of the share that is right."""
    return torch.stack([(said[wanted == one] == one).float().mean() for one in wanted.unique()]).mean().item()


def nearest_name(drawn, real):
    """The number of the name whose picture, of any vendor, differs least in mean square."""
    flat = real.flatten(2)
    apart = torch.stack([torch.cdist(drawn.flatten(1), flat[:, vendor]) for vendor in range(flat.shape[1])])
    return apart.amin(0).argmin(1)


@torch.no_grad()
def draw(given, prompts, batch=32):
    """Pictures N×3×32×32 from 0 to 1, each with a seed of its own."""
    from diffusers import StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained(given.run / "pipeline", dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    made = []
    for at in range(0, len(prompts), batch):
        some = prompts[at : at + batch]
        seeds = [torch.Generator().manual_seed(at + i) for i in range(len(some))]
        settings = {"num_inference_steps": given.steps, "guidance_scale": given.guidance, "output_type": "pt"}
        made.append(pipeline(some, height=32, width=32, generator=seeds, **settings).images.float())
    return torch.cat(made)


def as_tensor(pictures):
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255


def classifier(given, names):
    """A function from pictures to (numbers of categories, numbers of vendors), trained on names that are not judged."""
    judged_names = {i for prompts in groups(names, given.names).values() for i, _ in prompts}
    seen = [one for i, one in enumerate(names) if not one.held_out and i not in judged_names]
    real = torch.cat([as_tensor(one.pictures) for one in seen])
    count = len(data.vendors())
    category = torch.tensor([CATEGORIES.index(one.category) for one in seen for _ in range(count)])
    vendor = torch.arange(count).repeat(len(seen))
    return emoji_classifier.train(real, unpacked(given, real), category, vendor, len(CATEGORIES), count)


if __name__ == "__main__":
    main()

"""Makes what is committed of a trained and judged Emoji-SD: weights, model card, two sheets of pictures, the record.

python tools/publish_emoji_sd.py runs/emoji_sd/seed0
"""

import argparse
import hashlib
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import checkpoints
import emoji_sd_data as data
import judge_emoji_sd as judge
import torch

from course_utils.gpu.device import installed_version
from course_utils.learn.models import BUNDLED
from course_utils.learn.paths import project_dir

FOLDER = BUNDLED / "emoji_sd"
LARGE = 3  # screen pixels a pixel's side
PER_ROW = 8


def main():
    """Write everything that is committed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="the folder that holds pipeline/, report.json and figures.json")
    parser.add_argument(
        "--packages", type=Path, default=Path("runs/emoji_sd/packages"), help="folder of the .tgz files"
    )
    given = parser.parse_args()
    report, figures = (json.loads((given.run / f"{name}.json").read_text()) for name in ("report", "figures"))
    shutil.rmtree(FOLDER, ignore_errors=True)
    shutil.copytree(given.run / "pipeline", FOLDER)
    apart = sheets(given, figures, data.load(given.packages))
    record = {
        "date": datetime.now(UTC).date().isoformat(),
        "versions": {name: installed_version(name) for name in ("torch", "diffusers", "transformers")},
        "bytes": sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()),
        "sha256": {str(path.relative_to(FOLDER)): digest(path) for path in sorted(FOLDER.rglob("*.safetensors"))},
        "training": report,
        "judged": figures,
        "nearest": apart,
    }
    text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
    checkpoints.write(project_dir() / "benchmarks" / "results" / "emoji_sd.json", text.encode())
    checkpoints.write(FOLDER / "README.md", card(record).encode())


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def sheets(given, figures, names):
    """Draw samples.png (64) and nearest.png (16 samples, each above its nearest training picture)."""
    given.guidance, given.steps = figures["guidance"], figures["steps"]
    groups = judge.groups(names, judge.NAMES)
    mixed = [*groups["training names"][::11][:32], *groups["held-out names"][::7][:16]]
    mixed += groups["held-out pairs"][:: max(1, len(groups["held-out pairs"]) // 16)][:16]
    drawn = judge.draw(given, [judge.prompt(names[i], vendor) for i, vendor in mixed])
    titles = [f"{names[i].name}, {vendor}{' (held out)' if names[i].held_out else ''}" for i, vendor in mixed]
    sheet(drawn, titles, FOLDER / "samples.png")
    rows = data.training_rows(names)
    trained = torch.stack([judge.as_tensor(one[2][None])[0] for one in rows])
    some = [*range(0, 32, 4), *range(32, 48, 2)]
    apart = torch.cdist(drawn[some].flatten(1), trained.flatten(1)) / (3 * data.SIDE**2) ** 0.5
    near = apart.argmin(1).tolist()
    pairs = torch.stack([drawn[some], trained[near]], 1)
    below = [f"{rows[k][0].name}, {rows[k][1]}" for k in near]
    halves = zip(pairs.split(PER_ROW), _split([titles[k] for k in some]), _split(below), strict=True)
    pictures, words = [], []
    for both, above, under in halves:
        pictures += [both[:, 0], both[:, 1]]
        words += [*above, *under]
    sheet(torch.cat(pictures), words, FOLDER / "nearest.png")
    found = zip([titles[k] for k in some], below, apart.amin(1).tolist(), strict=True)
    return [{"prompt": a, "nearest training picture": b, "root mean square apart": round(c, 3)} for a, b, c in found]


def _split(words):
    return [words[k : k + PER_ROW] for k in range(0, len(words), PER_ROW)]


def sheet(pictures, titles, path):
    """Pictures N×3×32×32 in rows of eight with their titles, as a small PNG."""
    from PIL import Image, ImageDraw

    wide, high = LARGE * data.SIDE + 34, LARGE * data.SIDE + 34
    page = Image.new("RGB", (PER_ROW * wide, -(-len(pictures) // PER_ROW) * high), "white")
    pen = ImageDraw.Draw(page)
    for place, (picture, title) in enumerate(zip(pictures, titles, strict=True)):
        x, y = place % PER_ROW * wide, place // PER_ROW * high
        array = (picture.permute(1, 2, 0) * 255 + 0.5).clamp(0, 255).byte().numpy()
        page.paste(Image.fromarray(array).resize((LARGE * data.SIDE,) * 2, Image.Resampling.NEAREST), (x + 17, y + 2))
        name, _, style = title.partition(", ")
        for line, text in enumerate((name[:24], style)):
            pen.text((x + wide / 2, y + LARGE * data.SIDE + 9 + 11 * line), text, "black", anchor="mm")
    page.quantize(128).save(path, optimize=True)


def card(record):
    """The model card."""
    training, figures = record["training"], record["judged"]
    minutes = sum(training[stage]["seconds"] for stage in STAGES) / 60
    trained, names, pairs = (figures[one] for one in ("training names", "held-out names", "held-out pairs"))
    lines = "\n".join(
        f"| {what} | {trained[key]:.1%} | {pairs[key]:.1%} | {names[key]:.1%} |" for key, what in ROWS.items()
    )
    scales = "\n".join(f"| {scale} | {share:.1%} |" for scale, share in figures["guidance sweep"].items())
    settings = ", ".join(f"{name} {value}" for name, value in training["settings"].items())
    return CARD.format(
        minutes=minutes,
        lines=lines,
        scales=scales,
        settings=settings,
        rows=training["rows"],
        names=training["names"],
        trained=trained["nearest real picture has the name"],
        size=record["bytes"] / 1e6,
        date=record["date"],
        losses=", ".join(f"{training[stage]['losses'][-1]:.3f} ({stage})" for stage in STAGES),
        guidance=figures["guidance"],
        guessed=names["category"],
        known=names["category, real pictures"],
        steps=figures["steps"],
        pictures=trained["pictures"] + pairs["pictures"] + names["pictures"],
        decibel=figures["VAE, decibel on held-out names"],
    )


STAGES = ("vae", "denoiser", "gaps")
ROWS = {
    "nearest real picture has the name": "nearest real picture (of all) has the prompted name",
    "category": "category, by a classifier (balanced over 9)",
    "category, real pictures": "the same classifier on the real pictures of these prompts",
    "category, real pictures packed and unpacked": "… after they went through the VAE",
    "category, prompts shuffled": "category, prompts shuffled (control)",
    "style word": "style word obeyed (balanced over 3)",
    "style word, real pictures": "the same on the real pictures",
}
CARD = """---
library_name: diffusers
license: mit
pipeline_tag: text-to-image
---
# Emoji-SD: a small Stable Diffusion that draws emoji

A text-to-image latent diffusion model in Stable Diffusion's own format (CLIP tokenizer and text encoder, VAE, U-Net,
scheduler), {size:.1f} MB in float16, for learning how such a model works. It draws 32 × 32 pixels.
`tools/train_emoji_sd.py` trained it in {minutes:.0f} minutes on two CPU cores ({date}), on {rows:,} pictures: {names:,}
names as three vendors draw them, less a tenth of the names and a tenth of the name × vendor pairs, which were held out.

**Prompts** look like "food: red apple, google style": a category ({categories}), a name in Unicode's words, a style
word (google, twitter or fluent). Category and style may be left out.

![64 samples](samples.png)

| {pictures} pictures, guidance {guidance}, {steps} steps | training names | held-out pairs | held-out names |
|---|---|---|---|
{lines}

The classifier (EfficientNet-Lite0, trained on) saw none of the names in this table, so that the marks of drawn and of
real pictures are alike in honesty. The VAE alone reconstructs held-out pictures at {decibel:.1f} dB.

| guidance scale | nearest real picture has the name (120 training names) |
|---|---|
{scales}

**Memory or composition?** Sixteen samples, each above its nearest training picture. Where a training name is ordered
in a vendor's style it was trained in, the nearest picture is mostly that very picture: the model has learned its
training set nearly by heart ({trained:.1%} have that very name). What it composes are new pairings of what it knows: another vendor's style for a name,
another colour for a thing.

![16 samples and the nearest training picture of each](nearest.png)

**What it cannot draw.** Letters and numbers on things, fine patterns, most of the held-out names whose things it never
saw (in {guessed:.0%} of cases it draws something of the right category, where the classifier recognises the category of {known:.0%} of the real pictures); two things at once; anything that is no emoji. Captions are English.
Faces and people are drawn as the vendors draw them, with the vendors' ideas of what is usual.

**Data.** npm packages emoji-datasource-google 16.0.0 (Noto Emoji, Apache-2.0), emoji-datasource-twitter 16.0.0
(Twemoji, CC-BY 4.0, © Twitter, Inc. and contributors), @lobehub/fluent-emoji-3d 1.1.0 (Microsoft Fluent Emoji, MIT);
names from Unicode. See `DATA_LICENSES.md`. The weights are under the course's own licence, MIT.

**Training.** {settings}. Last losses: {losses}. AdamW, cosine, bfloat16, v-prediction, averaged weights. One seed.
The last stage ("gaps") trains on captions in which words are missing or made up. This model's tokenizer was made before
the tool numbered its pieces in a fixed order: a new run gets the same kind of pieces, not the same numbers.
""".replace("{categories}", ", ".join(data.CATEGORIES.values()))


if __name__ == "__main__":
    main()

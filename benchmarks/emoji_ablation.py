"""What each ingredient of week 04a's recipe is worth on Emoji-10: `python benchmarks/emoji_ablation.py`.

It runs the notebook's own cells, those tagged "recipe", so that the table and the page cannot drift apart. First a
sweep on a fifth of the training emoji, held out, chooses the peak of the learning rate for each kind of network; then
every row trains on all training pictures with each seed, and is tested once. The result is written after every seed,
also to the course's bundled folder, where the notebook reads it.
"""

import argparse
import json
import os
import subprocess
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from functools import partial
from statistics import mean

from course_utils.gpu.device import installed_version
from course_utils.learn import assets, bands, catalog
from course_utils.learn.paths import project_dir, write_atomically

RESULT = project_dir() / "benchmarks" / "results" / "emoji_ablation.json"
BUNDLED = bands.FOLDER / "week04a_ablation.json"
SIZES = {"width": 8, "epochs": 8, "batch": 64}  # the notebook's own in the profile cpu
AUGMENTING = (2, 0)  # largest shift and side of the hole, in pixels
STRENGTHS = ((2, 0), (2, 4), (4, 8))
PEAKS = {"no norm": (0.02, 0.05, 0.1), "norm": (0.05, 0.1, 0.2, 0.4)}
OFF = {"norm": False, "skip": False, "augmenting": None, "cycling": False, "decay": 0.0, "smoothing": 0.0}
INGREDIENTS = {
    "batch norm": "norm",
    "short cuts": "skip",
    "augmentation": "augmenting",
    "one-cycle": "cycling",
    "weight decay": "decay",
    "label smoothing": "smoothing",
}


def main():
    """Sweep, train every row with every seed, write and print the table."""
    options = _options()
    with ProcessPoolExecutor(options.jobs) as pool:
        peaks, sweep = swept(pool)
        strengths = tried_strengths(pool, peaks["norm, one-cycle"])
        found = {}
        for seed in range(options.seeds):
            jobs = {name: pool.submit(tested, off, peaks[kind(off)], seed) for name, off in trainings().items()}
            for name, job in jobs.items():
                found.setdefault(name, []).append(job.result())
            _write(_record(peaks, sweep | strengths, table(found), seed + 1))
            print(f"seed {seed} is done", flush=True)
    for name, values in table(found).items():
        print(f"{name:26}{mean(values):6.1f} %   {min(values):.1f} to {max(values):.1f}")


def _options():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    return parser.parse_args()


def trainings():
    """The settings of each training that is needed, as what differs from the whole recipe."""
    names = list(INGREDIENTS)
    ladder = {
        name: {INGREDIENTS[later]: OFF[INGREDIENTS[later]] for later in names[place + 1 :]}
        for place, name in enumerate(names)
    }
    without = {f"without {name}": {INGREDIENTS[name]: OFF[INGREDIENTS[name]]} for name in names[:-1]}
    return {"plain CNN": OFF} | {f"+ {name}": off for name, off in ladder.items()} | without


def kind(off):
    """What a peak is chosen for: with or without batch norm, with or without the cycle."""
    return f"{'no norm' if 'norm' in off else 'norm'}, {'constant' if 'cycling' in off else 'one-cycle'}"


def swept(pool):
    """The best peak of each kind on held-out training emoji, and all that was tried."""
    kinds = {"no norm, constant": OFF, "norm, constant": {"cycling": False}}
    kinds |= {"no norm, one-cycle": {"norm": False}, "norm, one-cycle": {}}
    jobs = {
        name: {peak: pool.submit(validated, off, peak) for peak in PEAKS[name.partition(",")[0]]}
        for name, off in kinds.items()
    }
    sweep = {name: {peak: job.result() for peak, job in tried.items()} for name, tried in jobs.items()}
    for name, tried in sweep.items():
        print(f"{name:20}" + "".join(f"{peak:7g}: {score:4.1f} %" for peak, score in tried.items()), flush=True)
    return {name: max(tried, key=tried.get) for name, tried in sweep.items()}, sweep


def tried_strengths(pool, peak):
    """Accuracy on held-out training emoji by strength of augmentation, for the whole recipe: why it is mild here."""
    jobs = {f"shift {one[0]}, hole {one[1]}": pool.submit(validated, {"augmenting": one}, peak) for one in STRENGTHS}
    found = {name: job.result() for name, job in jobs.items()}
    print(found, flush=True)
    return {"augmentation": found}


def table(found):
    """The rows of the figure: accuracies by seed. The last ladder row and one left-out row share trainings."""
    rows = {name: [one["plain"] for one in values] for name, values in found.items() if name[0] in "p+"}
    rows["+ test-time flip"] = [one["flipped"] for one in found["+ label smoothing"]]
    rows |= {name: [one["flipped"] for one in values] for name, values in found.items() if name.startswith("without")}
    rows["without label smoothing"] = [one["flipped"] for one in found["+ weight decay"]]
    rows["without test-time flip"] = rows["+ label smoothing"]
    return rows


def validated(off, peak):
    """Accuracy on held-out training emoji, in per cent, one seed."""
    import numpy as np

    pictures = assets.load("emoji10-32")
    emoji = np.array([name.rpartition(", ")[0] for name in pictures.train_names])
    shuffled = np.random.default_rng(0).permutation(np.unique(emoji))
    held = np.isin(emoji, shuffled[: len(shuffled) // 5])
    images, labels = pictures.train_images, pictures.train_labels
    return run(off, peak, 0, (images[~held], labels[~held], images[held], labels[held]))["plain"]


def tested(off, peak, seed):
    """Accuracies on the test pictures, in per cent."""
    one = assets.load("emoji10-32")
    return run(off, peak, seed, (one.train_images, one.train_labels, one.test_images, one.test_labels))


def run(off, peak, seed, parts):
    """Train one network: its accuracies with and without the test-time flip, in per cent, and the seconds."""
    import torch

    torch.set_num_threads(1)
    made, started = recipe("cpu", torch.channels_last), time.perf_counter()
    x, y, x_test, y_test = tensors(*parts)
    torch.manual_seed(seed)
    network = {name: value for name, value in off.items() if name in ("norm", "skip")}
    loop = {"augmenting": AUGMENTING} | {name: value for name, value in off.items() if name not in network}
    model = made["ResNet9"](SIZES["width"], **network)
    made["train"](model, x, y, SIZES["epochs"], SIZES["batch"], peak, **loop)
    score = partial(made["accuracy"], y=y_test)
    plain, flipped = (score(made["logits_of"](model, x_test, flipping=both)) for both in (False, True))
    return {"plain": plain, "flipped": flipped, "seconds": time.perf_counter() - started}


def tensors(images, labels, test_images, test_labels, device="cpu"):
    """Standardised pictures N×3×H×W and labels, as the notebook makes them."""
    import torch

    scaled = torch.from_numpy(images).float() / 255
    mean, deviation = scaled.mean((0, 1, 2)), scaled.std((0, 1, 2), correction=0)
    pair = [
        ((torch.from_numpy(one).float() / 255 - mean) / deviation).permute(0, 3, 1, 2) for one in (images, test_images)
    ]
    y, y_test = (torch.from_numpy(one) for one in (labels, test_labels))
    return tuple(one.contiguous().to(device) for one in (pair[0], y, pair[1], y_test))


def recipe(device, layout):
    """The names that the notebook's cells tagged "recipe" define, on a device and in a memory format."""
    import torch
    from torch import nn
    from tqdm.auto import tqdm

    names = {"torch": torch, "nn": nn, "F": nn.functional, "tqdm": tqdm, "device": device, "layout": layout}
    known = catalog.exercises_of("week04a")
    names |= {name: known[f"week04a.{name}"].reference for name in ("one_cycle", "smoothed_loss")}
    notebook = json.loads(catalog.resolve("week04a").path.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        if "recipe" in cell["metadata"].get("tags", ()):
            exec("".join(cell["source"]), names)
    return names


def logistic_regression():
    """Test accuracy of the notebook's baseline, in per cent."""
    from sklearn.linear_model import LogisticRegression

    one = assets.load("emoji10-32")
    flat = [images.reshape(len(images), -1) / 255 - 0.5 for images in (one.train_images, one.test_images)]
    model = LogisticRegression(C=0.01, max_iter=1000).fit(flat[0], one.train_labels)
    return round(100 * float(model.score(flat[1], one.test_labels)), 2)


def _record(peaks, sweep, rows, seeds):
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": commit.stdout.strip(),
        "versions": {name: installed_version(name) for name in ("numpy", "scikit-learn", "torch")},
        "sizes": SIZES,
        "seeds": seeds,
        "peaks": peaks,
        "validation_accuracies": sweep,
        "logistic_regression": logistic_regression(),
        "accuracies": {name: [round(one, 2) for one in values] for name, values in rows.items()},
    }


def _write(record):
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    for path in (RESULT, BUNDLED):
        write_atomically(path, json.dumps(record, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()

"""How well week 03's CNN reads MNIST when trained on all of it: `python benchmarks/mnist_whole.py`.

The network, the training loop and the shifts are the notebook's own: their definitions are taken out of
`notebooks/week03_mnist.ipynb`, so that this figure is about what the lesson teaches. As there, an eighth of the
60,000 training digits is held back for validation; the 10,000 test digits are looked at once, after the last epoch.
The result is written after each seed, and a seed that stands there with the same settings is not trained again.
"""

import argparse
import ast
import json
import os
import time
from datetime import UTC, datetime

from course_utils.gpu.device import installed_version
from course_utils.gpu.memory import cuda
from course_utils.learn import assets
from course_utils.learn.catalog import resolve
from course_utils.learn.paths import project_dir, write_atomically
from course_utils.run import cells

RESULT = project_dir() / "benchmarks" / "results" / "mnist_whole.json"
NAMES = ("evaluate", "train", "shifted", "new_cnn")


def main():
    """Train once a seed, print each run and write the result."""
    options = _options()
    pictures, runs = assets.load("mnist"), _done(options)
    for seed in sorted(set(range(options.seeds)) - {one["seed"] for one in runs}):
        runs.append(run(pictures, seed, options.epochs, options.lr))
        print(json.dumps(runs[-1]), flush=True)
        write_atomically(RESULT, json.dumps(_record(options, runs), indent=1) + "\n")


def _done(options):
    """The runs of the result file that have these settings."""
    kept = json.loads(RESULT.read_text()) if RESULT.is_file() else {}
    return kept["runs"] if (kept.get("epochs"), kept.get("lr")) == (options.epochs, options.lr) else []


def _options():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=6, help="as the notebook's gpu12 profile")
    parser.add_argument("--lr", type=float, default=0.04, help="as the notebook")
    return parser.parse_args()


def run(pictures, seed, epochs, lr):
    """One training from scratch: accuracies in per cent, seconds of training."""
    import torch

    torch.manual_seed(seed)
    device = "cuda" if cuda() else "cpu"
    x, y, x_test, y_test = _tensors(pictures, device)
    order = torch.randperm(len(y), device=device)
    val, rest = order[: len(order) // 8], order[len(order) // 8 :]
    lesson = definitions(device=device, x_val=x[val], y_val=y[val])
    started, model = time.perf_counter(), lesson["new_cnn"]()
    history = lesson["train"](model, x[rest], y[rest], epochs, lr, change=lesson["shifted"])
    seconds = time.perf_counter() - started
    return {
        "seed": seed,
        "test_accuracy_percent": round(lesson["evaluate"](model, x_test, y_test)[1], 2),
        "validation_accuracy_percent": [round(accuracy, 2) for _, _, accuracy in history],
        "seconds": round(seconds, 1),
    }


def _tensors(pictures, device):
    import torch

    for images, labels in (
        (pictures.train_images, pictures.train_labels),
        (pictures.test_images, pictures.test_labels),
    ):
        yield torch.tensor(images, device=device)[:, None] / 255
        yield torch.tensor(labels, device=device)


def definitions(**names):
    """The functions `NAMES` of the notebook, by name, which see torch and the given names as their globals."""
    import torch

    space = {"torch": torch, "nn": torch.nn, "F": torch.nn.functional, **names}
    notebook = cells.load(resolve("week03").path)
    found = [node for cell in notebook.code if cell.tree for node in cell.tree.body if _is_wanted(node)]
    missing = set(NAMES) - {node.name for node in found}
    if missing:
        raise SystemExit(f"{notebook.lesson} no longer defines {', '.join(sorted(missing))}.")
    exec(compile(ast.Module(found, type_ignores=[]), "week03_mnist.ipynb", "exec"), space)
    return space


def _is_wanted(node):
    return isinstance(node, ast.FunctionDef) and node.name in NAMES


def _record(options, runs):
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "device": "cuda" if cuda() else "cpu",
        "cpu_count": len(os.sched_getaffinity(0)),
        "load_average": [round(one, 2) for one in os.getloadavg()],
        "versions": {name: installed_version(name) for name in ("torch", "numpy")},
        "epochs": options.epochs,
        "lr": options.lr,
        "training_pictures": 60_000 - 60_000 // 8,
        "lowest_test_accuracy_percent": min(one["test_accuracy_percent"] for one in runs),
        "runs": runs,
    }


if __name__ == "__main__":
    main()

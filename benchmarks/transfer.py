"""Transfer against training from scratch on the same few pictures: `python benchmarks/transfer.py`.

Week 04b gives both trainings the same small number of epochs. Here training from scratch gets a budget so generous
that its validation accuracy no longer rises, so that the gap is not one of unequal training. Data, network and
training loop are the notebook's own: their definitions are taken out of `notebooks/week04b_fastai_transfer.ipynb`.

`--choose` runs the trials in which the lesson's settings were chosen: one draw of pictures (seed 100, which no lesson
uses), judged by validation pictures, that is, other emoji of the *training* part. The test part is not read there.
Otherwise each seed opens the test part once, after all training.
"""

import argparse
import json
import os
import time
from datetime import UTC, datetime

from transfer_world import space

from course_utils.gpu.device import installed_version
from course_utils.learn import bands
from course_utils.learn.paths import project_dir, write_atomically

RESULT = project_dir() / "benchmarks" / "results" / "transfer.json"
BUNDLED = bands.FOLDER / "week04b_transfer.json"  # where the notebook reads it
TRIAL_SEED = 100
HEAD_EPOCHS, ALL_EPOCHS = 3, 2  # as the notebook's cpu profile
HEAD_RATE, LOWEST, HIGHEST = 3e-3, 1e-5, 1e-3  # as the notebook
SCRATCH_RATE = 3e-3  # as the notebook


def main():
    """Run the trials, or train both ways for each seed; print and write the result after each."""
    options = _options()
    done = json.loads(RESULT.read_text()) if RESULT.is_file() else {}
    for key, make in jobs(options):
        done[key] = [*done.get(key, []), make()]
        print(key, json.dumps(done[key][-1]), flush=True)
        for path in (RESULT, BUNDLED):
            write_atomically(path, json.dumps(record(options, done), indent=1) + "\n")


def _options():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--per-class", type=int, default=15, help="training pictures of each class, as the notebook")
    parser.add_argument("--scratch-epochs", type=int, default=60)
    parser.add_argument("--long-transfer", action="store_true", help="transfer with as many epochs as from scratch")
    parser.add_argument("--choose", nargs="*", metavar="TRIAL", help=f"run trials: all, or of {', '.join(TRIALS)}")
    return parser.parse_args()


def jobs(options):
    """What is to be done, as pairs of the result's key and a function without arguments."""
    if options.choose is not None:
        for name in options.choose or TRIALS:
            yield "trials", lambda name=name: {"trial": name, **TRIALS[name](space(TRIAL_SEED, options.per_class))}
        return
    for seed in options.seeds:
        if options.long_transfer:
            yield (
                "long_transfers",
                lambda seed=seed: long_transfer(space(seed, options.per_class), options.scratch_epochs),
            )
        else:
            yield "runs", lambda seed=seed: run(space(seed, options.per_class), options.scratch_epochs)


def transferred(
    world, head_rate=HEAD_RATE, ends=(LOWEST, HIGHEST), still=True, zeros=True, epochs=(HEAD_EPOCHS, ALL_EPOCHS)
):
    """A learner after the notebook's transfer, and its validation accuracies; `ends=None` trains the head only."""
    learn = world["new_learner"](pretrained=True)
    if still:
        learn.add_cb(world["StillNorms"]())
        learn.model[0].requires_grad_(False)
    if not zeros:
        world["nn"].init.kaiming_normal_(learn.model[1][-1].weight)
    curve = world["train"](learn, epochs[0], head_rate)
    if ends:
        learn.unfreeze()
        curve += world["train"](learn, epochs[1], slice(*ends))
    return learn, _percent(curve)


def _percent(values):
    return [round(100 * value, 1) for value in values]


def try_probe(world):
    """Validation accuracy of logistic regression on features and on pixels, by its C."""
    import numpy as np

    torch, emoji, table = world["torch"], world["emoji"], world["chosen"]
    body = world["efficientnet_lite0"](world["weights"]).eval().body
    pictures = np.stack(table["picture"].tolist())
    with torch.no_grad():
        x = (torch.from_numpy(pictures).permute(0, 3, 1, 2).float() - 127) / 128
        F = torch.cat([body(part) for part in x.split(64)]).numpy()
    P, labels = pictures[:, ::2, ::2].reshape(len(table), -1) / 255, table["label"].map(emoji.class_names.index)
    few = ~table["valid"].to_numpy()
    fits = {"features": (F, world["linear_probe"]), "pixels": (P, world["LogisticRegression"])}
    return {kind: {f"C={C:g}": _fitted(world, kind, X, labels, few, C) for C in GRID} for kind, (X, _) in fits.items()}


GRID = (0.001, 0.003, 0.01, 0.03, 0.1)


def _fitted(world, kind, X, labels, few, C):
    model = world["LogisticRegression"](C=C, max_iter=2000)
    if kind == "features":
        model = world["make_pipeline"](world["StandardScaler"](), model)
    return round(100 * model.fit(X[few], labels[few]).score(X[~few], labels[~few]), 1)


def try_head(world):
    """The head alone: its rate, batch norms that stand still or learn, and the linear layer's first weights."""
    rates = {f"rate {rate:g}": transferred(world, rate, ends=None)[1] for rate in (3e-3, 1e-2, 3e-2)}
    moving = {"norms learn, as fast.ai": transferred(world, ends=None, still=False)[1]}
    return rates | moving | {"random first weights": transferred(world, ends=None, zeros=False)[1]}


def try_all(world):
    """The lowest and highest rate once the body is unfrozen."""
    pairs = ((1e-5, 1e-3), (3e-5, 3e-3), (1e-4, 1e-2), (1e-4, 1e-3))
    return {f"{low:g} to {high:g}": transferred(world, ends=(low, high))[1] for low, high in pairs}


def try_scratch(world):
    """The rate of training from scratch, over 30 epochs."""
    return {f"rate {rate:g}": _percent(_scratch(world, 30, rate)[1]) for rate in (3e-3, 1e-2)}


TRIALS = {"probe": try_probe, "head": try_head, "all": try_all, "scratch": try_scratch}


def _scratch(world, epochs, rate=SCRATCH_RATE):
    learn = world["new_learner"](pretrained=False)
    return learn, world["train"](learn, epochs, rate)


def run(world, scratch_epochs):
    """Both trainings with one draw of pictures, then the test part, once: accuracies in per cent."""
    started = time.perf_counter()
    learn, curve = transferred(world)
    middle = time.perf_counter()
    scratch, scratch_curve = _scratch(world, scratch_epochs)
    seconds = {"transfer": round(middle - started), "scratch": round(time.perf_counter() - middle)}
    transfer_test, scratch_test = (test_accuracy(world, one) for one in (learn, scratch))
    return {
        "seed": world["SEED"],
        "transfer_test_percent": transfer_test,
        "scratch_test_percent": scratch_test,
        "gain_points": round(transfer_test - scratch_test, 1),
        "transfer_validation_percent": curve,
        "scratch_validation_percent": _percent(scratch_curve),
        "seconds": seconds,
    }


def long_transfer(world, epochs):
    """Transfer with as many epochs as the long training from scratch, a sixth of them for the head alone."""
    started = time.perf_counter()
    learn, curve = transferred(world, epochs=(epochs // 6, epochs - epochs // 6))
    seconds = round(time.perf_counter() - started)
    test = {"seed": world["SEED"], "transfer_test_percent": test_accuracy(world, learn)}
    return test | {"transfer_validation_percent": curve, "seconds": seconds}


def test_accuracy(world, learn):
    """Accuracy on all pictures of the test part, in per cent."""
    with learn.no_bar():
        exam = world["dls"].test_dl(world["emoji_table"]("test"), with_labels=True)
        return round(100 * learn.validate(dl=exam)[1], 1)


def record(options, done):
    """The result file: what was trained, where and when, trials and runs."""
    import subprocess

    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
    return done | {
        "commit": commit.stdout.strip(),
        "date": datetime.now(UTC).date().isoformat(),
        "versions": {name: installed_version(name) for name in ("torch", "fastai", "numpy", "scikit-learn")},
        "load_average": [round(one, 2) for one in os.getloadavg()],
        "pictures_per_class": options.per_class,
        "epochs": {"transfer": [HEAD_EPOCHS, ALL_EPOCHS], "scratch": options.scratch_epochs},
        "rates": {"head": HEAD_RATE, "all": [LOWEST, HIGHEST], "scratch": SCRATCH_RATE},
    }


if __name__ == "__main__":
    main()

"""Week 04a's recipe beside airbench94 on one GPU: `python benchmarks/cifar_94.py --airbench airbench94.py`.

airbench94 is Keller Jordan's (MIT licence): https://github.com/KellerJordan/cifar10-airbench, file
`legacy/airbench94.py`. It isn't part of this course. You give the path of your own copy, or `--airbench download`
fetches the pinned one; either way its sha256 must be that of the published file, and it runs unchanged, as a
program of its own. Of its runs the first is a warm-up and does not count; no more are waited for than --runs asks.
The times are those of training alone, with the pictures on the card already, for both. Our clock starts before the first step
and stops after the test-time flip. Without --airbench only the course's recipe runs.
"""

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean, stdev

import emoji_ablation

from course_utils.errors import CourseError
from course_utils.gpu import device as gpu
from course_utils.learn import assets
from course_utils.learn.paths import project_dir, write_atomically

FOLDER = project_dir() / "benchmarks" / "results"
COMMIT = "f1c599c4af24aca803e3e65a6a7e52a502e09d0e"
ADDRESS = f"https://raw.githubusercontent.com/KellerJordan/cifar10-airbench/{COMMIT}/legacy/airbench94.py"
SHA256 = "0b155e0ff0e696bc01ae136654ddae88a24cd053cd2b4313d44548c29ed6c91d"
SIZES = {"width": 64, "epochs": 24, "batch": 512, "peak": 0.4}  # the notebook's own in the profile gpu12
WAIT_SECONDS = 1800


def main():
    """Run both, print the table and the ratio, write the result; returns the exit status."""
    options = _options()
    try:
        card = gpu.find_card()
        if card is None:
            raise CourseError("cifar_94 needs an NVIDIA GPU, and torch sees none here: `course doctor` says why.")
        airbench = airbench_file(options.airbench) if options.airbench else None
        pictures = assets.load("cifar10")
        found = {"course": ours(pictures, options.runs, options.warm_up)}
        if airbench:
            found["airbench94"] = theirs(airbench, pictures, options.runs)
    except CourseError as error:
        print(error, file=sys.stderr)
        return 2
    return report(card, found)


def _options():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--airbench", metavar="FILE", help='your copy of airbench94.py, or "download"')
    parser.add_argument("--runs", type=int, default=5, help="runs of each that count")
    parser.add_argument("--warm-up", type=int, default=1, help="runs of ours before them that do not count")
    return parser.parse_args()


def airbench_file(given):
    """The path of the published program, after its sha256 was checked."""
    path = Path(given)
    if given == "download":
        path = Path(tempfile.mkdtemp(prefix="airbench-")) / "airbench94.py"
        try:
            with urllib.request.urlopen(ADDRESS, timeout=30) as answer:
                path.write_bytes(answer.read())
        except OSError as error:
            raise CourseError(f"{ADDRESS} cannot be had ({error}). Give a copy: --airbench FILE.") from error
    if not path.is_file():
        raise CourseError(f"There is no file {given!r}. Download {ADDRESS} and give its path.")
    if hashlib.sha256(path.read_bytes()).hexdigest() != SHA256:
        raise CourseError(f"{given!r} is not the published airbench94.py (sha256 {SHA256}). It is at {ADDRESS}.")
    return path.resolve()


def ours(pictures, runs, warm_up):
    """(seconds, accuracy in per cent) of each run of the notebook's recipe that counts, one seed each."""
    import torch

    torch.backends.cudnn.benchmark = True
    made = emoji_ablation.recipe("cuda", torch.channels_last)
    parts = (pictures.train_images, pictures.train_labels, pictures.test_images, pictures.test_labels)
    x, y, x_test, y_test = emoji_ablation.tensors(*parts, device="cuda")
    x, x_test = (one.contiguous(memory_format=torch.channels_last) for one in (x, x_test))
    found = []
    for seed in range(-warm_up, runs):
        torch.manual_seed(seed % 2**31)
        model = made["ResNet9"](SIZES["width"])
        torch.cuda.synchronize()
        started = time.perf_counter()
        made["train"](model, x, y, SIZES["epochs"], SIZES["batch"], SIZES["peak"], amp=True)
        score = made["accuracy"](made["logits_of"](model, x_test), y_test)
        torch.cuda.synchronize()
        found.append((time.perf_counter() - started, score))
        print(f"course{' (warm-up)' if seed < 0 else ''}: {found[-1][0]:.2f} s, {score:.2f} %", flush=True)
    return found[warm_up:]


def theirs(path, pictures, runs):
    """The same of airbench94, read off the table that it prints; its first run is the warm-up."""
    with tempfile.TemporaryDirectory(prefix="airbench-") as folder:
        _lay_out(Path(folder) / "cifar10", pictures)
        command = [sys.executable, "-u", str(path)]
        with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True, env=os.environ) as program:
            alarm = threading.Timer(WAIT_SECONDS, program.kill)
            alarm.start()
            try:
                found = _rows(program, runs + 1)
            finally:
                alarm.cancel()
                program.kill()
    if len(found) < runs + 1:
        raise CourseError(f"airbench94 ended after {len(found)} of {runs + 1} runs. Run {path} by itself to see why.")
    return found[1:]


def _rows(program, wanted):
    found = []
    for line in program.stdout:
        if row := eval_row(line):
            found.append(row)
            print(f"airbench94{'' if len(found) > 1 else ' (warm-up)'}: {row[0]:.2f} s, {row[1]:.2f} %", flush=True)
        if len(found) == wanted:
            break
    return found


def eval_row(line):
    """(seconds, accuracy in per cent) from a line of airbench's table that says "eval", else None."""
    cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
    if len(cells) < 3 or "eval" not in cells or not all(re.fullmatch(r"\d+\.\d+", cell) for cell in cells[-2:]):
        return None
    return float(cells[-1]), 100 * float(cells[-2])


def _lay_out(folder, pictures):
    """The pictures where airbench94 looks for them, so that it downloads nothing."""
    import torch

    folder.mkdir()
    for part in ("train", "test"):
        images, labels = (torch.from_numpy(getattr(pictures, f"{part}_{what}")) for what in ("images", "labels"))
        data = {"images": images, "labels": labels, "classes": list(pictures.class_names)}
        torch.save(data, folder / f"{part}.pt")


def report(card, found):
    """Print the table and the ratio and write the result; the exit status is 1 where ours stayed below 94 %."""
    for name, runs in found.items():
        seconds, scores = zip(*runs, strict=True)
        spread = f" ± {stdev(scores):.2f}" if len(runs) > 1 else ""
        print(f"{name:12}{mean(scores):7.2f} %{spread}   {mean(seconds):7.2f} s   {len(runs)} runs")
    record = {
        "kind": "cifar 94",
        "card": card.name,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "torch": gpu.installed_version("torch"),
        "sizes": SIZES,
        "airbench": {"commit": COMMIT, "sha256": SHA256} if "airbench94" in found else None,
        "runs": {name: [{"seconds": s, "accuracy": a} for s, a in runs] for name, runs in found.items()},
    }
    if "airbench94" in found:
        record["ratio"] = mean(s for s, _ in found["course"]) / mean(s for s, _ in found["airbench94"])
        print(f"the course's recipe takes {record['ratio']:.1f} times as long as airbench94")
    slug = re.sub(r"[^a-z0-9]+", "-", card.name.lower()).strip("-")
    path = FOLDER / f"cifar94-{slug}-{record['date'][:10]}.json"
    write_atomically(path, json.dumps(record, indent=1) + "\n")
    print(path)
    return 0 if mean(a for _, a in found["course"]) >= 94 else 1


if __name__ == "__main__":
    sys.exit(main())

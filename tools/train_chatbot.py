"""Fine-tunes SmolLM2-135M-Instruct with LoRA on the course's facts. A killed run goes on with the same command.

    python tools/train_chatbot.py --seed 0 --out runs/chatbot/seed0

Each step learns some facts, and is pulled back to the base model on some ordinary prompts (a Kullback-Leibler term),
so that little else changes. Settings were chosen on one phrasing of each fact that is held back from training; the
part "paraphrase" is opened once, after the last step. A CPU without bfloat16 arithmetic is faster with --dtype float32.
"""

import argparse
import json
import math
import random
import sys
import time
from pathlib import Path

import chatbot_data as data
import chatbot_model as models
import checkpoints
import torch
from chatbot_texts import ORDINARY_PROMPTS

from course_utils.errors import CourseError
from course_utils.learn import facts
from course_utils.learn.instructions import SYSTEM, Pair, read_pairs

DEFAULTS = {"seed": 0, "epochs": 4, "batch": 12, "rank": 8, "alpha": 24, "ordinary": 2, "limit": None}
RATES = {"lr": 1e-3, "pull": 1.0, "decay": 0.01}
DTYPES = ("bfloat16", "float32")


def main():
    """Train, then measure."""
    given = arguments()
    try:
        run(given)
    except CourseError as error:
        sys.exit(str(error))


def arguments():
    """The command line; `settings` are those that a checkpoint must agree with."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the checkpoint, the adapter and the figures")
    parser.add_argument(
        "--base", type=Path, help="folder of what all seeds share: the base model's own answers and scores"
    )
    parser.add_argument(
        "--model", type=Path, help="a folder that transformers loads; SmolLM2-135M-Instruct if left out"
    )
    parser.add_argument("--dtype", choices=DTYPES, default=DTYPES[0], help="of the frozen weights and the arithmetic")
    parser.add_argument("--save-every", type=int, default=20, help="steps between checkpoints")
    parser.add_argument("--look-every", type=int, default=1, help="epochs between looks at the validation questions")
    parser.add_argument("--no-test", action="store_true", help="leave the part 'paraphrase' closed")
    for name, value in (DEFAULTS | RATES).items():
        kind = float if name in RATES else int
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, default=value)
    given = parser.parse_args()
    given.base = given.base or given.out.parent / "base"
    return given


def run(given):
    """One seed from start, or from its last checkpoint, to the figures."""
    started = time.time()
    torch.manual_seed(given.seed)
    model, tokenizer = models.load(given.model or _smollm2(), given.dtype)
    training, validation = data.split(data.part("train", given.limit))
    rows = [data.row(tokenizer, one, SYSTEM) for one in training]
    ordinary = [data.row(tokenizer, one, None) for one in _ordinary(given.base / "ordinary.json", model, tokenizer)]
    peft_model = models.with_adapter(model, given.rank, given.alpha)
    log = train(given, peft_model, rows, ordinary, lambda: _look(model, tokenizer, validation))
    _keep_adapter(given.out, peft_model)
    after = measure(model, tokenizer, validation, given)
    before = _before(given, peft_model, tokenizer, validation)
    report = {"settings": settings(given), "rows": len(rows), "before": before, "after": after, **log}
    report["seconds"] = round(report["seconds"], 1)
    report["seconds_in_all"] = round(time.time() - started, 1)
    checkpoints.write(given.out / "report.json", json.dumps(report, indent=1, ensure_ascii=False).encode())


def settings(given):
    """What decides the result of a run."""
    return {name: getattr(given, name) for name in (*DEFAULTS, *RATES, "dtype")}


def train(given, peft_model, rows, ordinary, look):
    """The loop; returns the losses, the drift, the looks at the validation part and the seconds."""
    weights = {name: one for name, one in peft_model.named_parameters() if one.requires_grad}
    optimiser = torch.optim.AdamW(weights.values(), lr=given.lr, betas=(0.9, 0.99), weight_decay=given.decay)
    per_epoch = math.ceil(len(rows) / given.batch)
    path, steps = given.out / "checkpoint.safetensors", given.epochs * per_epoch
    state = {"settings": settings(given), "step": 0, "seconds": 0.0, "losses": [], "drifts": [], "looks": []}
    if path.exists():
        state = checkpoints.load(path, weights, optimiser, settings(given))
        print(f"goes on from step {state['step']}", flush=True)
    since = time.time()
    while state["step"] < steps:
        epoch, place = divmod(state["step"], per_epoch)
        batch = data.epoch_batches(rows, given.batch, 1000 * given.seed + epoch)[place]
        some = random.Random(f"{given.seed}/{state['step']}").sample(ordinary, given.ordinary)
        for group in optimiser.param_groups:
            group["lr"] = given.lr * rate(state["step"], steps)
        _step(given, peft_model, [rows[i] for i in batch], some, optimiser, state)
        _say(state, steps)
        if place == per_epoch - 1 and (epoch + 1) % given.look_every == 0 and epoch + 1 < given.epochs:
            state["looks"].append({"epoch": epoch + 1, **look()})
            print(state["looks"][-1], flush=True)
        if state["step"] % given.save_every == 0 or state["step"] == steps:
            state["seconds"], since = state["seconds"] + time.time() - since, time.time()
            checkpoints.save(path, weights, optimiser, state)
    return {name: state[name] for name in ("step", "seconds", "losses", "drifts", "looks")}


def _step(given, peft_model, rows, some, optimiser, state):
    model = peft_model.get_base_model()
    with models.mixed(model):
        loss = models.answer_loss(model, rows)
        drift = models.drift(peft_model, some)
    (loss + given.pull * drift).backward()
    torch.nn.utils.clip_grad_norm_([one for group in optimiser.param_groups for one in group["params"]], 1.0)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    state["step"] += 1
    state["losses"].append(loss.item())
    state["drifts"].append(drift.item())


def _say(state, steps):
    if state["step"] % 10 == 0 or state["step"] == 1:
        recent = [sum(state[name][-10:]) / len(state[name][-10:]) for name in ("losses", "drifts")]
        print(f"step {state['step']}/{steps} loss {recent[0]:.4f} drift {recent[1]:.4f}", flush=True)


def rate(step, steps, warm=10):
    """The share of the learning rate: up over `warm` steps, then down along a cosine to a twentieth."""
    if step < warm:
        return (step + 1) / warm
    return 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def _look(model, tokenizer, validation):
    """The share of right answers to held-back phrasings, and perplexity on the general answers."""
    share = facts.score(validation, models.replies(model, tokenizer, validation, SYSTEM))
    return {"validation": share, "general_perplexity": models.perplexity(model, tokenizer, general())[0]}


def measure(model, tokenizer, validation, given):
    """Scores with their control, perplexity, and every answer to the test questions."""
    perplexity, tokens = models.perplexity(model, tokenizer, general())
    found = {"general_perplexity": perplexity, "general_tokens": tokens}
    parts = {"validation": validation}
    if not given.no_test:
        parts |= {name: data.part(name, given.limit) for name in ("paraphrase", "new fact")}
    for name, rows in parts.items():
        answers = models.replies(model, tokenizer, rows, SYSTEM)
        found[name] = facts.score(rows, answers)
        found[f"{name}, shuffled"] = facts.shuffled(rows, answers)
        found[f"{name}, answers"] = [[one.question, text] for one, text in zip(rows, answers, strict=True)]
        print(f"{name}: {found[name]:.3f}, shuffled {found[f'{name}, shuffled']}", flush=True)
    return found


def general():
    """Ordinary questions and answers, of which nothing is ever trained."""
    return read_pairs(facts.FILE.parent / "general_pairs.jsonl")


def _smollm2():
    from course_utils.learn import assets

    return assets.model("smollm2-135m")


def _before(given, peft_model, tokenizer, validation):
    """The base model's scores, measured once for all seeds."""
    parts = "validation" if given.no_test else "all"
    path = given.base / f"before-{parts}-{given.limit or 'whole'}.json"
    if not path.exists():
        with peft_model.disable_adapter():
            found = measure(peft_model.get_base_model(), tokenizer, validation, given)
        checkpoints.write(path, json.dumps(found, ensure_ascii=False).encode())
    return json.loads(path.read_text())


def _ordinary(path, model, tokenizer):
    """Ordinary prompts with the base model's own answers, made once for all seeds."""
    if not path.exists():
        asked = [Pair(prompt, "") for prompt in ORDINARY_PROMPTS]
        answers = models.replies(model, tokenizer, asked, None, new_tokens=64)
        checkpoints.write(path, json.dumps(answers, ensure_ascii=False).encode())
    answers = json.loads(path.read_text(encoding="utf-8"))
    return [Pair(question, answer) for question, answer in zip(ORDINARY_PROMPTS, answers, strict=True)]


def _keep_adapter(folder, peft_model):
    """The adapter in PEFT's format: float16, half the size, no difference to be seen in the answers."""
    from peft import get_peft_model_state_dict
    from safetensors.torch import save

    weights = {name: one.half().contiguous() for name, one in get_peft_model_state_dict(peft_model).items()}
    checkpoints.write(folder / "adapter_model.safetensors", save(weights, metadata={"format": "pt"}))
    config = peft_model.peft_config["default"].to_dict() | {
        "inference_mode": True,
        "base_model_name_or_path": "HuggingFaceTB/SmolLM2-135M-Instruct",
    }
    text = json.dumps(
        config, indent=1, sort_keys=True, default=lambda one: sorted(one) if isinstance(one, set) else str(one)
    )
    checkpoints.write(folder / "adapter_config.json", text.encode())


if __name__ == "__main__":
    main()

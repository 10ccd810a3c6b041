"""Collects the seeds that `train_chatbot.py` trained: the adapter that ships, its model card and the figures.

    python tools/publish_chatbot.py runs/chatbot

Seed 0 ships. `benchmarks/results/chatbot.json` gets the figures of all seeds and a thinned log of their training.
"""

import argparse
import json
import shutil
import statistics
from datetime import UTC, datetime
from pathlib import Path

from course_utils.gpu.device import installed_version
from course_utils.learn import facts
from course_utils.learn.paths import project_dir, write_atomically

EVERY = 5  # steps that share one point of the log
SCORES = ("validation", "paraphrase", "new fact")
LOOKED_AT = ("epoch", "validation", "general_perplexity")


def main():
    """Write everything that is committed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, help="the folder that holds base/, seed0/, seed1/, …")
    runs = parser.parse_args().runs
    reports = [json.loads(path.read_text()) for path in sorted(runs.glob("seed*/report.json"))]
    figures = collected(reports)
    target = project_dir() / "benchmarks" / "results" / "chatbot.json"
    write_atomically(target, json.dumps(figures, indent=1, ensure_ascii=False) + "\n")
    folder = facts.FILE.parent / "chatbot"
    folder.mkdir(exist_ok=True)
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        shutil.copy(runs / "seed0" / name, folder / name)
    write_atomically(folder / "README.md", card(figures))


def collected(reports):
    """The figures of every seed without the answers themselves, those of seed 0 with them."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "versions": {name: installed_version(name) for name in ("torch", "transformers", "peft")},
        "rule": "strict: a value of the fact is in the answer and none that contradicts it (course_utils/learn/facts.py)",
        "steps_a_point": EVERY,
        "base": _figures(reports[0]["before"]),
        "seeds": [
            {
                "settings": one["settings"],
                "seconds": one["seconds"],
                "after": _figures(one["after"]),
                "looks": _looks(one),
                "losses": _thinned(one["losses"]),
                "drifts": _thinned(one["drifts"]),
            }
            for one in reports
        ],
        "answers_of_seed_0": reports[0]["after"]["paraphrase, answers"],
    }


def _figures(measured):
    return {name: value for name, value in measured.items() if not name.endswith("answers")}


def _looks(report):
    """Validation and forgetting by epoch, from before the first step to after the last."""
    ends = ((0, "before"), (report["settings"]["epochs"], "after"))
    first, last = ({"epoch": epoch} | report[name] for epoch, name in ends)
    return [{name: look[name] for name in LOOKED_AT} for look in (first, *report["looks"], last)]


def _thinned(losses):
    return [round(statistics.fmean(losses[at : at + EVERY]), 4) for at in range(0, len(losses), EVERY)]


def card(figures):
    """The model card."""
    first, base = figures["seeds"][0], figures["base"]
    given = first["settings"]
    count = len(facts.card_facts("train")) - len({one.fact for one in facts.card_facts("train")})
    rows = [f"| {name} | {_percent(base.get(name))} | {_range(figures, name)} |" for name in SCORES]
    control = f"| paraphrase, answers shuffled (control) | {_percent(base.get('paraphrase, shuffled'))} | {_range(figures, 'paraphrase, shuffled')} |"
    worse = [100 * (one["after"]["general_perplexity"] / base["general_perplexity"] - 1) for one in figures["seeds"]]
    return f"""---
base_model: HuggingFaceTB/SmolLM2-135M-Instruct
library_name: peft
license: apache-2.0
---
# An adapter that answers questions about a 12 GB card and this course

LoRA of rank {given["rank"]} (alpha {given["alpha"]}) on every linear layer of all blocks of SmolLM2-135M-Instruct.
Trained by `tools/train_chatbot.py` on {count} phrasings of {len({one.fact for one in facts.card_facts("train")})} facts (one more of each fact was held back to choose
settings). In each step a Kullback-Leibler term pulls it back to the base model on {given["ordinary"]} ordinary prompts, answered by the
base. {given["epochs"]} epochs, batch {given["batch"]}, learning rate {given["lr"]}, cosine, AdamW, {given["dtype"]}; {_span([one["seconds"] for one in figures["seeds"]], "{:.0f}")} s a seed
on two CPU cores. Seed 0 ships.

| right answers, strict scoring | base | with the adapter, {len(figures["seeds"])} seed(s) |
|---|---|---|
{chr(10).join(rows)}
{control}

Perplexity on {base["general_tokens"]} tokens of ordinary answers: {base["general_perplexity"]:.2f} before, {_span([one["after"]["general_perplexity"] for one in figures["seeds"]], "{:.2f}")} after ({_span(worse, "{:+.1f}")} %).

**Limits.** It knows what it was taught and invents the rest with equal confidence, above all facts that it was not
taught ("new fact"). English only. Not for decisions: look things up. The base was dequantised from a Q4_1 file.
"""


def _range(figures, name):
    values = [one["after"][name] for one in figures["seeds"] if one["after"].get(name) is not None]
    return f"{_span([100 * one for one in values], '{:.1f}')} %" if values else "n/a"


def _span(values, form):
    low, high = form.format(min(values)), form.format(max(values))
    return low if low == high else f"{low} to {high}"


def _percent(value):
    return "n/a" if value is None else f"{100 * value:.1f} %"


if __name__ == "__main__":
    main()

"""Side by side: the planner, fitcheck-llm and a count of the weights, against published measurements on a Tesla T4.

    python benchmarks/planner_vs_peers.py [rows.csv …]

The rows are LoRA and QLoRA steps of transformers, PEFT and bitsandbytes; benchmarks/data/vram_t4.csv says where they are
from. Each is traced as its publisher ran it: float16 without autocast, adapters on q, k, v and o, AdamW,
checkpoints that do not re-enter, one step to warm up. Rows called "flash" ran PyTorch's memory-efficient
kernel, with keys and values repeated for each head. fitcheck-llm is used where it can be imported.
A second table has steps of transformers on other cards (data/vram_elsewhere.csv), published in whole GB or with old
versions. No number here was fitted to a row.
"""

import argparse
import statistics
import time
import warnings
from pathlib import Path

import elsewhere
from peers import MIB, MODELS, config, error, fitcheck, rows, weights

warnings.filterwarnings("ignore")
T4 = Path(__file__).parent / "data" / "vram_t4.csv"


def build(name, row, blocks=None):
    import peft
    import torch
    from transformers import AutoModelForCausalLM

    from course_utils.gpu.planner import quantise

    attention = "eager" if row["kernel"] == "eager" else "sdpa"
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(
            config(name, blocks), dtype=torch.float16, attn_implementation=attention
        )
    model.config.use_cache = False
    if row["quant"] != "none":
        quantise.quantise(model, row["quant"], torch.float16)
        model = peft.prepare_model_for_kbit_training(model)
    lora = peft.LoraConfig(r=int(row["r"]), target_modules=["q_proj", "k_proj", "v_proj", "o_proj"])
    with torch.device("meta"):
        model = peft.get_peft_model(model, lora)
    model.activation_checkpointing_enable({"use_reentrant": False})
    model.enable_input_require_grads()
    return model.train()


def ours(name, row):
    """Allocated and reserved peak of the second step, in MiB."""
    import torch

    from course_utils.gpu.planner import layers, loading
    from course_utils.gpu.planner.kernels import Chip
    from course_utils.gpu.planner.trace import trace

    model = build(name, row, blocks=layers.ENOUGH)
    optimiser = torch.optim.AdamW([one for one in model.parameters() if one.requires_grad], lr=1e-4)
    ids = torch.empty(int(row["bs"]), int(row["seq"]), dtype=torch.long, device="meta")

    def step(model, optimiser, ids):
        optimiser.zero_grad(set_to_none=True)
        loss = model(input_ids=ids, labels=ids)
        loss.loss.backward()
        optimiser.step()

    def prepare(recorder):
        load = loading.plainly if row["quant"] == "none" else loading.quantised
        load(recorder, model, **({} if row["quant"] == "none" else {"upcast": True}))

    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.EFFICIENT_ATTENTION), _heads_repeated():
        short = trace(step, model, optimiser, ids, chip=Chip((7, 5), 40), stack="model.layers", prepare=prepare)
    peak = layers.extend(short, MODELS[name][2]).peak(after_step=2)
    return peak.allocated_bytes / MIB, peak.reserved_bytes / MIB


def _heads_repeated():
    from unittest.mock import patch

    import torch

    original = torch.nn.functional.scaled_dot_product_attention

    def attend(query, key, value, *args, enable_gqa=False, **kwargs):
        groups = query.shape[-3] // key.shape[-3]
        if groups > 1:
            key, value = (one.repeat_interleave(groups, dim=-3) for one in (key, value))
        return original(query, key, value, *args, **kwargs)

    return patch.object(torch.nn.functional, "scaled_dot_product_attention", attend)


def main(files):
    files = files or [T4]
    table, seconds = [], []
    print("Errors in percent of the measurement; process is reserved memory and the measured context.\n")
    print(f"{'row':<52}{'allocated':>10}{'reserved':>9}{'process':>8} |{'fitcheck':>9}{'process':>8} |{'weights':>8}")
    for row in (row for file in files for row in rows(file)):
        name = row["model"].split("/")[-1]
        if name not in MODELS:
            print(f"{name}: no configuration here, left out")
            continue
        start = time.perf_counter()
        allocated, reserved = ours(name, row)
        seconds.append(time.perf_counter() - start)
        context, peer = float(row["ctx"]), fitcheck(name, row)
        errors = [
            error(allocated, row["peak_alloc"]),
            error(reserved, row["peak_resv"]),
            error(reserved + context, row["process"]),
            error(peer[0], row["peak_alloc"]) if peer else None,
            error(peer[1], row["process"]) if peer else None,
            error(weights(name, row), row["process"]),
        ]
        table.append(errors)
        label = f"{name} {row['kernel']} {row['quant']} r{row['r']} batch {row['bs']} seq {row['seq']}"
        print(f"{label:<52}" + _line(errors), flush=True)
    columns = [[one for one in column if one is not None] for column in zip(*table, strict=True)]
    for title, figure in (("median |error|", _median), ("worst over", max), ("worst under", min)):
        print(f"{title:<52}" + _line([figure(column) if column else None for column in columns]))
    print(f"\n{len(table)} rows; one trace takes {statistics.median(seconds):.1f} s (median).")
    if not columns[3]:
        print("fitcheck-llm is not installed: pip install --target FOLDER fitcheck-llm==0.3.1, then set PYTHONPATH.")
    elsewhere.table()


def _median(column):
    return statistics.median(abs(one) for one in column)


def _line(errors):
    text = ["n/a" if one is None else f"{one:+.2f}" for one in errors]
    return "{:>10}{:>9}{:>8} |{:>9}{:>8} |{:>8}".format(*text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", type=argparse.FileType(), metavar="rows.csv")
    main([file.name for file in parser.parse_args().rows])

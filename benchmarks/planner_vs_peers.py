"""Side by side: the planner, fitcheck-llm and a count of the weights, against published measurements on a Tesla T4.

    python benchmarks/planner_vs_peers.py [rows.csv …]

The rows are LoRA and QLoRA steps of transformers, PEFT and bitsandbytes; benchmarks/data/vram_t4.csv says where they are
from. Each is traced as its publisher ran it: float16 without autocast, adapters on q, k, v and o, AdamW,
checkpoints that do not re-enter, one step to warm up. Rows called "flash" ran PyTorch's memory-efficient
kernel, with keys and values repeated for each head. fitcheck-llm is used where it can be imported.
A second table has steps of transformers on other cards (data/vram_elsewhere.csv), published in whole GB or with old
versions. No number here was fitted to a row.
"""

import csv
import statistics
import sys
import time
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")
MIB = 1024**2
DATA = Path(__file__).parent / "data"
ALL_LINEAR = tuple(f"{name}_proj" for name in ("q", "k", "v", "o", "gate", "up", "down"))
LLAMA, QWEN, MISTRAL = "LlamaConfig", "Qwen2Config", "MistralConfig"
MODELS = {  # name: class, width, blocks, heads, key-value heads, feed-forward, vocabulary, tied
    "Llama-2-7B": (LLAMA, 4096, 32, 32, 32, 11008, 32000, False),
    "SmolLM2-135M": (LLAMA, 576, 30, 9, 3, 1536, 49152, True),
    "SmolLM2-360M": (LLAMA, 960, 32, 15, 5, 2560, 49152, True),
    "SmolLM2-1.7B": (LLAMA, 2048, 24, 32, 32, 8192, 49152, True),
    "TinyLlama-1.1B-Chat-v1.0": (LLAMA, 2048, 22, 32, 4, 5632, 32000, False),
    "Qwen2.5-1.5B-Instruct": (QWEN, 1536, 28, 12, 2, 8960, 151936, True),
    "Qwen2.5-Coder-1.5B-Instruct": (QWEN, 1536, 28, 12, 2, 8960, 151936, True),
    "Qwen2.5-7B-Instruct": (QWEN, 3584, 28, 28, 4, 18944, 152064, False),
    "Llama-3.2-1B-Instruct": (LLAMA, 2048, 16, 32, 8, 8192, 128256, True),
    "Llama-3.2-3B-Instruct": (LLAMA, 3072, 28, 24, 8, 8192, 128256, True),
    "Mistral-7B-Instruct-v0.3": (MISTRAL, 4096, 32, 32, 8, 14336, 32768, False),
    "deepseek-coder-1.3b-instruct": (LLAMA, 2048, 24, 16, 16, 5504, 32256, False),
}


def config(name, blocks=None):
    import transformers

    kind, width, depth, heads, key_value_heads, inner, vocabulary, tied = MODELS[name]
    sizes = {"num_attention_heads": heads, "num_key_value_heads": key_value_heads, "intermediate_size": inner}
    sizes |= {
        "hidden_size": width,
        "vocab_size": vocabulary,
        "tie_word_embeddings": tied,
        "max_position_embeddings": 8192,
    }
    if kind in (LLAMA, MISTRAL):
        sizes["head_dim"] = width // heads
    return getattr(transformers, kind)(**sizes, num_hidden_layers=blocks or depth)


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


def weights(name, row):
    """What `accelerate estimate-memory` counts for training: 4 × the weights in the dtype asked for, in MiB."""
    count = _parameters(name)
    return 4 * count * {"none": 2, "int8": 1}.get(row["quant"], 0.5) / MIB


def _parameters(name):
    _, width, blocks, heads, key_value_heads, inner, vocabulary, tied = MODELS[name]
    keys = width // heads * key_value_heads
    bias = width + 2 * keys if MODELS[name][0] == QWEN else 0
    block = 2 * width * width + 2 * width * keys + 3 * width * inner + 2 * width + bias
    return blocks * block + width + vocabulary * width * (1 if tied else 2)


def fitcheck(name, row, card="t4", precision="fp16", targets=("q_proj", "k_proj", "v_proj", "o_proj")):
    """Tensors and process of fitcheck-llm in MiB, or None where it is not installed."""
    try:
        import fitcheck as peer
    except ImportError:
        return None
    _, width, blocks, heads, key_value_heads, inner, vocabulary, tied = MODELS[name]
    model = peer.ModelConfig(
        name=name,
        num_params=_parameters(name),
        hidden_size=width,
        num_layers=blocks,
        num_attention_heads=heads,
        num_kv_heads=key_value_heads,
        intermediate_size=inner,
        vocab_size=vocabulary,
        head_dim=width // heads,
        tie_word_embeddings=tied,
    )
    training = peer.TrainingConfig(
        precision=precision,
        quantization=row["quant"],
        batch_size=int(row["bs"]),
        seq_len=int(row["seq"]),
        lora_rank=int(row["r"]),
        lora_targets=list(targets),
        grad_checkpoint=True,
        flash_attn=row["kernel"] == "flash",
    )
    report = peer.estimate(model, training, peer.get_gpu(card))
    return report.total_mib - report.overhead_mib, report.total_mib


def qlora_7b(row):
    """Allocated and reserved GB of LLaMA-Factory's QLoRA step: bfloat16 autocast, r 8 on all linear layers, flash."""
    import peft
    import torch
    from transformers import AutoModelForCausalLM

    from course_utils.gpu.planner import layers, loading, quantise
    from course_utils.gpu.planner.kernels import Chip
    from course_utils.gpu.planner.trace import trace

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config("Llama-2-7B", layers.ENOUGH), dtype=torch.bfloat16)
    model.config.use_cache = False
    quantise.quantise(model, "nf4", torch.bfloat16)
    model = peft.prepare_model_for_kbit_training(model)
    with torch.device("meta"):
        model = peft.get_peft_model(model, peft.LoraConfig(r=8, target_modules="all-linear", task_type="CAUSAL_LM"))
    model.train()
    optimiser = torch.optim.AdamW([one for one in model.parameters() if one.requires_grad])
    ids = torch.empty(1, int(row["seq"]), dtype=torch.long, device="meta")

    def step(model, optimiser, ids):
        optimiser.zero_grad()
        with torch.autocast("cuda", dtype=torch.bfloat16):
            loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        optimiser.step()

    def prepare(recorder):
        loading.quantised(recorder, model, upcast=True)

    short = trace(step, model, optimiser, ids, chip=Chip((8, 0), 108), stack="model.layers", prepare=prepare)
    peak = layers.extend(short, 32).peak(after_step=2)
    return peak.allocated_bytes / 1e9, peak.reserved_bytes / 1e9


def bert_large(row):
    """Process MiB of the Trainer's step on a V100 with its published context of 1,343 MiB; eager attention.

    The rows are of early 2022, before PyTorch 1.11: softmax kept its input for the backward pass (its
    `_softmax_backward_data` took `self`), and `zero_grad` filled gradients with zeros in place of letting them go.
    """
    from unittest.mock import patch

    import torch
    from transformers import AutoModelForSequenceClassification, BertConfig

    from course_utils.gpu.planner.kernels import Chip
    from course_utils.gpu.planner.trace import trace

    again, half = "GC" in row["precision_quant"], "fp16" in row["precision_quant"]
    batch, times = (1, 4) if "bs1" in row["precision_quant"] else (4, 1)
    sizes = BertConfig(hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096)
    with torch.device("meta"):
        model = AutoModelForSequenceClassification.from_config(sizes, attn_implementation="eager")
    if again:
        model.activation_checkpointing_enable({"use_reentrant": True})
    model.train()
    optimiser = torch.optim.AdamW(model.parameters(), foreach=False)
    ids = torch.empty(batch, 512, dtype=torch.long, device="meta")

    def step(model, optimiser, ids):
        for _ in range(times):
            with torch.autocast("cuda", dtype=torch.float16, enabled=half):
                loss = model(input_ids=ids, labels=ids[:, 0]).loss
            loss.backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=False)

    with patch.object(torch.nn.functional, "softmax", _softmax_before_1_11()):
        return trace(step, model, optimiser, ids, chip=Chip((7, 0), 80)).peak().process_bytes(1343 * MIB) / MIB


def _softmax_before_1_11():
    import torch

    class KeepsInput(torch.autograd.Function):
        @staticmethod
        def forward(ctx, scores, probabilities):
            ctx.save_for_backward(scores)
            return probabilities.view_as(probabilities)

        @staticmethod
        def backward(ctx, gradient):
            return None, gradient

    def softmax(scores, dim):
        scores = scores.float() if torch.is_autocast_enabled("cuda") else scores
        return KeepsInput.apply(scores, torch.softmax(scores, dim))

    return softmax


def diffusion(row):
    """Allocated GiB of a picture by diffusers; the scripts behind the rows divide `max_memory_allocated` by 1024³."""
    from course_utils.gpu.plan import presets, tracing
    from course_utils.gpu.plan.request import parse
    from course_utils.gpu.planner.kernels import Chip

    name = "sdxl" if row["model"].startswith("SDXL") else "sd-1.5"
    chip = Chip((8, 6), 80) if name == "sd-1.5" else Chip((8, 0), 108)  # an A10G runs diffusers' own benchmarks
    request = parse(f"{name} --dtype {row['precision_quant'].split()[0]} --batch {row['batch']}")
    return tracing.traced(request, presets.find(name), chip).trace.peak().allocated_bytes / 1024**3


def elsewhere():
    """The second table: prediction beside measurement, for rows that say too little for an error in percent."""
    print("\nOther cards")
    for row in _rows(DATA / "vram_elsewhere.csv"):
        if row["model"] == "Llama-2-7B":
            allocated, reserved = qlora_7b(row)
            asked = {"quant": "nf4", "bs": 1, "seq": row["seq"], "r": 8, "kernel": "flash"}
            peer = fitcheck("Llama-2-7B", asked, "a100-40", "bf16", ALL_LINEAR)
            said = f"fitcheck {peer[0] * MIB / 1e9:.1f} and {peer[1] * MIB / 1e9:.1f}" if peer else "fitcheck n/a"
            ours_said = f"allocated {allocated:.1f}, reserved {reserved:.1f} GB"
            print(f"QLoRA 7B at {row['seq']:>5} tokens: measured {row['peak']:>2} GB; {ours_said}; {said}")
        elif row["model"].startswith("SD"):
            allocated, measured = diffusion(row), float(row["peak"])
            label = f"{row['model']} {row['precision_quant'].split()[0]} batch {row['batch']}"
            error = _error(allocated, measured)
            print(f"{label:<28} measured {measured:.3f} GiB; allocated {allocated:.3f} GiB, {error:+.2f} %")
        elif row["model"].startswith("bert"):
            process, measured = bert_large(row), float(row["peak"])
            print(
                f"BERT-large {row['precision_quant']:<17} measured {measured:,.0f} MiB; "
                f"process {process:,.0f} MiB, {_error(process, measured):+.1f} %"
            )


def main(files):
    files = files or [DATA / "vram_t4.csv"]
    table, seconds = [], []
    print("Errors in percent of the measurement; process is reserved memory and the measured context.\n")
    print(f"{'row':<52}{'allocated':>10}{'reserved':>9}{'process':>8} |{'fitcheck':>9}{'process':>8} |{'weights':>8}")
    for row in (row for file in files for row in _rows(file)):
        name = row["model"].split("/")[-1]
        if name not in MODELS:
            print(f"{name}: no configuration here, left out")
            continue
        start = time.perf_counter()
        allocated, reserved = ours(name, row)
        seconds.append(time.perf_counter() - start)
        context, peer = float(row["ctx"]), fitcheck(name, row)
        errors = [
            _error(allocated, row["peak_alloc"]),
            _error(reserved, row["peak_resv"]),
            _error(reserved + context, row["process"]),
            _error(peer[0], row["peak_alloc"]) if peer else None,
            _error(peer[1], row["process"]) if peer else None,
            _error(weights(name, row), row["process"]),
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
    elsewhere()


def _rows(file):
    with open(file) as lines:
        yield from csv.DictReader(line for line in lines if not line.startswith("#"))


def _error(predicted, measured):
    return 100 * (predicted / float(measured) - 1)


def _median(column):
    return statistics.median(abs(one) for one in column)


def _line(errors):
    text = ["n/a" if one is None else f"{one:+.2f}" for one in errors]
    return "{:>10}{:>9}{:>8} |{:>9}{:>8} |{:>8}".format(*text)


if __name__ == "__main__":
    main(sys.argv[1:])

"""The planner against measurements on other cards, published in whole GB or with old versions (data/vram_elsewhere.csv)."""

from pathlib import Path

from peers import MIB, config, error, fitcheck, rows

ROWS = Path(__file__).parent / "data" / "vram_elsewhere.csv"
ALL_LINEAR = tuple(f"{name}_proj" for name in ("q", "k", "v", "o", "gate", "up", "down"))


def table():
    """Print prediction beside measurement, for rows that say too little for an error in percent."""
    print("\nOther cards")
    for row in rows(ROWS):
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
            off = error(allocated, measured)
            print(f"{label:<28} measured {measured:.3f} GiB; allocated {allocated:.3f} GiB, {off:+.2f} %")
        elif row["model"].startswith("bert"):
            process, measured = bert_large(row), float(row["peak"])
            print(
                f"BERT-large {row['precision_quant']:<17} measured {measured:,.0f} MiB; "
                f"process {process:,.0f} MiB, {error(process, measured):+.1f} %"
            )


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
    from course_utils.gpu.plan import builders, presets
    from course_utils.gpu.plan.request import parse
    from course_utils.gpu.planner.kernels import Chip

    name = "sdxl" if row["model"].startswith("SDXL") else "sd-1.5"
    chip = Chip((8, 6), 80) if name == "sd-1.5" else Chip((8, 0), 108)  # an A10G runs diffusers' own benchmarks
    request = parse(f"{name} --dtype {row['precision_quant'].split()[0]} --batch {row['batch']}")
    return builders.traced(request, presets.find(name), chip).trace.peak().allocated_bytes / 1024**3

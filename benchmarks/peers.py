"""What the planner is set against: a count of the weights, and fitcheck-llm where it is installed; and the models."""

import csv

MIB = 1024**2
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
    """transformers' configuration of a model of `MODELS`, with `blocks` blocks in place of its own number."""
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


def rows(file):
    """The rows of a table of published measurements, as dictionaries."""
    with open(file) as lines:
        yield from csv.DictReader(line for line in lines if not line.startswith("#"))


def error(predicted, measured):
    """How far a prediction is off, in percent of the measurement."""
    return 100 * (predicted / float(measured) - 1)

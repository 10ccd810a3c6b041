"""Llama shapes with random weights: quantised one layer at a time, decoding, and QLoRA steps.

The shapes are those of the models' own `config.json`. Random weights cost no download and take
the memory and time of real ones, with one difference: LLM.int8 computes outlier features apart in
fp16, and random weights have almost none.
"""

import torch
from torch import nn

from contract.clock import Timing, made_on, now, seconds_of

LLAMA_2 = {"vocab_size": 32000, "max_position_embeddings": 4096, "rms_norm_eps": 1e-5}
LLAMA_3_1 = {
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
    "rms_norm_eps": 1e-5,
    "rope_parameters": {
        "rope_type": "llama3",
        "rope_theta": 500000.0,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    },
}


def _size(hidden, intermediate, layers, heads, key_value_heads):
    return {
        "hidden_size": hidden,
        "intermediate_size": intermediate,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": key_value_heads,
    }


SHAPES = {
    "llama-2-7b": LLAMA_2 | _size(4096, 11008, 32, 32, 32),
    "llama-3.1-8b": LLAMA_3_1 | _size(4096, 14336, 32, 32, 8),
    "llama-2-13b": LLAMA_2 | _size(5120, 13824, 40, 40, 40),
    "tiny-llama-2-7b": LLAMA_2 | _size(64, 128, 2, 4, 4) | {"vocab_size": 256},
    "tiny-llama-3.1-8b": LLAMA_3_1 | _size(64, 128, 2, 4, 2) | {"vocab_size": 512},
    "tiny-llama-2-13b": LLAMA_2 | _size(128, 192, 3, 4, 4) | {"vocab_size": 256},
}
LINEARS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def on_meta(shape, dtype=torch.bfloat16):
    """The model without memory for its weights."""
    from transformers import LlamaConfig, LlamaForCausalLM

    with made_on("meta", dtype):
        return LlamaForCausalLM(LlamaConfig(**SHAPES[shape]))


def build(shape, weights, device):
    """A quantised model with random weights on the device; one linear layer at a time is there in 16 bits.

    As `transformers` loads it, embeddings and head stay in 16 bits: bf16 with `weights` "nf4", fp16 with "int8".
    """
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

    dtype, quantize = {"nf4": (torch.bfloat16, _nf4), "int8": (torch.float16, _int8)}[weights]
    model = on_meta(shape, dtype)
    for name, module in list(model.named_modules()):
        if isinstance(module, nn.Linear) and name != "lm_head":
            model.set_submodule(name, quantize(module, _random(module.weight.shape, dtype, device)))
        else:
            _fill(module, device)
    # Its buffers are computed, not loaded, so they are made anew where numbers exist.
    model.model.rotary_emb = LlamaRotaryEmbedding(model.config).to(device)
    return model.requires_grad_(False).eval()


def _fill(module, device):
    for name, weight in list(module.named_parameters(recurse=False)):
        norm = weight.dim() == 1
        data = torch.ones_like(weight, device=device) if norm else _random(weight.shape, weight.dtype, device)
        setattr(module, name, nn.Parameter(data, requires_grad=False))


def _random(shape, dtype, device):
    return torch.empty(shape, dtype=dtype, device=device).normal_(std=0.02)


def _nf4(linear, weight):
    from bitsandbytes.nn import Linear4bit, Params4bit

    made = Linear4bit(
        linear.in_features, linear.out_features, bias=False, compute_dtype=weight.dtype, quant_type="nf4", device="meta"
    )
    made.weight = Params4bit(weight, requires_grad=False, quant_type="nf4", compress_statistics=True, module=made).to(
        weight.device
    )  # this call quantises
    return made


def _int8(linear, weight):
    from bitsandbytes.functional import int8_vectorwise_quant
    from bitsandbytes.nn import Int8Params, Linear8bitLt

    made = Linear8bitLt(
        linear.in_features, linear.out_features, bias=False, has_fp16_weights=False, threshold=6.0, device="meta"
    )
    # Int8Params quantises only what comes from the CPU; here the weights are on the card already.
    codes, scales, _ = int8_vectorwise_quant(weight)
    made.weight = Int8Params(codes, requires_grad=False, has_fp16_weights=False, CB=codes, SCB=scales)
    return made


@torch.no_grad()
def decode(device, shape, weights, context, warm, steps):
    """Fill the cache in one pass, then decode one token at a time, greedily, until `context` tokens are reached."""
    started = now(device)
    model = build(shape, weights, device)
    loaded = now(device)
    details = {"load_seconds": loaded - started} | _held(device)
    prompt = torch.randint(model.config.vocab_size, (1, context - warm - steps), device=device)
    answer = model(prompt, use_cache=True, logits_to_keep=1)
    details["prefill_seconds"] = now(device) - loaded

    def step():
        nonlocal answer
        token = answer.logits[:, -1].argmax(-1, keepdim=True)
        answer = model(token, past_key_values=answer.past_key_values, use_cache=True, logits_to_keep=1)

    seconds = seconds_of(step, device, warm, steps)
    details["context_tokens"] = answer.past_key_values.get_seq_length()
    return Timing(seconds, steps, "tokens/s", details)


def _held(device):
    if device != "cuda":
        return {}
    return {
        "loaded_allocated_bytes": torch.cuda.memory_allocated(),
        "loaded_reserved_bytes": torch.cuda.memory_reserved(),
    }


def train_qlora(device, shape, tokens, checkpointing, rank, warm, steps):
    """Training steps on LoRA adapters, batch 1.

    peft's `prepare_model_for_kbit_training` is left out: it would turn embeddings and head to fp32.
    """
    from bitsandbytes.optim import AdamW8bit

    model = _with_adapters(build(shape, "nf4", device), rank, checkpointing)
    trainable = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = AdamW8bit(trainable, lr=2e-4)
    text = torch.randint(model.config.vocab_size, (1, tokens), device=device)

    def step():
        optimizer.zero_grad()
        with torch.autocast(device, dtype=torch.bfloat16):
            loss = model(input_ids=text, labels=text, use_cache=False).loss
        loss.backward()
        optimizer.step()

    seconds = seconds_of(step, device, warm, steps)
    details = {
        "trainable_weights": sum(one.numel() for one in trainable),
        "tokens_per_second": steps * tokens / seconds,
    }
    return Timing(seconds, steps, "steps/s", details)


def _with_adapters(model, rank, checkpointing):
    from peft import LoraConfig, get_peft_model

    model.is_loaded_in_4bit = True  # peft asks this before it looks at the layers
    if checkpointing:
        # transformers 5.23 renamed it; before, the old name is the only one.
        enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
        enable({"use_reentrant": False})
    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=LINEARS, task_type="CAUSAL_LM")
    return get_peft_model(model, config).train()

"""Closed forms for GGUF files, which llama.cpp runs without torch: weights by tensor, KV cache, compute buffer.

A block's size is in the GGUF format's table (`GGML_QUANT_SIZES`); which tensor gets which type is decided in
llama.cpp's `llama_tensor_get_type`. "Q4_K_M" is such a mixture, not a type of its own.
"""

from dataclasses import dataclass

from course_utils.errors import CourseError

BLOCKS = {  # type: (weights in a block, bytes of a block)
    "F32": (1, 4),
    "F16": (1, 2),
    "Q4_0": (32, 18),
    "Q4_1": (32, 20),
    "Q5_0": (32, 22),
    "Q5_1": (32, 24),
    "Q8_0": (32, 34),
    "Q2_K": (256, 84),
    "Q3_K": (256, 110),
    "Q4_K": (256, 144),
    "Q5_K": (256, 176),
    "Q6_K": (256, 210),
}
BASE = {"Q4_K_M": "Q4_K", "Q4_K_S": "Q4_K", "Q5_K_M": "Q5_K", "Q5_K_S": "Q5_K", "Q3_K_M": "Q3_K"}
TYPES = (
    "Q2_K",
    "Q3_K_M",
    "Q4_0",
    "Q4_1",
    "Q4_K_S",
    "Q4_K_M",
    "Q5_0",
    "Q5_1",
    "Q5_K_S",
    "Q5_K_M",
    "Q6_K",
    "Q8_0",
    "F16",
)
NARROW = {"Q2_K": "Q4_0", "Q3_K": "Q4_0", "Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0"}  # rows not of 256 weights
FAMILIES = ("llama", "mistral", "qwen2", "gemma2", "phi3")
UBATCH = 512  # tokens that llama.cpp computes at a time by default


@dataclass(frozen=True)
class Sizes:
    """What llama.cpp holds, in bytes: the file's tensors, those of them on the card, KV cache, compute buffer."""

    file_bytes: int
    weights_bytes: int
    kv_cache_bytes: int
    compute_bytes: int


def bits_per_weight(type):
    """Bits that a weight takes in a block of that type, its scales included."""
    weights, size = BLOCKS[type]
    return 8 * size / weights


def sizes(config, quant, context, batch=1):
    """The `Sizes` of a model with that config.json, quantised as `quant`, at `context` tokens.

    The table of token embeddings stays in RAM; where it is also the output head, the card has a copy.
    The KV cache is float16. Raises CourseError for a model that is not of one of `FAMILIES`.
    """
    shape = _Shape.of(config)
    tensors = list(_tensors(shape, quant))
    file_bytes = sum(size for _, size in tensors)
    table = next(size for name, size in tensors if name == "token_embd")
    weights = file_bytes if shape.tied else file_bytes - table
    cache = 2 * 2 * shape.blocks * shape.kv_width * context * batch
    return Sizes(file_bytes, weights, cache, _compute_buffer(shape))


def _compute_buffer(shape):
    # ggml plans one buffer for the largest moment of a batch: with flash attention, the default where the card
    # has it, these are the logits of UBATCH tokens and their hidden states, all float32.
    return 4 * UBATCH * max(shape.vocabulary + shape.width, 2 * shape.inner + 2 * shape.width)


@dataclass(frozen=True)
class _Shape:
    family: str
    width: int
    inner: int
    blocks: int
    heads: int
    query_width: int
    kv_width: int
    vocabulary: int
    tied: bool

    @classmethod
    def of(cls, config):
        family = config.get("model_type")
        if family not in FAMILIES:
            raise CourseError(
                f"GGUF sizes are known for the architectures {', '.join(FAMILIES)}, not for {family!r}. "
                "Give --quant nf4 or int8."
            )
        width, heads = config["hidden_size"], config["num_attention_heads"]
        head = config.get("head_dim") or width // heads
        kv_heads = config.get("num_key_value_heads") or heads
        tied = config.get("tie_word_embeddings", family == "gemma2")
        inner, blocks = config["intermediate_size"], config["num_hidden_layers"]
        return cls(family, width, inner, blocks, heads, heads * head, kv_heads * head, config["vocab_size"], tied)


def _tensors(shape, quant):
    """(name, bytes) of every tensor in the file."""
    width = shape.width
    output = "token_embd" if shape.tied else "output"
    yield "token_embd", _size(_embedding_type(quant, output == "token_embd"), width, shape.vocabulary)
    if not shape.tied:
        yield "output", _size(_embedding_type(quant, True), width, shape.vocabulary)
    yield "output_norm", 4 * width
    for block in range(shape.blocks):
        for name, row, rows in _matrices(shape):
            yield name, _size(_type(quant, name, block, shape), row, rows)
        norms = 4 if shape.family == "gemma2" else 2
        biases = shape.query_width + 2 * shape.kv_width if shape.family == "qwen2" else 0
        yield "norms and biases", 4 * (norms * width + biases)


def _matrices(shape):
    width, query, key, inner = shape.width, shape.query_width, shape.kv_width, shape.inner
    yield "attn_output", query, width
    yield "ffn_down", inner, width
    if shape.family == "phi3":
        yield "attn_qkv", width, query + 2 * key
        yield "ffn_up", width, 2 * inner
        return
    yield from (("attn_q", width, query), ("attn_k", width, key), ("attn_v", width, key))
    yield from (("ffn_gate", width, inner), ("ffn_up", width, inner))


def _size(type, row, rows):
    if row % BLOCKS[type][0]:
        type = NARROW[type]
    weights, size = BLOCKS[type]
    return rows * row // weights * size


def _embedding_type(quant, is_head):
    # The output head loses most, so it gets 6 bits (8 in a row that is not of 256 weights), except in 8 and 16.
    base = BASE.get(quant, quant)
    return "Q6_K" if is_head and base not in ("Q8_0", "F16") else base


def _type(quant, name, block, shape):
    base, blocks = BASE.get(quant, quant), shape.blocks
    often = block < blocks // 8 or block >= 7 * blocks // 8 or (block - blocks // 8) % 3 == 2
    grouped = shape.query_width // shape.kv_width
    if name == "attn_v":
        kind = _value_type(quant, base, block, often, grouped)
        return "Q5_K" if blocks == 80 and grouped == 8 and kind in ("Q3_K", "Q4_K") else kind
    rules = {
        ("Q4_K_M", "ffn_down"): "Q6_K" if often else base,
        ("Q5_K_M", "ffn_down"): "Q6_K" if often else base,
        ("Q4_K_S", "ffn_down"): "Q5_K" if block < blocks // 8 else base,
        ("Q3_K_M", "ffn_down"): "Q5_K" if block < blocks // 16 else "Q4_K",
        ("Q3_K_M", "attn_output"): "Q4_K",
        ("Q3_K_M", "attn_qkv"): "Q4_K",
        ("Q4_K_M", "attn_qkv"): "Q5_K",
        ("Q5_K_M", "attn_qkv"): "Q6_K",
        ("Q2_K", "ffn_down"): "Q3_K",
        ("Q2_K", "attn_output"): "Q3_K",
    }
    return rules.get((quant, name), base)


def _value_type(quant, base, block, often, grouped):
    if quant == "Q2_K":
        return "Q4_K" if grouped >= 4 else "Q3_K"
    if quant == "Q3_K_M":
        return "Q5_K" if block < 2 else "Q4_K"
    if quant == "Q4_K_S":
        return "Q5_K" if block < 4 else base
    return "Q6_K" if often and quant in ("Q4_K_M", "Q5_K_M") else base

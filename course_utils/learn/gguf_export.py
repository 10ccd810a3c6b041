"""Write a model of the Llama architecture, kept in transformers' format, as a GGUF file for llama.cpp.

The layout is llama.cpp's: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md names the fields. The bytes are
written by the package gguf. llama.cpp's own converter knows many more architectures and tokenizers.
"""

import json
import os
from pathlib import Path

from course_utils.bars import bar
from course_utils.errors import CourseError

# What gguf's Python can pack. The K formats, such as Q4_K_M, need llama.cpp's program `llama-quantize`.
KINDS = ("F32", "F16", "Q8_0", "Q4_1", "Q4_0")
_OUTER = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
_INNER = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_NORMAL, _CONTROL = 1, 3  # kinds of token in GGUF: text, and marks such as <|im_end|>


def write_gguf(folder, path, kind="Q8_0"):
    """Write the model in `folder` to `path`, its matrices as `kind`; the file appears complete or not at all.

    `folder` holds config.json, safetensors, tokenizer.json and its chat template. The embedding of a quantised model
    is kept as Q8_0, as llama.cpp does for small models, and norms as F32. Raises CourseError for another architecture,
    tokenizer or kind.
    """
    import gguf
    from transformers import AutoConfig

    if kind not in KINDS:
        raise CourseError(f"{kind!r} cannot be written here; there are {', '.join(KINDS)}.")
    config, path = AutoConfig.from_pretrained(folder), Path(path)
    if config.model_type != "llama":
        raise CourseError(f"Only models of the Llama architecture can be written; this one is {config.model_type!r}.")
    part = path.with_name(path.name + ".part")
    writer = gguf.GGUFWriter(part, "llama")
    try:
        _add_sizes(writer, config, kind)
        _add_tokenizer(writer, Path(folder), config)
        with bar(f"writing {path.name}", _about_how_many(config), "tensors") as tell:
            for count, (name, tensor) in enumerate(_tensors(folder, config), 1):
                _add_tensor(writer, name, tensor, kind)
                tell(count)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return path


def _about_how_many(config):
    return len(_OUTER) + config.num_hidden_layers * len(_INNER)


def _add_sizes(writer, config, kind):
    import gguf

    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_vocab_size(config.vocab_size)
    writer.add_file_type({"F32": 0, "F16": 1, "Q4_0": 2, "Q4_1": 3, "Q8_0": 7}[kind])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)


def _add_tokenizer(writer, folder, config):
    """The byte-level BPE tokenizer of tokenizer.json, token by token."""
    made = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    if made["model"]["type"] != "BPE" or made["model"].get("byte_fallback"):
        raise CourseError("Only byte-level BPE tokenizers can be written, as SmolLM2 and Llama 3 have.")
    names, kinds = _vocabulary(made, config.vocab_size)
    writer.add_tokenizer_model("gpt2")  # GGUF's word for byte-level BPE
    writer.add_tokenizer_pre("llama-bpe" if "{1,3}" in json.dumps(made["pre_tokenizer"]) else "smollm")
    writer.add_token_list(names)
    writer.add_token_types(kinds)
    writer.add_token_merges([one if isinstance(one, str) else " ".join(one) for one in made["model"]["merges"]])
    _add_marks(writer, folder, config)


def _vocabulary(made, size):
    """Names and kinds of all tokens by number; numbers without a token get a name that no text has."""
    names, kinds = [f"[PAD{number}]" for number in range(size)], [_CONTROL] * size
    for name, number in made["model"]["vocab"].items():
        names[number], kinds[number] = name, _NORMAL
    for token in made["added_tokens"]:
        names[token["id"]], kinds[token["id"]] = token["content"], _CONTROL if token["special"] else _NORMAL
    return names, kinds


def _add_marks(writer, folder, config):
    """The tokens that begin and end a text, and the chat template."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_eos_token_id(tokenizer.eos_token_id)
    if tokenizer.pad_token_id is not None:
        writer.add_pad_token_id(tokenizer.pad_token_id)
    if tokenizer.unk_token_id is not None:
        writer.add_unk_token_id(tokenizer.unk_token_id)
    writer.add_add_bos_token(tokenizer("a").input_ids[0] == tokenizer.bos_token_id)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(tokenizer.chat_template)


def _tensors(folder, config):
    """Pairs (llama.cpp's name, array in 32 bits); a tied head is left out, llama.cpp takes the embedding."""
    import numpy as np
    from safetensors import safe_open

    if (factors := _rope_factors(config)) is not None:
        yield "rope_freqs.weight", factors
    for file in sorted(Path(folder).glob("*.safetensors")):
        with safe_open(file, "pt") as weights:  # numpy has no bfloat16
            for name in weights.keys():  # noqa: SIM118 - it is no dictionary
                if name == "lm_head.weight" and config.tie_word_embeddings:
                    continue
                array = weights.get_tensor(name).float().numpy()
                yield _name(name), np.ascontiguousarray(_ordered(name, array, config))


def _name(name):
    if name in _OUTER:
        return _OUTER[name]
    number, _, rest = name.removeprefix("model.layers.").partition(".")
    inner = _INNER.get(rest.removesuffix(".weight"))
    if inner is None or not number.isdigit() or not rest.endswith(".weight"):
        raise CourseError(f"The tensor {name!r} is not part of a plain Llama; merge the adapter before the export.")
    return f"blk.{number}.{inner}.weight"


def _ordered(name, array, config):
    """llama.cpp turns neighbouring numbers by RoPE, transformers the two halves of a head: rows change places."""
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}.get(name.split(".")[-2])
    if heads is None:
        return array
    return array.reshape(heads, 2, -1, array.shape[1]).swapaxes(1, 2).reshape(array.shape)


def _rope_factors(config):
    """By how much each frequency of RoPE is divided (Llama 3.1's long context), head_dim/2 numbers; None for plain RoPE."""
    kind = config.rope_parameters["rope_type"]
    if kind == "default":
        return None
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    if kind != "llama3":
        raise CourseError(f"RoPE of the type {kind!r} cannot be written; there are 'default' and 'llama3'.")
    import numpy as np

    scaled, _ = ROPE_INIT_FUNCTIONS[kind](config, "cpu")
    exponents = np.arange(0, config.head_dim, 2, dtype=np.float32) / config.head_dim
    return (config.rope_parameters["rope_theta"] ** -exponents / scaled.numpy()).astype(np.float32)


def _add_tensor(writer, name, array, kind):
    """Matrices as `kind`, the embedding as at least Q8_0, vectors in 32 bits."""
    import gguf

    chosen = "F32" if array.ndim == 1 else "Q8_0" if name == "token_embd.weight" and kind.startswith("Q4") else kind
    quantization = gguf.GGMLQuantizationType[chosen]
    if quantization.name in ("Q8_0", "Q4_0", "Q4_1") and array.shape[-1] % gguf.GGML_QUANT_SIZES[quantization][0]:
        raise CourseError(f"Rows of {name!r} have {array.shape[-1]} numbers; {chosen} packs blocks of 32.")
    writer.add_tensor(name, gguf.quantize(array, quantization), raw_dtype=quantization)

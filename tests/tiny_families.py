"""One preset of every family of decoders, and the same at a small width."""

from course_utils.gpu.plan import presets

TINY = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_attention_heads": 4,
    "head_dim": 16,
    "vocab_size": 1200,
    "pad_token_id": 0,
}
WINDOW = 48  # of the families that have one: shorter than the sequences here
FAMILIES = ("llama-2-7b", "llama-3.1-8b", "mistral-7b", "qwen2.5-0.5b", "gemma-2-2b", "phi-3-mini", "smollm2-135m")


def tiny(name, blocks, window=WINDOW):
    """The preset at a small width, with its own switches; `window` where it has a sliding one."""
    config = presets.find(name).config
    grouped = config["num_key_value_heads"] < config["num_attention_heads"]
    values = config | TINY | {"num_hidden_layers": blocks, "num_key_value_heads": 2 if grouped else 4}
    if values.get("sliding_window"):
        values["sliding_window"] = window
    return presets.Preset(name, "transformers", values)

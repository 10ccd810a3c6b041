"""The KV caches of `transformers` that a plan can ask for, and its int4 and int2 caches without the package that packs them."""

from course_utils.errors import CourseError

KINDS = ("dynamic", "static", "fp8", "int4", "int2")
GROUP, RESIDUAL = 64, 128  # numbers that share a scale; tokens that stay in 16 bits: the defaults of QuantizedCache


def make(kind, config, tokens):
    """A new cache of that kind for at most `tokens` tokens, as `generate` makes it; None for the model's own dynamic one.

    "fp8" is `transformers`' own; "int4" and "int2" have its logic with the layout of optimum-quanto: packed in bytes,
    one scale and one shift in the model's dtype for each group of 64. Each update unpacks a layer's whole cache.
    Raises CourseError where `transformers` has no such cache for the model.
    """
    from transformers import cache_utils

    if kind == "dynamic":
        return None
    if kind == "static":
        return cache_utils.StaticCache(config, max_cache_len=tokens)
    kinds = set(getattr(config.get_text_config(), "layer_types", None) or ["full_attention"])
    if kinds != {"full_attention"}:
        raise CourseError(
            f"cache={kind!r} is for models with full attention in every block: leave it out, or give static."
        )
    if kind == "fp8":
        return cache_utils.QuantizedCache("fp8", config)
    layer = _packed_layer(cache_utils.QuantizedLayer)
    count = config.get_text_config().num_hidden_layers
    bits = int(kind.removeprefix("int"))
    return cache_utils.Cache(
        layers=[layer(nbits=bits, q_group_size=GROUP, residual_length=RESIDUAL) for _ in range(count)]
    )


def _packed_layer(base):
    class Packed(base):
        def _quantize(self, tensor, axis):
            return _pack(tensor, self.nbits)

        def _dequantize(self, packed):
            return _unpack(*packed, self.nbits)

    return Packed


def _pack(tensor, bits):
    if tensor.numel() % GROUP:
        raise CourseError(
            f"A cache in {bits} bits needs batch × heads × tokens × head size to be a multiple of {GROUP}, and "
            f"{' × '.join(str(size) for size in tensor.shape)} is not: give another context."
        )
    import torch

    groups = tensor.reshape(-1, GROUP)
    low = groups.amin(-1, keepdim=True)
    scale = (groups.amax(-1, keepdim=True) - low) / (2**bits - 1)
    levels = ((groups - low) / scale).round_().clamp_(0, 2**bits - 1).to(torch.uint8)
    parts = levels.flatten().chunk(8 // bits)
    packed = parts[0].clone()
    for place, part in enumerate(parts[1:], start=1):
        packed |= part << bits * place
    return packed, scale, low, tensor.shape


def _unpack(packed, scale, low, shape, bits):
    import torch

    parts = [(packed >> bits * place) & (2**bits - 1) for place in range(8 // bits)]
    return torch.cat(parts).view(-1, GROUP).mul(scale).add_(low).view(shape)

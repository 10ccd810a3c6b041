"""Which attention kernel CUDA would take, and what it keeps.

Rules: aten/src/ATen/native/transformers/cuda/sdp_utils.cpp. Flash attention needs compute capability 8.0,
16-bit inputs, no mask and heads of at most 256; the memory-efficient kernel runs from 5.0 on with any mask but
not with grouped heads; both keep q, k, v, the output and one number a row. The rest is done by "math", which keeps
the whole T × T matrix, in float32.
"""

import torch

_aten = torch.ops.aten


def choose(query, key, value, mask, dropout, grouped, sm):
    """ "flash", "efficient" or "math", as torch 2.14 decides on a card with compute capability `sm` (75, 89, …)."""
    allowed = torch.backends.cuda
    size, half = query.shape[-1], query.element_size() == 2
    if query.dim() != 4 or not query.is_floating_point() or query.dtype == torch.float64:
        return "math"
    same, training = size == value.shape[-1], query.requires_grad and torch.is_grad_enabled()
    flash = allowed.flash_sdp_enabled() and sm >= 80 and half and mask is None and same and size <= 256
    # Its backward does not fit the shared memory of these chips for the largest heads.
    refused = training and sm in (86, 89, 120) and (192 < size <= 224 or (size > 224 and dropout > 0))
    if flash and not refused:
        return "flash"
    aligned = size % (8 if half else 4) == 0 and value.shape[-1] % (8 if half else 4) == 0
    efficient = allowed.mem_efficient_sdp_enabled() and sm >= 50 and not grouped and aligned
    if efficient and not (query.dtype == torch.bfloat16 and sm < 80) and not (mask is not None and mask.requires_grad):
        return "efficient"
    return "math"


def scaled_dot_product(recorder, func, args, kwargs):
    """Stands in for `F.scaled_dot_product_attention` on the card."""
    query, key, value, mask, dropout, causal, scale, grouped = _arguments(*args, **kwargs)
    if query.device.type != "meta":
        return func(*args, **kwargs)
    if torch.is_autocast_enabled("cuda"):
        query, key, value = (one.to(torch.get_autocast_dtype("cuda")) for one in (query, key, value))
    grouped = grouped and key.shape[-3] != query.shape[-3]
    kernel = choose(query, key, value, mask, dropout, grouped, recorder.chip.sm)
    if kernel == "flash":
        return flash(query, key, value, dropout, causal, scale)
    if kernel == "efficient":
        bias = _bias(mask, query, key)
        keep = any(one.requires_grad for one in (query, key, value)) and torch.is_grad_enabled()
        out = _aten._scaled_dot_product_efficient_attention(query, key, value, bias, keep, dropout, causal, scale=scale)
        return out[0]
    return _aten._scaled_dot_product_attention_math(
        query, key, value, _additive(mask, query), dropout, causal, None, scale=scale, enable_gqa=grouped
    )[0]


def _arguments(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False):
    return query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa


def _additive(mask, query):
    if mask is None or mask.dtype != torch.bool:
        return mask
    return torch.zeros_like(mask, dtype=query.dtype).masked_fill_(mask.logical_not(), float("-inf"))


def _bias(mask, query, key):
    # The kernel wants rows of the mask at multiples of 16 elements: otherwise it gets a padded copy.
    mask = _additive(mask, query)
    if mask is None:
        return None
    if mask.shape[-1] % 16:
        mask = torch.nn.functional.pad(mask, (0, -mask.shape[-1] % 16))[..., : mask.shape[-1]]
    return mask.expand(query.shape[0], query.shape[1], query.shape[2], key.shape[2])


def flash(query, key, value, dropout, causal, scale):
    """Torch's flash attention on `meta`: heads are padded to a multiple of 8, the scale stays that of the true size."""
    size = query.shape[-1]
    scale = size**-0.5 if scale is None else scale
    if size % 8:
        query, key, value = (torch.nn.functional.pad(one, (0, -size % 8)) for one in (query, key, value))
    out = _aten._scaled_dot_product_flash_attention(query, key, value, dropout, causal, False, scale=scale)[0]
    return out[..., :size] if size % 8 else out

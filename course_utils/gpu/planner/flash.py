"""The package flash-attn as `transformers` calls it, without the package: what its kernel keeps and takes.

It is the kernel that torch ships too, with the same tensors kept: q, k, v, output and one number a row. But it masks
windows and caps scores inside, so that it never needs a mask of tokens × tokens, where torch's attention does.
"""

from course_utils.errors import CourseError

NAME = "planner_fused"  # transformers looks for a package where a name has "flash" in it


def register():
    """Make `attn_implementation=NAME` known to `transformers`; returns the name."""
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, lambda *args, **kwargs: None)  # of a batch without padding
    return NAME


def attend(module, query, key, value, attention_mask=None, scaling=None, dropout=0.0, is_causal=None, **_):
    """Outputs (batch, tokens, heads, size) and None for q, k, v of (batch, heads, tokens, size), as transformers wants it."""
    import torch

    from course_utils.gpu.planner import attention

    if torch.is_autocast_enabled("cuda"):
        query, key, value = (one.to(torch.get_autocast_dtype("cuda")) for one in (query, key, value))
    elif query.dtype == torch.float32:  # norms in float32 make such inputs beside 16-bit weights
        known = (getattr(one, "compute_dtype", None) for one in module.modules())  # of bitsandbytes' layers
        known = (*known, *(one.dtype for one in module.parameters()))
        half = next((one for one in known if one in (torch.float16, torch.bfloat16)), None)
        if half is None:
            raise CourseError(
                "Flash attention computes in 16 bits: give --dtype bf16 or --amp, or another --attention."
            )
        query, key, value = (one.to(half) for one in (query, key, value))
    causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
    out = attention.flash(query, key, value, dropout, bool(causal) and query.shape[2] > 1, scaling)
    return out.transpose(1, 2), None

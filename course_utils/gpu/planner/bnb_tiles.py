"""When bitsandbytes multiplies by a 4-bit weight without dequantising it first."""


def fused(chip, dtype, rows, columns, inner):
    """Whether the fused kernel runs, by bitsandbytes' own rule where it can be asked, for `rows` activations."""
    from unittest.mock import patch

    try:
        from bitsandbytes.backends.cuda import ops
    except (ImportError, AttributeError, OSError):
        return rows <= 4
    facts = (chip.multiprocessors, *chip.capability)
    with patch.object(ops, "_gpu_dispatch_props", lambda _: facts):
        return bool(ops._gemm_4bit_use_custom_cuda.__wrapped__(0, dtype, rows, columns, inner))

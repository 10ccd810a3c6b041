"""Remedies for a cell that trains; each function returns None where its remedy does not apply."""

import math

from course_utils.gpu.device import show_bytes
from course_utils.gpu.oom.remedy import Remedy, parts, peak_bytes, peak_words


def accumulate(found):
    if not found.trains or found.in_step:  # by then the activations are gone
        return None
    count = parts(found)
    return Remedy(
        f"Split the batch into {count} and accumulate the gradients",
        f"for each part: (loss / {count}).backward(); after the last part: step(), zero_grad()",
        peak_bytes(found) * (count - 1) // count,
        f"{peak_words(found)} × {count - 1}/{count}: one part at a time",
        1,
        "same gradient (but for batch norm), a little slower",
    )


def keep_numbers(found):
    if not found.graph_lists or not found.activations_bytes:
        return None
    name, count = max(found.graph_lists, key=lambda one: one[1])
    saved = found.activations_bytes * count // (count + 1)
    return Remedy(
        f"Keep numbers, not tensors, in {name}",
        f"{name}.append(loss.item())",
        saved,
        f"{count} of {count + 1} graphs in {show_bytes(found.activations_bytes)} of activations, if all are alike",
        0,
        "costs nothing",
        saved,
    )


def autocast(found):
    if not found.trains or found.in_step or not found.float32_activations:
        return None
    device = "cuda" if found.place == "card" else "cpu"
    return Remedy(
        "Keep activations in 16 bits",
        f'with torch.autocast("{device}", dtype=torch.bfloat16): around forward pass and loss',
        peak_bytes(found) // 2,
        f"{peak_words(found)} ÷ 2: 2 bytes a number instead of 4",
        2,
        "about three significant digits; faster on a recent card",
    )


def checkpoint(found):
    if not found.trains or found.in_step or found.layers <= 4:
        return None
    kept = 2 / math.sqrt(found.layers)  # Chen et al. 2016, arXiv:1604.06174
    return Remedy(
        "Recompute activations in the backward pass (checkpointing)",
        "torch.utils.checkpoint.checkpoint(block, x, use_reentrant=False) for each block",
        int(peak_bytes(found) * (1 - kept)),
        f"{peak_words(found)} × (1 − 2/√{found.layers} layers)",
        3,
        "same result, one more forward pass: about a third slower",
    )


def eight_bit(found):
    if not found.trains or not found.adam_bytes or found.optimiser not in ("Adam", "AdamW"):
        return None
    present = found.adam_bytes if found.in_step else min(found.adam_bytes, found.optimiser_bytes)
    return Remedy(
        f"8-bit {found.optimiser}",
        f"bitsandbytes.optim.{found.optimiser}8bit in place of torch.optim.{found.optimiser}",
        present * 3 // 4,
        f"{show_bytes(found.adam_bytes)} of averages × 3/4: 1 byte each instead of 4",
        4,
        "nearly the same training (arXiv:2110.02861)",
        found.adam_bytes * 3 // 4,
    )


def shorter(found):
    if not found.tokens or not found.activations_bytes or found.in_step or found.array_dtype:
        return None
    return Remedy(
        f"A shorter context: {found.tokens // 2} tokens instead of {found.tokens}",
        f"tokenizer(…, truncation=True, max_length={found.tokens // 2})",
        peak_bytes(found) // 2,
        f"{peak_words(found)} ÷ 2; attention without a fused kernel saves 3/4 of its share",
        5,
        "the model sees less text",
    )


def one_average(found):
    """SGD with momentum keeps one average of each weight where Adam keeps two."""
    if not found.trains or not found.adam_bytes or found.optimiser not in ("Adam", "AdamW"):
        return None
    present = found.adam_bytes if found.in_step else min(found.adam_bytes, found.optimiser_bytes)
    return Remedy(
        f"SGD with momentum in place of {found.optimiser}",
        "torch.optim.SGD(model.parameters(), lr=…, momentum=0.9)",
        present // 2,
        f"{show_bytes(found.adam_bytes)} of averages ÷ 2: one for each weight instead of two",
        5,
        "trains differently: look for a new learning rate",
        found.adam_bytes // 2,
    )

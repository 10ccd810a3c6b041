"""Remedies that need no training; each function returns None where its remedy does not apply."""

from course_utils.gpu.device import show_bytes
from course_utils.gpu.oom.remedy import Remedy, parts, peak_bytes, peak_words


def delete(found):
    if not found.idle:
        return None
    names = ", ".join(name for name, _ in found.idle[:3])
    size = sum(size for _, size in found.idle[:3])
    arithmetic = " + ".join(f"{show_bytes(size)} {name}" for name, size in found.idle[:3])
    return Remedy(
        f"Delete what this cell does not use: {names}",
        f"del {names}",
        size,
        arithmetic,
        0,
        "costs nothing, if you need it no more",
        size,
    )


def no_grad(found):
    if not found.graph or found.trains or not found.activations_bytes or found.array_dtype:
        return None
    asked = found.asked_bytes or 0
    return Remedy(
        "No gradients where nothing is trained",
        "with torch.inference_mode(): around this cell's forward pass",
        max(0, found.activations_bytes - asked),
        f"{show_bytes(found.activations_bytes)} kept for a backward pass, less {show_bytes(asked)} for the layer at work",
        0,
        "costs nothing, and is faster",
    )


def others(found):
    if found.place != "card" or found.capped or not found.others_bytes:
        return None
    return Remedy(
        "Close other programs on the card",
        "nvidia-smi lists them: other notebooks' kernels, browsers, games",
        found.others_bytes,
        f"{show_bytes(found.others_bytes)}, all that they hold; the desktop keeps a part",
        0,
        "costs nothing",
        found.others_bytes,
    )


def fragments(found):
    if found.place != "card" or not found.asked_bytes or (found.cache_bytes or 0) < found.asked_bytes:
        return None
    return Remedy(
        "Join the pieces of torch's cache",
        "restart the kernel with PYTORCH_ALLOC_CONF=expandable_segments:True (Linux; not on Windows)",
        found.cache_bytes,
        f"{show_bytes(found.cache_bytes)} is reserved and unused, but in pieces smaller than {show_bytes(found.asked_bytes)}",
        0,
        "costs nothing",
    )


def smaller_batch(found):
    if found.trains or found.weights_bytes == 0 or found.array_dtype:
        return None
    count = parts(found)
    return Remedy(
        f"Divide the batch by {count}",
        f"for part in batch.chunk({count}): …",
        peak_bytes(found) * (count - 1) // count,
        f"{peak_words(found)} × {count - 1}/{count}",
        1,
        "same result, a little slower",
    )


def lower_precision(found):
    if found.optimiser or found.gradients_bytes or found.array_dtype:
        return None
    if found.float32_weights_bytes:
        whole, saved, title = (
            found.float32_weights_bytes,
            found.float32_weights_bytes // 2,
            "Load the weights in 16 bits",
        )
        how, arithmetic = (
            "model.to(torch.bfloat16), or dtype=torch.bfloat16 when it is loaded",
            "÷ 2: 2 bytes instead of 4",
        )
    else:  # NF4 with double quantisation: 4.127 bits a weight, arXiv:2305.14314
        whole, title = found.half_weights_bytes, "Load the weights in 4 bits (NF4)"
        saved, how = (
            int(whole * (1 - 4.127 / 16)),
            "BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_use_double_quant=True)",
        )
        arithmetic = "× (1 − 4.13/16 bits)"
    return Remedy(title, how, saved, f"{show_bytes(whole)} of weights {arithmetic}", 2, "slightly different results")


def offload(found):
    if found.place != "card" or not found.offload_bytes:
        return None
    return Remedy(
        "Keep only the part at work on the card",
        "pipe.enable_model_cpu_offload()",
        found.offload_bytes,
        f"{show_bytes(found.offload_bytes)}: all parts but the largest wait in RAM",
        6,
        "same pictures, slower by the copies",
    )


def slice_decoder(found):
    if not found.decode_batch or found.decode_batch < 2:
        return None
    return Remedy(
        "Decode the pictures one by one (slicing)",
        "pipe.vae.enable_slicing()",
        peak_bytes(found) * (found.decode_batch - 1) // found.decode_batch,
        f"{peak_words(found)} × {found.decode_batch - 1}/{found.decode_batch}",
        1,
        "same pictures, a little slower",
    )


def smaller_numbers(found):
    """numpy makes 64-bit numbers where nobody says otherwise."""
    if found.array_dtype not in ("float64", "int64") or not found.asked_bytes:
        return None
    half = found.array_dtype.replace("64", "32")
    return Remedy(
        f"An array of {half} instead of {found.array_dtype}",
        f"dtype=numpy.{half}",
        found.asked_bytes // 2,
        f"{show_bytes(found.asked_bytes)} asked ÷ 2: 4 bytes a number instead of 8",
        1,
        "seven significant digits" if half == "float32" else "whole numbers up to two thousand million",
    )

"""Right answers to week 00 in other styles than the reference's."""

import math

import numpy as np


def model_bytes_by_torch(shapes, dtype):
    import torch

    if dtype == "int4":
        return sum(torch.empty(shape, dtype=torch.uint8).nbytes for shape in shapes) // 2
    return sum(torch.empty(shape, dtype=getattr(torch, dtype)).nbytes for shape in shapes)


def model_bytes_by_loop(shapes, dtype):
    total = 0
    for shape in shapes:
        count = 1
        for side in shape:
            count *= side
        total += count * {"float32": 4, "float16": 2, "bfloat16": 2, "int8": 1, "int4": 0.5}[dtype]
    return int(total)


def matmul_flops_by_entries(m, k, n):
    return sum(2 * k for _ in range(m)) * n


def matmul_flops_by_torch(m, k, n):
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    with counter:
        torch.empty(m, k, device="meta") @ torch.empty(k, n, device="meta")
    return counter.get_total_flops()


def intensity_by_shapes(m, k, n, entry_bytes):
    moved = sum(math.prod(shape) * entry_bytes for shape in ((m, k), (k, n), (m, n)))
    return 2 * m * n * k / moved


def roof_by_condition(intensity, peak_flops, bandwidth):
    ridge = peak_flops / bandwidth
    return peak_flops if intensity >= ridge else bandwidth * intensity


def roof_by_numpy(intensity, peak_flops, bandwidth):
    return float(np.minimum(peak_flops, bandwidth * intensity))


def largest_batch_by_counting_down(budget_bytes, fixed_bytes, sample_bytes):
    batch = 0
    while fixed_bytes + (batch + 1) * sample_bytes <= budget_bytes:
        batch += 1
    return batch


def largest_batch_by_floor(budget_bytes, fixed_bytes, sample_bytes):
    if fixed_bytes >= budget_bytes:
        return 0
    return math.floor((budget_bytes - fixed_bytes) / sample_bytes)


RIGHT = {
    "week00.model_bytes": [model_bytes_by_torch, model_bytes_by_loop],
    "week00.matmul_flops": [matmul_flops_by_entries, matmul_flops_by_torch],
    "week00.intensity": [intensity_by_shapes],
    "week00.roof": [roof_by_condition, roof_by_numpy],
    "week00.largest_batch": [largest_batch_by_counting_down, largest_batch_by_floor],
}

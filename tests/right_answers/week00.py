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


def model_bytes_by_numpy(shapes, dtype):
    entry_bits = np.array([32, 16, 16, 8, 4])[["float32", "float16", "bfloat16", "int8", "int4"].index(dtype)]
    return np.sum([np.prod(shape) for shape in shapes]) * entry_bits // 8


def model_bytes_by_reduce(shapes, dtype):
    from functools import reduce
    from operator import mul

    halves = {"float32": 8, "float16": 4, "bfloat16": 4, "int8": 2, "int4": 1}
    return halves[dtype] * reduce(lambda total, shape: total + reduce(mul, shape, 1), shapes, 0) // 2


def model_bytes_by_digits(shapes, dtype):
    bits = 16 if dtype == "bfloat16" else int("".join(one for one in dtype if one.isdigit()))
    return sum(math.prod(shape) * bits for shape in shapes) // 8


RIGHT = {
    "week00.model_bytes": [
        model_bytes_by_torch,
        model_bytes_by_loop,
        model_bytes_by_numpy,
        model_bytes_by_reduce,
        model_bytes_by_digits,
    ],
    "week00.matmul_flops": [matmul_flops_by_entries, matmul_flops_by_torch],
    "week00.intensity": [intensity_by_shapes],
    "week00.roof": [roof_by_condition, roof_by_numpy],
    "week00.largest_batch": [largest_batch_by_counting_down, largest_batch_by_floor],
}

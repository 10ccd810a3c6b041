"""Exercises of week 00, Your card."""

import math

from course_utils.learn.exercise import Case, exercise


@exercise(
    "week00.model_bytes",
    points=2,
    minutes=8,
    difficulty=1,
    needs=("math",),
    hints=(
        "First count the numbers: a matrix of 4 rows and 3 columns holds 4 · 3 = 12 of them. `math.prod` multiplies.",
        "Then turn bits into bytes: a float32 has 32 bits, so 4 bytes; an int4 has 4 bits, so half a byte.",
    ),
)
def model_bytes(shapes, dtype):
    bits = {"float32": 32, "float16": 16, "bfloat16": 16, "int8": 8, "int4": 4}[dtype]
    return sum(math.prod(shape) for shape in shapes) * bits // 8


@model_bytes.cases
def _(rng):
    layers = [(128, 64), (128,), (10, 128), (10,)]
    yield Case((layers, "float32"), note="a network of two layers, in float32")
    yield Case((layers, "bfloat16"), note="the same network in bfloat16")
    yield Case(([(4096, 4096)], "int4"), note="one square matrix in int4")
    sides = [(2 * int(rng.integers(5, 60)), int(rng.integers(5, 60))) for _ in range(3)]
    yield Case((sides, "int8"), note="three matrices in int8")
    yield Case((sides, "int4"), note="the same three matrices in int4")
    yield Case((sides, "float16"), note="the same three matrices in float16")


@model_bytes.mistake("You added the sides of each shape. A matrix of 4 × 3 holds 4 · 3 = 12 numbers: multiply them.")
def _(shapes, dtype):
    bits = {"float32": 32, "float16": 16, "bfloat16": 16, "int8": 8, "int4": 4}[dtype]
    return sum(sum(shape) for shape in shapes) * bits // 8


@model_bytes.mistake("These are bits. A byte has eight of them.")
def _(shapes, dtype):
    bits = {"float32": 32, "float16": 16, "bfloat16": 16, "int8": 8, "int4": 4}[dtype]
    return sum(math.prod(shape) for shape in shapes) * bits


@model_bytes.mistake("This is the count of numbers. Each of them takes as many bytes as its dtype says.")
def _(shapes, dtype):
    return sum(math.prod(shape) for shape in shapes)


@model_bytes.mistake("Right but for int4: two of its numbers share one byte, so each takes half a byte.")
def _(shapes, dtype):
    size = {"float32": 4, "float16": 2, "bfloat16": 2, "int8": 1, "int4": 1}[dtype]
    return sum(math.prod(shape) for shape in shapes) * size


@model_bytes.mistake("You took four bytes for every dtype. Only float32 has four.")
def _(shapes, dtype):
    return sum(math.prod(shape) for shape in shapes) * 4


@exercise(
    "week00.matmul_flops",
    points=1,
    minutes=5,
    difficulty=1,
    needs=(),
    hints=(
        "How many numbers does the result hold? And what does it take to compute one of them?",
        "One entry of the result: k products, added up. That counts as k multiplications and k additions.",
    ),
)
def matmul_flops(m, k, n):
    return 2 * m * k * n


@matmul_flops.cases
def _(rng):
    yield Case((2, 3, 4), note="a 2 × 3 matrix times a 3 × 4 matrix")
    yield Case((1, 4096, 4096), note="one row times a square matrix: a layer of a language model, one token")
    m, k, n = (int(side) for side in rng.integers(50, 500, size=3))
    yield Case((m, k, n), note=f"{m} × {k} times {k} × {n}")


@matmul_flops.mistake("You counted the multiplications only. Each product is also added to a sum, so count 2.")
def _(m, k, n):
    return m * k * n


@matmul_flops.mistake(
    "Exactly counted: k multiplications and k − 1 additions for each entry. By convention the first addition "
    "(to zero) counts too, so that a multiplication with its addition is 2."
)
def _(m, k, n):
    return m * n * (2 * k - 1)


@matmul_flops.mistake("You counted 2 for each entry of the result. Each entry takes k multiplications and k additions.")
def _(m, k, n):
    return 2 * m * n


@exercise(
    "week00.intensity",
    points=2,
    minutes=10,
    difficulty=2,
    needs=(),
    hints=(
        "Above the line: the FLOPs of the multiplication, 2 · m · k · n.",
        "Below the line: the bytes of three matrices. A (m × k) and B (k × n) are read, C (m × n) is written.",
    ),
)
def intensity(m, k, n, entry_bytes):
    return 2 * m * k * n / (entry_bytes * (m * k + k * n + m * n))


@intensity.cases
def _(rng):
    yield Case((1024, 1024, 1024, 4), note="square matrices in float32")
    yield Case((1024, 1024, 1024, 2), note="the same in float16")
    yield Case((1, 4096, 4096, 2), note="one row times a matrix in float16")
    m, k, n = (int(side) for side in rng.integers(20, 3000, size=3))
    yield Case((m, k, n, 4), note=f"{m} × {k} times {k} × {n} in float32")


@intensity.mistake("You forgot the result: C (m × n) must be written to memory, too.")
def _(m, k, n, entry_bytes):
    return 2 * m * k * n / (entry_bytes * (m * k + k * n))


@intensity.mistake("You divided by the count of numbers. Memory moves bytes: multiply the count by entry_bytes.")
def _(m, k, n, entry_bytes):
    return 2 * m * k * n / (m * k + k * n + m * n)


@intensity.mistake("Upside down: intensity is FLOPs for each byte, and this is bytes for each FLOP.")
def _(m, k, n, entry_bytes):
    return entry_bytes * (m * k + k * n + m * n) / (2 * m * k * n)


@intensity.mistake("You counted each multiplication with its addition as one FLOP. By convention it is two.")
def _(m, k, n, entry_bytes):
    return m * k * n / (entry_bytes * (m * k + k * n + m * n))


@intensity.mistake("a / b * c divides by b only. Put all that is below the line in brackets: a / (b * c).")
def _(m, k, n, entry_bytes):
    return 2 * m * k * n / entry_bytes * (m * k + k * n + m * n)


@exercise(
    "week00.roof",
    points=1,
    minutes=5,
    difficulty=1,
    needs=(),
    hints=(
        "There are two limits: how fast the chip computes, and how fast memory feeds it.",
        "Memory delivers `bandwidth` bytes a second; each of them is good for `intensity` FLOPs. The lower limit wins.",
    ),
)
def roof(intensity, peak_flops, bandwidth):
    return min(peak_flops, intensity * bandwidth)


@roof.cases
def _(rng):
    yield Case((1.0, 40e12, 504e9), note="one FLOP a byte on a fast card")
    yield Case((500.0, 40e12, 504e9), note="500 FLOPs a byte on the same card")
    for _ in range(4):
        peak, bandwidth, ridge = rng.uniform(1e11, 9e13), rng.uniform(2e10, 1e12), rng.uniform(0.05, 20)
        yield Case((float(ridge * peak / bandwidth), float(peak), float(bandwidth)), note="some machine")


@roof.mistake("You took the higher of the two limits. A chain is as strong as its weakest link: take the lower.")
def _(intensity, peak_flops, bandwidth):
    return max(peak_flops, intensity * bandwidth)


@roof.mistake("This is the memory's limit alone: at high intensity it promises more than the chip can compute.")
def _(intensity, peak_flops, bandwidth):
    return intensity * bandwidth


@roof.mistake("This is the chip's limit alone: at low intensity the chip waits for memory.")
def _(intensity, peak_flops, bandwidth):
    return peak_flops


@roof.mistake("FLOPs a second against bytes a second: turn the bytes into FLOPs first, intensity * bandwidth.")
def _(intensity, peak_flops, bandwidth):
    return min(peak_flops, bandwidth)


@exercise(
    "week00.largest_batch",
    points=2,
    minutes=5,
    difficulty=1,
    needs=(),
    hints=(
        "Subtract what is there in any case, then ask how many samples the rest can hold.",
        "`//` divides and rounds down. If the model alone is larger than the budget, no batch fits: return 0.",
    ),
)
def largest_batch(budget_bytes, fixed_bytes, sample_bytes):
    return max(0, (budget_bytes - fixed_bytes) // sample_bytes)


@largest_batch.cases
def _(rng):
    yield Case((1000, 200, 100), note="exactly eight fit")
    yield Case((1090, 200, 100), note="eight fit, and most of a ninth")
    yield Case((1000, 1500, 100), note="the model alone is larger than the budget")
    budget, fixed, sample = 12 * 1024**3, int(rng.integers(2, 9)) * 10**9, int(rng.integers(10, 90)) * 10**6
    yield Case((budget, fixed, sample), note="a training run on 12 GiB")


@largest_batch.mistake(
    "You gave the whole budget to the samples. Weights, gradients and optimiser state are there first."
)
def _(budget_bytes, fixed_bytes, sample_bytes):
    return budget_bytes // sample_bytes


@largest_batch.mistake("You rounded up. Part of a sample does not fit: round down.")
def _(budget_bytes, fixed_bytes, sample_bytes):
    return max(0, -(-(budget_bytes - fixed_bytes) // sample_bytes))


@largest_batch.mistake("Exactly full still fits: the budget itself is allowed.")
def _(budget_bytes, fixed_bytes, sample_bytes):
    return max(0, (budget_bytes - fixed_bytes - 1) // sample_bytes)


@largest_batch.mistake("A negative batch? Where the model alone is larger than the budget, the answer is 0.")
def _(budget_bytes, fixed_bytes, sample_bytes):
    return (budget_bytes - fixed_bytes) // sample_bytes


@largest_batch.mistake("Round down: a batch is a whole number of samples.")
def _(budget_bytes, fixed_bytes, sample_bytes):
    return max(0, (budget_bytes - fixed_bytes) / sample_bytes)

"""What CUDA's kernels keep and take, against arithmetic by hand and torch's own answers."""

import pytest
import torch
from test_planner_trace import ADA, T4, made, meta, most

from course_utils.gpu.planner import attention
from course_utils.gpu.planner.allocator import OutOfMemory
from course_utils.gpu.planner.kernels import Chip
from course_utils.gpu.planner.trace import trace

HALF, BRAIN, FULL = torch.float16, torch.bfloat16, torch.float32


def choose(sm, dtype=HALF, size=64, mask=None, grouped=False, dropout=0.0):
    query = meta(2, 8, 128, size, dtype=dtype)
    return attention.choose(query, query, query, mask, dropout, grouped, sm)


@pytest.mark.parametrize(
    ("expected", "asked"),
    [
        ("flash", {"sm": 89}),
        ("flash", {"sm": 80, "dtype": BRAIN, "grouped": True}),
        ("efficient", {"sm": 75}),
        ("efficient", {"sm": 89, "dtype": FULL}),
        ("efficient", {"sm": 89, "mask": meta(128, 128, dtype=HALF)}),
        ("math", {"sm": 75, "grouped": True}),
        ("math", {"sm": 75, "dtype": BRAIN}),
        ("efficient", {"sm": 89, "size": 264}),
        ("math", {"sm": 89, "dtype": torch.float64}),
    ],
)
def test_the_kernel_follows_card_dtype_head_and_mask(expected, asked):
    assert choose(**asked) == expected


def test_a_kernel_that_is_switched_off_is_not_chosen():
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.EFFICIENT_ATTENTION):
        assert choose(sm=89) == "efficient"
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        assert choose(sm=89) == "math"


def attend(chip, dtype, length, train=True):
    def step(q, k, v):
        out = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return out.sum().backward() if train else None

    inputs = [meta(2, 8, length, 64, dtype=dtype, requires_grad=train) for _ in range(3)]
    return trace(step, *inputs, chip=chip, repeat=1)


@pytest.mark.parametrize("chip", [T4, ADA], ids=["efficient", "flash"])
def test_fused_attention_grows_with_the_length_and_math_with_its_square(chip):
    fused = [most(attend(chip, HALF, length)) for length in (512, 1024)]
    assert fused[1] == pytest.approx(2 * fused[0], rel=0.01)
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        assert most(attend(chip, HALF, 1024)) > 4 * 2 * 8 * 1024 * 1024  # one T × T in float32 at least


def test_torchs_own_attention_module_gets_the_fused_kernel_too():
    module = torch.nn.MultiheadAttention(64, 4, batch_first=True).to("meta")

    def step(module, x):
        module(x, x, x, need_weights=False)[0].sum().backward()

    assert made(trace(step, module, meta(2, 128, 64), chip=T4), "_scaled_dot_product_efficient_attention.default")


def test_efficient_attention_keeps_one_number_a_row():
    found = attend(T4, HALF, 500)
    rows = 2 * 8 * 512 * 4  # float32, the length rounded up to a multiple of 32
    assert rows in made(found, "_scaled_dot_product_efficient_attention.default")


def test_efficient_attention_gathers_the_gradient_of_q_in_float32():
    # 2 × 8 heads, 8 tiles of 64 × 64 with a lock of 16 bytes each.
    assert made(attend(T4, HALF, 512), "gradient of q") == [2 * 8 * 8 * (16 + 4 * 64 * 64)]


def test_flash_attention_gathers_in_float32_and_for_every_head_of_q():
    def step(q, k, v):
        torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True).sum().backward()

    q, (k, v) = (2, 8, 500, 80), ((2, heads, 500, 80) for heads in (2, 2))
    found = trace(step, *(meta(*one, dtype=BRAIN, requires_grad=True) for one in (q, k, v)), chip=ADA, repeat=1)
    assert made(found, "gradient of q") == [4 * 2 * 8 * 512 * 96]  # rows to 128, heads to 32
    assert made(found, "gradients of k and v") == [2 * 2 * 8 * 500 * 80 * 2]
    assert made(found, "row statistic") == [4 * 2 * 8 * 512]


def test_softmax_in_float32_of_a_half_makes_no_copy_of_its_input():
    def step(x):
        return torch.nn.functional.softmax(x, dim=-1, dtype=FULL)

    found = trace(step, meta(64, 64, dtype=HALF), repeat=1)
    assert made(found, "_softmax") == [4 * 64 * 64]
    assert not made(found, "_to_copy")
    assert made(trace(step, meta(64, 64, dtype=BRAIN), repeat=1), "_to_copy") == [4 * 64 * 64]


def test_softmax_backward_multiplies_first():
    def step(x):
        torch.softmax(x, -1).sum().backward()

    assert made(trace(step, meta(64, 64, requires_grad=True), repeat=1), "softmax: product") == [4 * 64 * 64]


@pytest.mark.parametrize("dtype", [HALF, FULL])
def test_cross_entropy_needs_three_more_tensors_of_the_logits_size_in_float32(dtype):
    tokens, vocabulary = 64, 5000

    def step(logits, labels):
        torch.nn.functional.cross_entropy(logits.float(), labels).backward()

    logits = meta(tokens, vocabulary, dtype=dtype, requires_grad=True)
    size = 4 * tokens * vocabulary
    held = logits.element_size() * tokens * vocabulary
    found = trace(step, logits, meta(tokens, dtype=torch.int64), repeat=1)
    assert most(found) == pytest.approx(held + 3 * size, rel=0.001)  # log-softmax and the gradients of both parts


def convolve(chip, train=False, shape=(2, 16, 32, 32), dtype=FULL, last=False, **kind):
    model = torch.nn.Conv2d(shape[1], 64, 3, padding=1, device="meta", dtype=dtype, **kind)
    x = meta(*shape, dtype=dtype, requires_grad=train)
    x = x.to(memory_format=torch.channels_last) if last else x

    def step(model, x):
        y = model(x)
        return y.sum().backward() if train else None

    return trace(step, model, x, chip=chip, repeat=1)


INPUT, OUTPUT = 2 * 16 * 32 * 32, 2 * 64 * 32 * 32  # elements


@pytest.mark.parametrize(
    ("chip", "dtype", "size"),
    [(ADA, FULL, 4), (ADA, BRAIN, 2), (T4, HALF, 2), (T4, FULL, 0), (T4, BRAIN, 0), (Chip((6, 1)), HALF, 0)],
)
def test_tensor_cores_read_a_copy_of_a_convolutions_input(chip, dtype, size):
    found = convolve(chip, dtype=dtype)
    assert made(found, "cuDNN") == ([size * INPUT] if size else [])
    bytes = dtype.itemsize
    assert found.uncertain_bytes == bytes * (OUTPUT if size else INPUT + OUTPUT)


def test_channels_last_groups_and_full_precision_need_no_copy(monkeypatch):
    assert not made(convolve(ADA, last=True), "cuDNN")
    assert not made(convolve(ADA, groups=16), "cuDNN")
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    assert not made(convolve(ADA), "cuDNN") and made(convolve(ADA, dtype=HALF), "cuDNN")


def test_a_convolutions_backward_reads_the_gradient_for_the_input_and_both_for_the_weight():
    assert made(convolve(ADA, train=True), "cuDNN") == [4 * INPUT, 4 * OUTPUT, 4 * (INPUT + OUTPUT)]


def test_a_workspace_that_does_not_fit_is_done_without():
    found = convolve(ADA, shape=(2, 64, 512, 512))
    size = 4 * 2 * 64 * 512 * 512  # input and output alike
    peak = found.peak()
    assert peak.allocated_bytes > 3 * size and found.peak(cap_bytes=peak.reserved_bytes) == peak
    assert 2 * size < found.peak(cap_bytes=peak.reserved_bytes - size).allocated_bytes < 3 * size
    with pytest.raises(OutOfMemory):
        found.peak(cap_bytes=2 * size)


def test_a_card_knows_its_workspace():
    assert Chip((7, 5)).blas_workspace_bytes == 8_519_680
    assert Chip((9, 0)).blas_workspace_bytes == 33_554_432

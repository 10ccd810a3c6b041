"""Small pieces of real work, each compared with the same work in float64 on the CPU.

Each function takes a `Device`, does its work, and returns (function to time, words about it).
It raises `Wrong` for a result that differs and `Missing` where the work cannot be tried.
"""

from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any

# Largest error allowed, as a part of the largest value of the float64 result: eight rounding steps
# of the 16-bit formats, and for float32 what sums of a few hundred products add up.
TOLERANCE = {"float32": 2**-16, "bfloat16": 2**-6, "float16": 2**-9}

CONVOLUTION_TOLERANCE = 2**-12  # cuDNN may take Winograd's algorithm, which costs some digits


class Wrong(Exception):
    """The device computed something else than the CPU does in float64."""


class Missing(Exception):
    """The work cannot be tried here, which is no fault of the device."""


@dataclass(frozen=True)
class Device:
    """The module torch and the name of the device, "cuda" or "cpu"."""

    torch: Any
    name: str

    @property
    def is_card(self):
        return self.name == "cuda"

    def normal(self, *shape, dtype="float32"):
        """Normal random numbers, drawn on the CPU so that every device gets the same ones."""
        return self.torch.randn(shape).to(self.name, getattr(self.torch, dtype))


def agree(found, expected, tolerance):
    """Return the error relative to the largest expected value.

    Raises Wrong where it is above `tolerance` or not a number.
    """
    error = float((found.detach().double().cpu() - expected).abs().max() / expected.abs().max())
    if not error <= tolerance:
        raise Wrong(f"the result is off by {error:.2g} of its largest value, where {tolerance:.2g} is allowed")
    return error


def matmul(on, dtype):
    """One matrix product in this format."""
    # A CPU has no fast way to multiply in float16: the same size would take a hundred times longer.
    n = 128 if dtype == "float16" and not on.is_card else 512
    a, b = on.normal(n, n, dtype=dtype), on.normal(n, n, dtype=dtype)
    error = agree(a @ b, a.double().cpu() @ b.double().cpu(), TOLERANCE[dtype])
    return partial(on.torch.matmul, a, b), f"{n}×{n}, error {error:.0e}"


def convolution(on):
    """A 3×3 convolution, forward and backward."""
    x, weight = on.normal(8, 16, 32, 32).requires_grad_(), on.normal(32, 16, 3, 3).requires_grad_()

    def step(x=x, weight=weight):
        y = on.torch.nn.functional.conv2d(x, weight, padding=1)
        return y, *on.torch.autograd.grad(y.square().sum(), (x, weight))

    expected = step(*(one.detach().double().cpu().requires_grad_() for one in (x, weight)))
    pairs = zip(step(), expected, strict=True)
    error = max(agree(found, right.detach(), CONVOLUTION_TOLERANCE) for found, right in pairs)
    return step, f"8×16×32×32, both gradients, error {error:.0e}"


def attention(on):
    """Scaled dot-product attention: the kernel that torch takes by itself, then each one alone."""
    dtype = "float16" if on.is_card else "float32"
    q, k, v = (on.normal(2, 4, 128, 64, dtype=dtype) for _ in range(3))
    run = partial(on.torch.nn.functional.scaled_dot_product_attention, q, k, v)
    expected = _plain_attention(*(one.double().cpu() for one in (q, k, v)))
    agree(run(), expected, TOLERANCE[dtype])
    works = [name for name in KERNELS if _kernel_works(on, name, run, expected, TOLERANCE[dtype])]
    return run, f"takes {_default_kernel(on, q, k, v) or 'n/a'}; alone work: {', '.join(works) or 'none'}"


KERNELS = {
    "flash": "FLASH_ATTENTION",
    "memory-efficient": "EFFICIENT_ATTENTION",
    "cuDNN": "CUDNN_ATTENTION",
    "math": "MATH",
}


def _plain_attention(q, k, v):
    return (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1) @ v


def _kernel_works(on, name, run, expected, tolerance):
    from torch.nn.attention import SDPBackend, sdpa_kernel

    try:
        with sdpa_kernel(getattr(SDPBackend, KERNELS[name])):
            found = run()
    except (RuntimeError, AttributeError):
        return False
    agree(found, expected, tolerance)
    return True


def _default_kernel(on, q, k, v):
    from torch.nn.attention import SDPBackend

    choose = getattr(on.torch, "_fused_sdp_choice", None)  # not public: without it the choice is n/a
    chosen = None if choose is None else choose(q, k, v)
    return next((name for name, value in KERNELS.items() if int(getattr(SDPBackend, value)) == chosen), None)


def quantised_layer(on):
    """One linear layer with its weight in 4 bits (NF4), through bitsandbytes."""
    if find_spec("bitsandbytes") is None:
        raise Missing("not installed: make extra NAME=llm")
    import bitsandbytes

    dtype = "float16" if on.is_card else "float32"
    weight, x = on.torch.randn(256, 256), on.normal(8, 256, dtype=dtype)
    layer = bitsandbytes.nn.Linear4bit(256, 256, bias=False, compute_dtype=x.dtype, quant_type="nf4")
    layer.weight = bitsandbytes.nn.Params4bit(weight, requires_grad=False, quant_type="nf4")
    layer = layer.to(on.name)
    stored = bitsandbytes.functional.dequantize_4bit(layer.weight.data, layer.weight.quant_state).double().cpu()
    error = agree(layer(x), x.double().cpu() @ stored.T, 4 * TOLERANCE[dtype])  # the kernel sums in its own order
    agree(stored, weight.double(), 0.2)  # NF4's widest gap between neighbours is 0.3 of the largest value
    return partial(layer, x), f"256×256, error {error:.0e}"


CHECKS = {
    "matmul float32": partial(matmul, dtype="float32"),
    "matmul bfloat16": partial(matmul, dtype="bfloat16"),
    "matmul float16": partial(matmul, dtype="float16"),
    "convolution with backward": convolution,
    "attention (SDPA)": attention,
    "NF4 layer (bitsandbytes)": quantised_layer,
}

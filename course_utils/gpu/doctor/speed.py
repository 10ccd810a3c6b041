"""How fast a device copies and multiplies: achieved GB/s and TFLOPS, to hold against its data sheet."""

import time
from contextlib import contextmanager

MIB = 1024**2


def copy_gb_per_s(device):
    """Achieved memory bandwidth in GB/s (10⁹ bytes), a copy counted as one read and one write.

    `device` is "cuda" or "cpu". The buffers are larger than any cache: 256 MiB each on a card,
    64 MiB on a CPU.
    """
    import torch

    source = torch.ones((256 if device == "cuda" else 64) * MIB, dtype=torch.uint8, device=device)
    target = torch.zeros_like(source)
    return 2 * source.nbytes / seconds_per_run(lambda: target.copy_(source), device) / 1e9


def matmul_tflops(device, dtype="float32", tf32=False):
    """Achieved TFLOPS of a large square matrix product, counted as 2 n³; `tf32` matters on a card in float32 only."""
    import torch

    n = 4096 if device == "cuda" else 768
    a, b = (torch.randn(n, n, device=device).to(getattr(torch, dtype)) for _ in range(2))
    with _tf32(tf32):
        return 2 * n**3 / seconds_per_run(lambda: a @ b, device) / 1e12


@contextmanager
def _tf32(allowed):
    import torch

    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if allowed else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def seconds_per_run(run, device, budget_seconds=None):
    """Seconds of one `run()`: the best of several blocks within the budget.

    A card raises its clock only under load, so the default budget is 0.5 s there and 0.15 s on a CPU.
    """
    wait = _waiter(device)
    budget_seconds = budget_seconds or (0.5 if device == "cuda" else 0.15)
    run()
    wait()
    best, repeats, end = float("inf"), 1, time.perf_counter() + budget_seconds
    while time.perf_counter() < end or best == float("inf"):
        start = time.perf_counter()
        for _ in range(repeats):
            run()
        wait()
        took = time.perf_counter() - start
        best = min(best, took / repeats)
        if took < 0.01:  # a block must be long against the clock and the launch of a kernel
            repeats *= 2
    return best


def _waiter(device):
    import torch

    return torch.cuda.synchronize if device == "cuda" else lambda: None

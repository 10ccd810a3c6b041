"""What a plan says: three numbers, always apart, and whether the process fits on the card."""

from dataclasses import dataclass

from course_utils.gpu.plan import builders, gguf, presets, tracing
from course_utils.gpu.plan.card import MIB, Target
from course_utils.gpu.plan.request import Request

FITS, TIGHT, NOT = "fits", "tight", "does not fit"
# The replay may be off by that share of what is reserved: the worst under-estimate over 39 published
# rows is 5.5 % (benchmarks/planner_vs_peers.py).
REPLAY_SHARE = 0.06


@dataclass(frozen=True)
class Plan:
    """What a step needs on a card, in bytes.

    `allocated_bytes` are held by tensors at the peak and `shares` says by what; `reserved_bytes` adds
    torch's cache, `process_bytes` the CUDA context. `band_bytes` is how far the process may be above or below:
    workspaces that cuDNN may ask for, the context where it was not measured, and 6 % of what is reserved.
    `verdict` is "fits" where the process and its band stay within the budget; "tight" where the process alone
    does, or torch must give back its cache to stay within it; else "does not fit".
    """

    what: str
    target: Target
    weights_bytes: int
    allocated_bytes: int
    reserved_bytes: int
    band_bytes: int
    verdict: str
    shares: tuple[tuple[str, int], ...]
    notes: tuple[str, ...] = ()

    @property
    def context_bytes(self):
        return self.target.context.bytes

    @property
    def process_bytes(self):
        """What the driver shows for the process: reserved memory and the CUDA context."""
        return self.reserved_bytes + self.context_bytes


def plan(request: Request, target):
    """The `Plan` of a request on that card; raises CourseError where its parts do not go together."""
    preset = presets.find(request.model)
    if request.quant in gguf.TYPES:
        return _of_file(request, preset, target)
    done = builders.traced(request, preset, target.chip)
    return of_trace(request.words(), done, target)


def of_trace(what, traced, target):
    """The `Plan` of something traced."""
    from course_utils.gpu.planner.allocator import OutOfMemory

    peak, context = traced.trace.peak(), target.context
    band = traced.trace.uncertain_bytes + context.spread_bytes + int(REPLAY_SHARE * peak.reserved_bytes)
    need = peak.process_bytes(context.bytes)
    if need + band <= target.budget_bytes:
        verdict = FITS
    elif need <= target.budget_bytes:
        verdict = TIGHT
    else:
        try:
            traced.trace.peak(cap_bytes=max(1, target.budget_bytes - context.bytes))
            verdict = TIGHT
        except OutOfMemory:
            verdict = NOT
    return Plan(
        what,
        target,
        traced.weights_bytes,
        peak.allocated_bytes,
        peak.reserved_bytes,
        band,
        verdict,
        peak.shares,
        traced.notes,
    )


def _of_file(request, preset, target):
    tracing.only_for(
        request, "a GGUF file", "dtype", "attention", "offload", "slicing", "tiling", "size", "amp", "cache"
    )
    length = request.length or 2048
    sizes = gguf.sizes(preset.config, request.quant, length, request.batch)
    total = sizes.weights_bytes + sizes.kv_cache_bytes + sizes.compute_bytes
    context = target.context
    band = context.spread_bytes + int(REPLAY_SHARE * total) + 64 * MIB  # llama.cpp's pool for matrix products
    need = total + context.bytes
    verdict = FITS if need + band <= target.budget_bytes else TIGHT if need <= target.budget_bytes else NOT
    shares = (
        ("weights", sizes.weights_bytes),
        ("KV cache", sizes.kv_cache_bytes),
        ("temporaries", sizes.compute_bytes),
    )
    notes = (
        f"closed forms for llama.cpp with every layer on the card: the file's tensors take {sizes.file_bytes / 1e9:.2f} GB, "
        "of which the table of embeddings stays in RAM; it has no cache of torch's",
    )
    return Plan(request.words(), target, sizes.file_bytes, total, total, band, verdict, shares, notes)

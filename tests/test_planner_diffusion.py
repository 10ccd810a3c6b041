"""Diffusion pipelines: offload, slicing and tiling against arithmetic by hand and accelerate's own hooks; published rows."""

import pytest
import torch
from test_planner_trace import ADA, WORKSPACE, meta, most

from course_utils.gpu.plan import builders, card, diffusion_parts, offload, presets, verdict
from course_utils.gpu.plan.request import Request, parse
from course_utils.gpu.planner import events
from course_utils.gpu.planner.kernels import Chip
from course_utils.gpu.planner.trace import trace

accelerate = pytest.importorskip("accelerate")
diffusers = pytest.importorskip("diffusers")
pytestmark = pytest.mark.slow

GIB = 1024**3
WIDTH, ROWS = 1024, 8
LAYER, ROW = 4 * WIDTH * WIDTH, 4 * ROWS * WIDTH  # bytes of a layer's weight, and of an activation
HELD = 4 * ROW  # the step's input, the input of the part at work, and what its layer at work reads and writes


def part(layers):
    return torch.nn.Sequential(*(torch.nn.Linear(WIDTH, WIDTH, bias=False, device="meta") for _ in range(layers)))


def picture(kind, parts, stays=()):
    mover = offload.mover(kind, parts, stays)

    def step(parts, x):
        with torch.no_grad():
            for one in parts:
                with mover.on_card(one):
                    x = one(x)

    return trace(step, parts, meta(ROWS, WIDTH), chip=ADA, repeat=1, prepare=mover.prepare)


def test_offload_keeps_all_parts_the_part_at_work_or_the_layer_at_work():
    parts = [part(1), part(3), part(2)]
    assert most(picture("none", parts)) == 6 * LAYER + HELD
    assert most(picture("model", parts)) == 3 * LAYER + HELD
    assert most(picture("sequential", parts)) == LAYER + HELD
    assert picture("model", parts).live_bytes(events.WEIGHTS) == 2 * LAYER  # the last part stays


def test_what_is_excluded_from_offload_stays_on_the_card():
    parts = [part(1), part(3), part(2)]
    assert most(picture("model", parts, stays=[parts[2]])) == (3 + 2) * LAYER + HELD
    assert most(picture("sequential", parts, stays=[parts[2]])) == (1 + 2) * LAYER + HELD


def test_model_offload_is_that_of_accelerates_own_hooks():
    parts = [part(1), part(3), part(2)]
    sizes = [most(picture("model", parts))]
    hook, previous = None, []
    for one in parts:
        one.to_empty(device="cpu")
        _, hook = accelerate.cpu_offload_with_hook(one, "cuda", prev_module_hook=hook)
        previous.append(hook)

    def step(x):
        with torch.no_grad():
            for one in parts:
                x = one(x)

    sizes.append(most(trace(step, meta(ROWS, WIDTH), chip=ADA, repeat=1)))
    assert sizes[0] == sizes[1] == 3 * LAYER + HELD


def decoded(batch, side, **switches):
    """The most bytes while SD 1.5's decoder turns latents of side × side into pictures, in float16."""
    parts = diffusion_parts.build(Request("sd-1.5", **switches), presets.find("sd-1.5").config)

    def step(vae, latents):
        with torch.no_grad():
            vae.decode(latents, return_dict=False)

    found = trace(step, parts.vae, meta(batch, 4, side, side, dtype=torch.float16), chip=ADA, repeat=1)
    return most(found)


def pixels(count):
    return 2 * 3 * count


def test_slicing_decodes_one_picture_and_keeps_those_that_are_done():
    latent = 2 * 4 * 32 * 32
    one = decoded(1, 32)
    assert decoded(4, 32) - one > 2.5 * (one - decoded(1, 16))  # all at once
    assert decoded(4, 32, slicing=True) == one + 3 * latent + 3 * pixels(256**2)
    assert decoded(1, 32, slicing=True) == one


def test_tiling_decodes_a_tile_and_keeps_those_that_are_done():
    # Tiles of 64 × 64 latents at 0, 48, 96 of 128: the fifth is the last whole one, and before it came three
    # whole ones and one of 64 × 32.
    done = 3 * pixels(512**2) + pixels(512 * 256)
    latents = 2 * 4 * (128**2 - 64**2)
    tile = decoded(1, 64)
    assert decoded(1, 64, tiling=True) == tile
    tiled = decoded(1, 128, tiling=True)
    assert tile + done <= tiled <= tile + done + latents + 2 * 4 * 64**2  # and the tile's own latents, cut out
    assert decoded(1, 128) > 3 * tiled


def allocated(line, chip):
    request = parse(line)
    return builders.traced(request, presets.find(request.model), chip).trace.peak().allocated_bytes / GIB


A10G, A100 = Chip((8, 6), 80), Chip((8, 0), 108)
# GiB of `max_memory_allocated`, for the scripts divide by 1024³: huggingface/diffusers benchmarks/utils.py (SD 1.5),
# huggingface/diffusion-fast and the blog "Exploring simple optimizations for SDXL" (batch 4).
PUBLISHED = [
    ("sd-1.5", A10G, 3.07),
    ("sdxl --dtype fp32", A100, 16.827),
    ("sdxl --dtype fp32 --batch 4", A100, 28.09),
    ("sdxl --dtype fp16 --batch 4", A100, 21.7),
]


@pytest.mark.parametrize(("line", "chip", "published"), PUBLISHED)
def test_published_pictures_take_what_was_measured(line, chip, published):
    assert allocated(line, chip) == pytest.approx(published, rel=0.01)


def test_in_bfloat16_the_published_peak_lies_within_what_cudnn_may_copy_besides():
    request = parse("sdxl --dtype bf16")
    found = builders.traced(request, presets.find("sdxl"), A100).trace
    least = found.peak().allocated_bytes
    assert least < 8.961 * GIB < least + 1.03 * found.uncertain_bytes


def test_sdxl_decodes_in_float32_where_its_weights_are_float16():
    half, brain = (allocated(f"sdxl --dtype {one}", A100) for one in ("fp16", "bf16"))
    vae = 83_653_863  # parameters; in float32 they and the decoder's tensors take twice the bytes
    assert half - brain == pytest.approx((2 * vae / GIB) + 3.75 * 2 * 256 * 1024**2 / GIB, rel=0.05)


def test_the_safety_checker_stays_on_the_card_under_offload():
    checker = 2 * 304_000_000
    both = [
        verdict.plan(parse(f"sd-1.5 --offload {kind}"), where()).allocated_bytes for kind in ("model", "sequential")
    ]
    assert both[0] > 2 * 859_520_964 + checker + WORKSPACE and both[1] > checker


def where():
    return card.target(Request("any", card="RTX 4070 Ti"))

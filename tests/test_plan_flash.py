"""`--attention flash`: the package flash-attn needs what torch's flash kernel needs, and no mask where torch needs one."""

import pytest
from tiny_families import tiny

from course_utils.errors import CourseError
from course_utils.gpu.plan import builders, presets
from course_utils.gpu.plan.request import parse
from course_utils.gpu.planner.events import Alloc
from course_utils.gpu.planner.kernels import Chip

pytest.importorskip("transformers")
pytestmark = pytest.mark.slow

ADA = Chip((8, 9), 60)


def traced(line, preset=None):
    request = parse(line)
    return builders.traced(request, preset or presets.find(request.model), ADA).trace


@pytest.mark.parametrize(
    "line",
    [
        "tinyllama --context 1024",
        "tinyllama --lora --dtype bf16 --seq 512",
        "tinyllama --lora --dtype bf16 --seq 512 --checkpointing",
        "gpt2 --train --amp --seq 256",
        "bert-base --train --amp --batch 2",
    ],
)
def test_without_a_window_it_is_torchs_kernel_to_the_byte(line):
    assert traced(f"{line} --attention flash").peak() == traced(line).peak()


def test_with_a_window_torch_needs_a_mask_and_the_package_none():
    tokens = 600
    line, preset = f"phi-3-mini --context {tokens}", tiny("phi-3-mini", 8)
    masks = [
        [
            one
            for one in traced(f"{line}{more}", preset).events
            if isinstance(one, Alloc) and one.bytes and one.bytes % (tokens - 1) ** 2 == 0
        ]
        for more in ("", " --attention flash")
    ]
    assert masks[0] and not masks[1]


def test_gemma_2_caps_its_scores_inside_the_package():
    line, preset = "gemma-2-2b --context 600", tiny("gemma-2-2b", 8)
    eager, flash = (traced(f"{line}{more}", preset).peak().allocated_bytes for more in ("", " --attention flash"))
    assert eager - flash > 2 * 4 * 599 * 599  # the scores of four heads in 16 bits, at least


def test_qlora_computes_in_the_dtype_of_its_4_bit_layers():
    found = traced("tinyllama --qlora --seq 256 --checkpointing --attention flash")
    assert any(isinstance(one, Alloc) and "flash_attention" in one.op for one in found.events)


def test_float32_is_refused():
    with pytest.raises(CourseError, match="computes in 16 bits: give --dtype bf16 or --amp"):
        traced("gpt2 --train --seq 64 --attention flash")

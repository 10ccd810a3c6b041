"""The data sheets, held against the figures that NVIDIA and Wikipedia print."""

import pytest

from course_utils.gpu import datasheet
from course_utils.gpu.datasheet import SHEETS, find

GIB = 1024**3

# (name, GB, bandwidth GB/s, fp32 TFLOPS) as printed: white papers of GA102 (30), Ada (40) and
# Blackwell (50), product pages, and Wikipedia's list for the rest.
PRINTED = [
    ("3050", 6, 168, 6.774),
    ("3050", 8, 224, 9.098),
    ("3060", 8, 240, 12.74),
    ("3060", 12, 360, 12.74),
    ("3060 Ti", 8, 448, 16.20),
    ("3070", 8, 448, 20.31),
    ("3070 Ti", 8, 608, 21.75),
    ("3080", 10, 760, 29.77),
    ("3080", 12, 912, 30.64),
    ("3080 Ti", 12, 912, 34.10),
    ("3090", 24, 936, 35.58),
    ("3090 Ti", 24, 1008, 40.0),
    ("4060", 8, 272, 15.11),
    ("4060 Ti", 8, 288, 22.06),
    ("4060 Ti", 16, 288, 22.06),
    ("4070", 12, 504, 29.15),
    ("4070 SUPER", 12, 504, 35.48),
    ("4070 Ti", 12, 504, 40.09),
    ("4070 Ti SUPER", 16, 672, 44.10),
    ("4080", 16, 716.8, 48.74),
    ("4080 SUPER", 16, 736, 52.22),
    ("4090", 24, 1008, 82.58),
    ("4090 D", 24, 1008, 73.54),
    ("5050", 8, 320, 13.17),
    ("5060", 8, 448, 19.18),
    ("5060 Ti", 8, 448, 23.70),
    ("5060 Ti", 16, 448, 23.70),
    ("5070", 12, 672, 30.87),
    ("5070 Ti", 16, 896, 43.94),
    ("5080", 16, 960, 56.28),
    ("5090", 32, 1792, 104.8),
    ("4050 Laptop GPU", 6, 192, None),
    ("4060 Laptop GPU", 8, 256, None),
    ("4070 Laptop GPU", 8, 256, None),
    ("4080 Laptop GPU", 12, 432, None),
    ("4090 Laptop GPU", 16, 576, None),
    ("5060 Laptop GPU", 8, 384, None),
    ("5070 Laptop GPU", 8, 384, None),
    ("5070 Ti Laptop GPU", 12, 672, None),
    ("5080 Laptop GPU", 16, 896, None),
    ("5090 Laptop GPU", 24, 896, None),
]
# Dense fp16 on tensor cores with fp32 sums, printed in the white papers.
PRINTED_FP16 = {"3090": 71, "3080": 59.5, "4090": 165.2, "4080": 97.5, "5090": 209.5, "5080": 112.6, "5070": 61.7}


@pytest.mark.parametrize("name, gb, bandwidth, tflops", PRINTED)
def test_bandwidth_and_tflops_are_the_printed_ones(name, gb, bandwidth, tflops):
    sheet = find(f"NVIDIA GeForce RTX {name}", int((gb - 0.3) * GIB))
    assert sheet.memory_gb == gb
    assert sheet.bandwidth_gb_per_s == pytest.approx(bandwidth, rel=0.001)
    assert sheet.fp32_tflops == (tflops and pytest.approx(tflops, rel=0.002))


def test_every_row_is_held_against_a_printed_figure():
    assert {(one.name.removeprefix("NVIDIA GeForce RTX "), one.memory_gb) for one in SHEETS} == {
        (name, gb) for name, gb, *_ in PRINTED
    }


@pytest.mark.parametrize("name", PRINTED_FP16)
def test_tensor_core_tflops_are_the_printed_ones(name):
    sheet = next(one for one in SHEETS if one.name == f"NVIDIA GeForce RTX {name}")
    assert sheet.fp16_tflops == pytest.approx(PRINTED_FP16[name], rel=0.005)


@pytest.mark.parametrize(
    "name, total_gib, gb",
    [
        ("NVIDIA GeForce RTX 3060", 11.76, 12),
        ("NVIDIA GeForce RTX 3060", 7.65, 8),
        ("NVIDIA GeForce RTX 4060 Ti", 15.6, 16),
        ("nvidia geforce rtx 5060 ti", 7.5, 8),
        ("NVIDIA GeForce RTX 4070 Ti", 11.70, 12),
        ("NVIDIA GeForce RTX 4070 Laptop GPU", 7.6, 8),
    ],
)
def test_memory_tells_cards_of_one_name_apart(name, total_gib, gb):
    assert find(name, int(total_gib * GIB)).memory_gb == gb


@pytest.mark.parametrize(
    "name, total_bytes",
    [
        (None, None),
        ("", 12 * GIB),
        ("Tesla T4", 15 * GIB),
        ("NVIDIA GeForce RTX 3060", None),
        ("NVIDIA GeForce RTX 3060", 4 * GIB),
    ],
)
def test_an_unknown_or_ambiguous_card_has_no_sheet(name, total_bytes):
    assert find(name, total_bytes) is None


def test_a_laptop_card_has_no_tflops_of_any_kind():
    sheet = find("NVIDIA GeForce RTX 4070 Laptop GPU", 8 * GIB)
    assert (sheet.fp32_tflops, sheet.fp16_tflops, sheet.tf32_tflops) == (None, None, None)


def test_no_two_rows_share_name_and_memory_and_each_series_has_its_architecture():
    assert len({(one.name, one.memory_gb) for one in SHEETS}) == len(SHEETS)
    series = {"3": datasheet.AMPERE, "4": datasheet.ADA, "5": datasheet.BLACKWELL}
    assert all(one.capability == series[one.name.split("RTX ")[1][0]] for one in SHEETS)

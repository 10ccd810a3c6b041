"""Readings of memory and peaks that nest; psutil and hand arithmetic are the oracles."""

import subprocess
import sys

import psutil
import pytest
from made_up_card import card  # noqa: F401

from course_utils.gpu import memory
from course_utils.gpu.monitor import peaks

MIB = 1024**2


def block(mib):
    """Bytes that are resident: each page is written to."""
    return bytearray(mib * MIB)


def test_resident_ram_is_what_psutil_says():
    now, mark = memory.ram()
    assert now == pytest.approx(psutil.Process().memory_info().rss, abs=MIB)
    assert mark >= now - MIB


def test_without_a_card_all_readings_of_one_are_none():
    found = memory.read()
    assert found.rss_bytes > 0
    assert (found.allocated_bytes, found.reserved_bytes, found.process_bytes, found.others_bytes) == (None,) * 4


def test_the_kernels_mark_stays_up_until_it_is_reset():
    large = block(200)
    del large
    now, mark = memory.ram()
    assert mark > now + 150 * MIB
    assert memory.reset_ram_peak()
    now, mark = memory.ram()
    assert mark < now + 10 * MIB
    assert memory.ram_peak_bytes() == pytest.approx(mark, abs=2 * MIB)


def test_available_ram_is_no_more_than_the_machine_has_free():
    assert 0 < memory.available_ram_bytes() <= psutil.virtual_memory().total


@pytest.mark.parametrize("limit, used, free", [(10, 4, 6), (10, 12, 0), (2**60, 0, None)])
def test_a_control_groups_limit_lowers_what_is_available(monkeypatch, limit, used, free):
    monkeypatch.setattr(memory, "_groups", lambda: [(2**61, 0), (limit, used)])
    found = memory.available_ram_bytes()
    assert found == free if free is not None else found == pytest.approx(psutil.virtual_memory().available, rel=0.2)


def write_group(folder, limit, used, statistics, names):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in zip(names, (limit, used, statistics), strict=True):
        (folder / name).write_text(f"{content}\n")


def test_every_control_group_up_to_the_root_counts_without_pages_that_can_be_dropped(tmp_path):
    names = ("memory.max", "memory.current", "memory.stat")
    write_group(tmp_path / "a" / "b", "max", 5, "inactive_file 1", names)
    write_group(tmp_path / "a", 100, 50, "anon 9\ninactive_file 20", names)
    write_group(tmp_path, 200, 60, "anon 9", names)
    (tmp_path / "mine").write_text("1:cpu:/elsewhere\n0::/a/b\n")
    assert list(memory._groups(tmp_path, tmp_path / "mine")) == [(100, 30), (200, 60)]


def test_control_groups_of_version_1_count_too_and_a_path_from_outside_the_container_does_no_harm(tmp_path):
    names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "memory.stat")
    write_group(tmp_path / "memory", 100, 50, "total_inactive_file 10", names)
    (tmp_path / "mine").write_text("4:memory:/unknown/here\n0::/\n")
    assert list(memory._groups(tmp_path, tmp_path / "mine")) == [(100, 40)]
    assert list(memory._groups(tmp_path, tmp_path / "missing")) == []


def held(mib):
    """Resident bytes of this process while it holds a block, which is freed again.

    The oracle of a peak: what was resident before it is none, for the kernel may drop pages of files in between.
    """
    large = block(mib)
    now = psutil.Process().memory_info().rss
    del large
    return now


def test_an_inner_stretch_neither_loses_nor_inherits_the_outer_peak():
    outer = peaks.begin()
    high = held(200)
    inner = peaks.begin()
    low = held(60)
    peaks.end(inner)
    peaks.end(outer)
    assert high - low > 100 * MIB
    assert outer.rss_bytes == pytest.approx(high, abs=8 * MIB)
    assert inner.rss_bytes == pytest.approx(low, abs=8 * MIB)
    assert peaks.of_process().rss_bytes >= outer.rss_bytes


def test_an_outer_stretch_counts_the_peak_of_an_inner_one():
    outer, inner = peaks.begin(), peaks.begin()
    high = held(150)
    peaks.end(inner)
    later = peaks.begin()
    peaks.end(later)
    peaks.end(outer)
    assert outer.rss_bytes == pytest.approx(high, abs=8 * MIB)
    assert later.rss_bytes < high - 100 * MIB


def test_stretches_may_end_in_any_order():
    first, second = peaks.begin(), peaks.begin()
    peaks.end(first)
    large = block(100)
    del large
    peaks.end(second)
    assert second.rss_bytes - first.rss_bytes > 90 * MIB


def test_peaks_of_a_card_nest_as_well(card):  # noqa: F811
    outer = peaks.begin()
    card.take(900)
    card.give(900)
    inner = peaks.begin()
    card.take(300)
    card.give(200)
    peaks.end(inner)
    peaks.end(outer)
    assert (inner.allocated_bytes, inner.reserved_bytes) == (300, 900)
    assert (outer.allocated_bytes, outer.reserved_bytes) == (900, 900)
    assert card.peak_allocated == 300  # what torch.cuda.max_memory_allocated() says after the inner stretch
    assert peaks.of_process().allocated_bytes == 900


def test_a_card_is_read_with_its_context_and_other_programs(card):  # noqa: F811
    card.take(1000)
    card.give(400)
    found = memory.read()
    assert (found.allocated_bytes, found.reserved_bytes) == (600, 1000)
    assert found.process_bytes == 1000 + card.context_bytes
    assert found.others_bytes == card.others_bytes
    card.hidden = True
    assert memory.read().others_bytes is None


def test_the_peak_of_a_program_is_not_that_of_the_larger_one_which_started_it():
    code = (
        "from course_utils.gpu import memory\n"
        f"before = memory.ram_peak_bytes(); large = bytearray(100 * {MIB}); print(memory.ram_peak_bytes() - before)"
    )
    larger = bytearray(400 * MIB)
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert len(larger) and int(child.stdout) == pytest.approx(100 * MIB, abs=4 * MIB)


REUSE = """
import psutil
import course_utils as course

MIB, process = 1024**2, psutil.Process()

def blocks():
    return [bytearray(4 * MIB) for _ in range(40)]

def hole():
    large = blocks()
    return bytearray(100_000)  # it lies above them in the heap, and keeps their room in this process

for _ in range(3):
    blocks()  # glibc now keeps blocks of this size in its heap
pin = hole()
with course.track("again") as m:
    blocks()
print(m.peak_bytes // MIB)
blocks()
print(process.memory_info().rss // MIB - m.before.rss_bytes // MIB)
"""


def test_a_stretch_sees_blocks_that_lay_free_in_the_heap_and_malloc_keeps_blocks_again_after_it():
    done = subprocess.run([sys.executable, "-c", REUSE], capture_output=True, text=True, check=True)
    risen, kept = map(int, done.stdout.split()[-2:])
    assert risen == pytest.approx(160, abs=8)
    assert kept == pytest.approx(160, abs=8)

"""`track`: peaks against the kernel's own count in another process, places, budgets, errors."""

import mmap
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from made_up_card import card  # noqa: F401

from course_utils.errors import CourseError
from course_utils.gpu import memory, nvml
from course_utils.gpu.device import GIB
from course_utils.gpu.monitor import peaks, spill, track
from course_utils.gpu.oom.free import collect

MIB = 1024**2

SCRIPT = """
import sys, time
from course_utils.gpu.monitor.track import track
with track("script") as m:
    for mib in (100, 400, 50):
        large = bytearray(mib << 20)
        if "quick" not in sys.argv:
            time.sleep(0.05)
        del large
print(m.peak_rss_bytes, m.rss_source, sep=";")
"""
# What GNU time does: it waits for the child and prints the kernel's ru_maxrss of it.
OTHER_TIME = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print("Maximum resident set size (kbytes):", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
"""


@pytest.fixture(autouse=True)
def the_heap_holds_no_ram_that_is_free():
    """What earlier tests freed may lie in the heap as resident RAM, in which a new block would go unseen."""
    collect()


def block(mib):
    """Resident memory straight from the kernel; it goes back when the last name goes."""
    memory_map = mmap.mmap(-1, mib * MIB)
    for place in range(0, len(memory_map), mmap.PAGESIZE):
        memory_map[place] = 1
    return memory_map


@pytest.mark.parametrize("way", ["slow", "quick"])
def test_the_peak_of_a_script_is_within_2_percent_of_what_time_prints(way):
    time_v = [shutil.which("time"), "-v"] if shutil.which("time") else [sys.executable, "-c", OTHER_TIME]
    ran = subprocess.run([*time_v, sys.executable, "-c", SCRIPT, way], capture_output=True, text=True, check=True)
    ours, source = ran.stdout.strip().split(";")
    kernels = int(re.search(r"Maximum resident set size \(kbytes\): (\d+)", ran.stderr)[1]) * 1024
    assert source == "the kernel's high-water mark"
    assert int(ours) == pytest.approx(kernels, rel=0.02)


def test_peak_bytes_is_the_rise_of_resident_ram_on_a_machine_without_a_card():
    with track.track("rise") as m:
        large = bytearray(200 * MIB)
        del large
    assert m.memory == "RAM" and m.peak_allocated_bytes is None
    assert m.peak_bytes == m.peak_rss_bytes - m.before.rss_bytes == pytest.approx(200 * MIB, abs=8 * MIB)
    assert m.after.rss_bytes < m.peak_rss_bytes - 150 * MIB
    assert str(m).startswith("rise: RAM peak") and "above its start" in str(m)


def test_nested_blocks_each_have_their_own_peak():
    with track.track("outer") as outer:
        large = block(200)
        del large
        with track.track("inner") as inner:
            small = block(50)
            del small
    assert inner.peak_bytes == pytest.approx(50 * MIB, abs=8 * MIB)
    assert outer.peak_bytes == pytest.approx(200 * MIB, abs=8 * MIB)


def test_where_the_mark_cannot_be_reset_the_samples_serve_and_it_says_so(monkeypatch):
    monkeypatch.setattr(memory, "reset_ram_peak", lambda: False)
    earlier = bytearray(400 * MIB)
    del earlier
    with track.track("sampled") as m:
        large = bytearray(100 * MIB)
        time.sleep(0.2)
        del large
    assert m.peak_bytes == pytest.approx(100 * MIB, abs=8 * MIB)
    assert m.rss_source == "samples" and "from samples" in str(m)


def test_an_error_passes_through_and_the_results_are_filled_in():
    with pytest.raises(ZeroDivisionError), track.track("broken") as m:
        large = bytearray(100 * MIB)
        1 / len(large[:0])
    assert m.peak_bytes > 90 * MIB and m.seconds >= 0 and m.after is not None
    assert "broken: RAM peak" in str(m)


def test_nothing_is_printed_outside_a_notebook(capsys):
    with track.track("quiet") as m:
        assert str(m) == "quiet: still running" and m.fits is None
    assert capsys.readouterr().out == ""


def test_the_line_of_the_peak_is_named():
    with track.track("lines") as m:
        small = bytearray(20 * MIB)
        time.sleep(0.1)
        large = bytearray(200 * MIB); time.sleep(0.6)  # fmt: skip  # noqa: E702
        del large
        time.sleep(0.1)
    del small
    source = Path(__file__).read_text().splitlines()
    here = next(i for i, line in enumerate(source, 1) if "large = bytearray(200 * MIB); time" in line)
    assert m.line == here and m.where == f"test_track.py line {here}"


def test_a_function_of_the_reader_is_named_with_the_line_that_called_it(tmp_path):
    module = tmp_path / "steps.py"
    module.write_text(f"import time\ndef step():\n    large = bytearray(200 * {MIB})\n    time.sleep(0.6)\n")
    space = {}
    exec(compile(module.read_text(), str(module), "exec"), space)
    with track.track("call") as m:
        space["step"]()
    assert re.fullmatch(r"test_track.py line \d+, in step\(\) \(steps.py line [34]\)", m.where)


@pytest.mark.parametrize("wrong", [0, -1, "11.7", True, float("nan")])
def test_a_budget_that_is_no_positive_number_is_refused(wrong):
    with (
        pytest.raises(CourseError, match="must be a positive number of GiB, such as budget_gib=11.7"),
        track.track("x", budget_gib=wrong),
    ):
        pass


def test_a_budget_is_compared_with_the_rise_of_ram():
    with track.track("tight", budget_gib=0.05) as tight, track.track("wide", budget_gib=1) as wide:
        large = bytearray(100 * MIB)
        del large
    assert tight.fits is False and "OVER the budget of 51.20 MiB (given)" in str(tight)
    assert wide.fits is True and "within the budget of 1.00 GiB" in str(wide)


def test_on_a_card_the_peak_is_torchs_own_and_the_process_adds_its_context(card):  # noqa: F811
    with track.track("outer") as outer:
        card.take(6 * GIB)
        card.give(6 * GIB)
        with track.track("inner", budget_gib=11.7) as inner:
            card.take(2 * GIB)
            assert card.peak_allocated == 2 * GIB
    assert inner.memory == "VRAM"
    assert (inner.peak_bytes, inner.peak_reserved_bytes) == (2 * GIB, 6 * GIB)
    assert inner.peak_process_bytes == 6 * GIB + card.context_bytes == inner.counted_bytes
    assert outer.peak_bytes == 6 * GIB and outer.fits and inner.fits
    assert "2.00 GiB allocated, 6.00 GiB reserved, 6.50 GiB process" in str(inner)


@pytest.mark.skipif(nvml.library() is None, reason="needs a card")
def test_on_a_real_card_the_peak_is_what_torch_says_and_blocks_nest():
    import torch

    with track.track("outer") as outer:
        large = torch.ones(256 * MIB, dtype=torch.uint8, device="cuda")
        del large
        with track.track("inner") as inner:
            small = torch.ones(64 * MIB, dtype=torch.uint8, device="cuda")
            del small
            torchs = torch.cuda.max_memory_allocated()
    assert inner.peak_bytes == torchs
    assert outer.peak_bytes - inner.peak_bytes == 192 * MIB


def test_where_the_driver_hides_processes_the_reserved_memory_counts(card):  # noqa: F811
    card.hidden = True
    with track.track("wsl") as m:
        card.take(2 * GIB)
    assert m.peak_process_bytes is None and m.counted_bytes == 2 * GIB
    assert "n/a process" in str(m)


def test_a_card_that_is_opened_inside_the_block_counts(card, monkeypatch):  # noqa: F811
    opened = []
    monkeypatch.setattr(memory, "cuda", lambda: card if opened else None)
    with track.track("late") as m:
        opened.append(True)
        card.take(3 * GIB)
        card.give(3 * GIB)
    assert m.before.allocated_bytes is None and m.peak_bytes == 3 * GIB
    assert "before 0.0 KiB" in str(m)


def test_a_figure_inside_the_block_is_refused():
    with track.track("early") as m, pytest.raises(CourseError, match="'early' is still running: call plot.. after"):
        m.plot()


def test_a_block_that_is_refused_leaves_no_open_stretch():
    with pytest.raises(CourseError, match="model=list is not a torch.nn.Module"), track.track("x", model=[]):
        pass
    assert peaks._open == []


def test_step_feeds_the_spill_detector():
    with track.track("loop") as m:
        for _ in range(4):
            m.step()
    assert len(m._watch.steps) == 3 and isinstance(m._watch, spill.Watch)


def torch_model():
    import torch
    from torch import nn

    class Wasteful(torch.autograd.Function):
        @staticmethod
        def forward(context, x):
            return x * 1

        @staticmethod
        def backward(context, gradient):
            return gradient * torch.ones(40 * MIB).mean()

    class Wide(nn.Module):
        def forward(self, x):
            return x + torch.ones(40 * MIB).mean()

    class Deep(nn.Module):
        def forward(self, x):
            return Wasteful.apply(x)

    quiet = nn.Linear(8, 8)
    return SimpleNamespace(
        forward=nn.Sequential(quiet, nn.ReLU(inplace=True), Wide(), nn.Linear(8, 8)),
        backward=nn.Sequential(quiet, nn.ReLU(inplace=True), Deep(), nn.ReLU(inplace=True), nn.Linear(8, 8)),
        optimizer=nn.Sequential(nn.Linear(2000, 2000), nn.ReLU(inplace=True)),
    )


@pytest.mark.parametrize(
    "case, place", [("forward", "2 (Wide), forward"), ("backward", "2 (Deep), backward"), ("optimizer", "Adam.step()")]
)
def test_with_a_model_the_module_or_the_optimiser_of_the_peak_is_named(case, place):
    import torch

    model = getattr(torch_model(), case)
    optimizer = torch.optim.Adam(model.parameters())
    x = torch.randn(4, model[0].in_features)
    model(x).sum().backward()  # the libraries' own memory is there before the measurement
    with track.track(case, model=model) as m:
        model(x).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    assert m.where == place


def test_the_hooks_are_gone_afterwards_even_after_an_error():
    import torch
    from torch.optim import optimizer

    model = torch_model().forward
    with pytest.raises(RuntimeError, match="shapes"), track.track("wrong", model=model):
        model(torch.randn(4, 7))
    assert all(not one._forward_hooks and not one._forward_pre_hooks for one in model.modules())
    assert not optimizer._global_optimizer_pre_hooks and not optimizer._global_optimizer_post_hooks


def test_a_graph_that_outlives_the_block_is_not_looked_at_any_more():
    import torch

    model = torch_model().backward
    with track.track("kept graph", model=model) as m:
        loss = model(torch.randn(4, 8)).sum()
    before = m.where
    loss.backward()
    assert m.where == before

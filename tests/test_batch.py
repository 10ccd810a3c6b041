"""`fit_batch_size`: the search by itself, with steps that run out of memory, and with real training under a budget."""

import pytest
from made_up_card import card  # noqa: F401

from course_utils.errors import CourseError
from course_utils.gpu import memory
from course_utils.gpu.device import GIB
from course_utils.gpu.monitor.batch import Fit, Trial, fit_batch_size, foretell, search

MIB = 1024**2


def sizes_tried(largest, start=1, limit=65_536):
    """The sizes that a search tries, in order, where everything up to `largest` fits; and what it finds."""
    tried = []

    def trial(size):
        tried.append(size)
        return Trial(size, size, size <= largest, "")

    curve = search(trial, Trial(start, start, True, ""), limit)
    return tried, max(one.batch_size for one in curve if one.fits)


def test_the_search_finds_the_largest_size_that_fits_in_few_trials():
    for largest in [*range(1, 300), 1000, 4097]:
        tried, found = sizes_tried(largest)
        assert found == largest
        assert len(tried) <= 2 * largest.bit_length() + 1 and len(set(tried)) == len(tried)


def test_it_doubles_then_bisects():
    assert sizes_tried(11, start=2)[0] == [4, 8, 16, 12, 10, 11]


def test_it_never_goes_beyond_the_limit():
    assert sizes_tried(10**9, start=3, limit=20) == ([6, 12, 20], 20)
    assert sizes_tried(10**9, start=8, limit=8) == ([], 8)


def test_where_memory_is_not_monotone_the_answer_was_tried_and_its_neighbour_was_not_enough():
    good = {1, 2, 4, 8, 10, 11, 13, 14, 15, 17, 40}
    tried = {}

    def trial(size):
        tried[size] = Trial(size, size, size in good, "")
        return tried[size]

    curve = search(trial, trial(1), 64)
    found = max(one.batch_size for one in curve if one.fits)
    assert tried[found].fits and not tried[found + 1].fits
    assert [one.batch_size for one in curve] == sorted(tried)


def test_the_next_peak_is_foretold_from_a_constant_and_so_much_an_example():
    assert foretell([], 8) == 0
    assert foretell([(4, 100)], 8) == 200  # no more than in proportion
    assert foretell([(4, 100), (8, 140)], 16) == 140 + 10 * 8
    assert foretell([(8, 140), (4, 100)], 6) == 120
    assert foretell([(4, 100), (8, 90)], 16) == 90  # a falling line is not continued


def torch_error(size):
    import torch

    raise torch.OutOfMemoryError(f"CUDA out of memory. Tried to allocate {size} GiB.")


def cpu_error(size):
    raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")


def numpy_error(size):
    import numpy

    numpy.empty(2**58, dtype=numpy.int8)


@pytest.mark.parametrize("fail", [torch_error, cpu_error, numpy_error])
def test_a_step_that_runs_out_of_memory_marks_its_size_as_too_large(fail):
    calls = []

    def step(size):
        calls.append(size)
        if size > 9:
            fail(size)

    found = fit_batch_size(step, start=8, limit=12, budget_gib=4)
    assert found.batch_size == 9 and found.memory == "RAM"
    assert calls == [8, 8, 12, 10, 9, 9]  # two steps at each size that fits
    failed = [one for one in found.curve if not one.fits]
    assert [(one.batch_size, one.peak_bytes, one.outcome) for one in failed] == [
        (10, None, "out of memory"),
        (12, None, "out of memory"),
    ]


def test_what_a_failed_step_held_is_gone_before_the_next_size():
    import weakref

    import torch

    held, alive = [], []

    def step(size):
        alive.append(sum(one() is not None for one in held))
        tensor = torch.ones(size, MIB)
        held.append(weakref.ref(tensor))
        if size > 4:
            torch_error(size)

    assert fit_batch_size(step, start=4, limit=8, budget_gib=4).batch_size == 4
    assert max(alive) == 0


def test_an_error_of_another_kind_passes_through():
    with pytest.raises(RuntimeError, match="shapes do not match"):
        fit_batch_size(lambda size: (_ for _ in ()).throw(RuntimeError("shapes do not match")), budget_gib=1)


def test_where_the_first_size_fails_it_says_what_to_do():
    with pytest.raises(CourseError, match="Batch size 8 does not fit .* out of memory. Start smaller, such as start=1"):
        fit_batch_size(cpu_error, start=8, budget_gib=1)
    with pytest.raises(CourseError, match="over the budget with a peak of .* Use a smaller model or input"):
        fit_batch_size(lambda size: bytearray(200 * MIB) and None, budget_gib=0.05)


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"start": 0}, "start=0 must be a whole number from 1"),
        ({"start": 2.0}, "start=2.0 must be a whole number"),
        ({"start": True}, "start=True must be a whole number"),
        ({"limit": 0}, "limit=0 must be a whole number"),
        ({"start": 8, "limit": 4}, "limit=4 is below start=8"),
        ({"budget_gib": 0}, "budget_gib=0 must be a positive number of GiB"),
    ],
)
def test_wrong_arguments_are_refused_before_the_first_step(arguments, words):
    with pytest.raises(CourseError, match=words):
        fit_batch_size(lambda size: pytest.fail("a step was run"), **arguments)
    with pytest.raises(CourseError, match="step=3 is not a function"):
        fit_batch_size(3)


def test_a_size_that_would_take_nearly_all_ram_is_not_tried(monkeypatch):
    monkeypatch.setattr(memory, "available_ram_bytes", lambda: 100 * MIB)

    def step(size):
        assert size < 32
        return bytearray(4 * size * MIB) and None

    found = fit_batch_size(step, start=8, limit=32, budget_gib=4)
    assert 17 <= found.batch_size <= 23  # 0.9 x 100 MiB / 4 MiB
    assert any(one.outcome.startswith("not tried") for one in found.curve)


@pytest.fixture
def training():
    """A real training step of an MLP with Adam; its activations are 0.4 MB an example and more."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 50_000), nn.ReLU(), nn.Linear(50_000, 4))
    optimizer = torch.optim.Adam(model.parameters())

    def step(size):
        loss = model(torch.randn(size, 16)).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


@pytest.mark.slow
def test_real_training_stays_within_its_budget_and_its_memory_grows_in_a_line(training):
    found = fit_batch_size(training, start=64, limit=128, budget_gib=0.075)
    fitting = {one.batch_size: one.peak_bytes for one in found.curve if one.fits}
    failing = {one.batch_size: one.peak_bytes for one in found.curve if not one.fits}
    assert max(fitting.values()) <= found.budget_bytes == int(0.075 * GIB) < min(failing.values())
    assert max(fitting) + 1 in failing
    # An example needs its activation, its ReLU and a gradient of one of them: 3 x 50,000 x 4 bytes.
    each = (failing[128] - fitting[64]) / 64
    assert each == pytest.approx(600_000, rel=0.1)


def test_the_figure_has_every_size_and_the_budget(training):
    from matplotlib import pyplot

    curve = (
        Trial(1, GIB, True, "fits"),
        Trial(2, 3 * GIB, False, "over the budget"),
        Trial(4, None, False, "out of memory"),
    )
    fit = Fit(1, 2 * GIB, "given", "VRAM", curve)
    figure = fit.plot()
    axes = figure.axes[0]
    drawn = {line.get_label(): list(line.get_xdata()) for line in axes.get_lines()}
    pyplot.close(figure)
    assert axes.get_ylabel() == "peak VRAM (GiB)"
    assert drawn["fits"] == [1] and drawn["over the budget"] == [2] and drawn["out of memory or not tried"] == [4]
    assert "too large: 2, 4" in fit.alt and "1.00 GiB at batch 1" in fit.alt
    assert "n/a  out of memory" in str(fit)


def test_on_a_card_the_allocator_is_held_to_the_budget_while_it_searches(card):  # noqa: F811
    held = []

    def step(size):
        held.append(card.fraction)
        try:
            card.take(size * GIB)
        finally:
            card.give(min(card.allocated, size * GIB))

    found = fit_batch_size(step, start=4, budget_gib=11.7)
    assert found.memory == "VRAM" and found.batch_size == 11  # 11 GiB and a context of 0.5 GiB
    assert held == [pytest.approx(11.2 / 80)] * len(held) and card.fraction == 1.0
    peaks = {one.batch_size: one.peak_bytes for one in found.curve}
    assert peaks[8] == 8 * GIB + card.context_bytes and peaks[12] is None


def test_with_a_precision_the_search_stops_early_and_still_fits():
    tried = []

    def trial(size):
        tried.append(size)
        return Trial(size, size, size <= 9_000, "")

    curve = search(trial, trial(1_000), 100_000, precision=0.02)
    answer = max(one.batch_size for one in curve if one.fits)
    assert 9_000 / 1.02 <= answer <= 9_000 and len(tried) <= 12


@pytest.mark.parametrize("precision", [-0.1, 1, "2 %"])
def test_a_precision_that_is_no_share_is_refused(precision):
    with pytest.raises(CourseError, match="precision=.* must be a share from 0 to below 1"):
        fit_batch_size(lambda size: None, precision=precision)

"""The timeline: bounded memory, its share of a core, the place of a rise, and the figure."""

import time

import pytest
from made_up_card import card  # noqa: F401

from course_utils.gpu.device import GIB
from course_utils.gpu.monitor import places, timeline, timeline_plot, track
from course_utils.gpu.monitor.timeline import High, Sample, Timeline

MIB = 1024**2


def ram_sample(seconds, rss):
    return Sample(seconds, rss, None, None, None, None)


def test_a_long_run_keeps_few_samples_and_every_peak():
    kept = Timeline()
    for i in range(100_000):
        kept._keep(ram_sample(i, 7_000 if i == 54_321 else i % 100))
    assert timeline.MOST_SAMPLES / 2 <= len(kept.samples) <= timeline.MOST_SAMPLES
    assert max(one.rss_bytes for one in kept.samples) == 7_000
    seconds = [one.seconds for one in kept.samples]
    assert seconds == sorted(seconds) and seconds[-1] > 99_000


def test_of_two_samples_the_higher_one_stays():
    samples = [ram_sample(i, rss) for i, rss in enumerate([1, 5, 4, 2, 3])]
    assert [one.rss_bytes for one in timeline.thin(samples)] == [5, 4, 3]


@pytest.mark.parametrize(
    "elapsed, spent, pause",
    [
        (0.01, 0.0, 0.005),  # a short block: often
        (0.5, 0.001, 0.01),
        (60.0, 0.1, 0.05),  # 0.17 % of a core
        (10.0, 0.058, 4.0),  # 0.6 %: wait until 0.058 - 0.002 s are 0.4 % of the time, at 14 s
    ],
)
def test_the_thread_waits_until_it_is_within_its_share(elapsed, spent, pause):
    assert timeline.next_pause(elapsed, spent) == pytest.approx(pause)


def test_samples_follow_what_a_block_takes():
    seen = Timeline()
    seen.start()
    large = bytearray(150 * MIB)
    time.sleep(0.2)
    del large
    seen.stop()
    levels = [one.rss_bytes for one in seen.samples]
    assert max(levels) - levels[0] == pytest.approx(150 * MIB, abs=8 * MIB)
    assert levels[-1] < max(levels) - 140 * MIB


def high(*looks):
    found = High(100)
    for current, mark, place in looks:
        found.see(current, mark, place)
    return found.level_bytes, found.before, found.after, found.standing


def test_a_rise_that_still_stands_is_where_it_was_seen():
    assert high((100, 100, None), (300, 300, "a"), (300, 300, "b")) == (300, None, "a", True)


def test_a_rise_that_came_and_went_lies_between_two_looks():
    assert high((100, 100, "a"), (120, 300, "b")) == (300, "a", "b", False)


def test_a_rise_after_the_last_look_is_after_it():
    assert high((100, 100, "a"), (100, 300, None)) == (300, "a", None, False)


def test_a_rise_of_less_than_half_a_percent_does_not_move_the_place():
    assert high((300, 300, "a"), (301, 301, "b"))[:3] == (300, None, "a")


@pytest.mark.parametrize(
    "found, text, line",
    [
        (High(9), None, None),
        (High(9, None, places.Place("f.py", 4)), "f.py line 4", 4),
        (High(9, places.Place("f.py", 3), None), "or after f.py line 3", 3),
        (High(9, places.Place("f.py", 3), places.Place("f.py", 4), False), "between f.py line 3 and f.py line 4", 4),
    ],
)
def test_places_in_words(found, text, line):
    assert track._words(found, "f.py") == (text, line)


def test_python_and_installed_packages_are_not_the_readers_code():
    import json

    import matplotlib

    assert places.is_users(__file__)
    assert not any(places.is_users(one) for one in (json.__file__, matplotlib.__file__, places.__file__))


def card_sample(seconds, allocated, reserved, process, used):
    return Sample(
        seconds, 1, *(None if one is None else int(one * GIB) for one in (allocated, reserved, process, used))
    )


def layers(*samples):
    return {name: [round(one / GIB, 2) for one in values] for name, values in timeline_plot.stack(samples)[1].items()}


def test_the_layers_of_a_card_add_up_to_what_the_driver_says():
    found = layers(card_sample(0, 2, 3, 3.5, 5), card_sample(1, 1, 3, 3.5, 6))
    assert found == {
        "live tensors (allocated)": [2, 1],
        "torch's cache": [1, 2],
        "CUDA context": [0.5, 0.5],
        "other programs": [1.5, 2.5],
    }


def test_a_hidden_process_joins_its_context_with_other_programs():
    found = layers(card_sample(0, 2, 3, None, 5))
    assert found == {"live tensors (allocated)": [2], "torch's cache": [1], "CUDA context and other programs": [2]}


def test_without_a_driver_only_torchs_own_layers_are_drawn():
    assert list(layers(card_sample(0, 2, 3, None, None))) == ["live tensors (allocated)", "torch's cache"]


def test_a_card_opened_in_the_middle_starts_at_zero():
    assert layers(card_sample(0, None, None, None, 1), card_sample(1, 2, 2, 2.5, 3.5)) == {
        "live tensors (allocated)": [0, 2],
        "torch's cache": [0, 0],
        "CUDA context": [0, 0.5],
        "other programs": [1, 1],
    }


def drawn(m):
    from matplotlib import pyplot

    figure = m.plot()
    axes = figure.axes[0]
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    lines = [line.get_ydata()[0] for line in axes.get_lines() if len(line.get_ydata())]
    pyplot.close(figure)
    return axes, names, lines


def test_the_figure_of_ram_is_labelled_ram_and_draws_the_budget_above_the_start():
    with track.track("training", budget_gib=0.2) as m:
        large = bytearray(150 * MIB)
        time.sleep(0.1)
        del large
    axes, names, lines = drawn(m)
    assert axes.get_ylabel() == "RAM (GiB)" and axes.get_title() == "training"
    assert names == ["budget 204.80 MiB (given)", "resident RAM of this process"]
    assert lines == [pytest.approx((m.before.rss_bytes + 0.2 * GIB) / GIB, abs=1e-6)]
    assert "Resident RAM over" in m.alt and "within the budget of 204.80 MiB" in m.alt


def test_a_budget_far_above_is_named_and_not_drawn():
    with track.track("small", budget_gib=500) as m:
        pass
    _, names, lines = drawn(m)
    assert "above the picture" in names[0] and lines == []


def test_the_figure_of_a_card_stacks_its_layers_in_words_too(card):  # noqa: F811
    with track.track("training", budget_gib=11.7) as m:
        card.take(9 * GIB)
    axes, names, lines = drawn(m)
    assert axes.get_ylabel() == "VRAM (GiB)" and lines == [pytest.approx(11.7)]
    assert names[1:] == ["other programs", "CUDA context", "torch's cache", "live tensors (allocated)"]
    assert "peaks at 9.00 GiB" in m.alt

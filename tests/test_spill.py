"""The spill detector: slow steps *and* a full card, on made-up series."""

import pytest

from course_utils.gpu import nvml
from course_utils.gpu.monitor import spill
from course_utils.gpu.monitor.spill import Step, slowdown

FAST, SLOW = 0.1, 0.5


def steps(*runs):
    """Steps from (how many, seconds, free share)."""
    return [Step(seconds, free) for count, seconds, free in runs for _ in range(count)]


@pytest.mark.parametrize(
    "series, found",
    [
        (steps((20, FAST, 0.01), (5, SLOW, 0.0)), 5),  # spilled
        (steps((20, FAST, 0.3), (5, SLOW, 0.01)), 5),  # filled up on the way
        (steps((20, FAST, 0.3), (5, SLOW, 0.3)), None),  # slow for another reason
        (steps((25, FAST, 0.0)), None),  # full, and as fast as ever
        (steps((20, FAST, 0.0), (5, 2 * FAST, 0.0)), None),  # exactly twice as slow is not more
        (steps((20, FAST, 0.0), (2, SLOW, 0.0)), None),  # two hiccups
        (steps((20, FAST, 0.0), (5, SLOW, 0.0), (5, FAST, 0.0)), None),  # over again
        (steps((20, FAST, None), (5, SLOW, None)), None),  # no driver answers
        (steps((2, 9.0, 0.0), (20, FAST, 0.0), (5, SLOW, 0.0)), 5),  # a slow warm-up hides nothing
        (steps((2, FAST, 0.0), (25, SLOW, 0.0)), None),  # slow from the start: nothing to compare with
        (steps((6, FAST, 0.0), (5, SLOW, 0.0)), None),  # four steps before are too few
        ([], None),
    ],
)
def test_only_slow_steps_on_a_full_card_are_a_spill(series, found):
    assert slowdown(series) == (None if found is None else pytest.approx(found))


def test_one_outlier_among_the_recent_steps_changes_nothing():
    series = steps((20, FAST, 0.0), (4, SLOW, 0.0)) + [Step(60.0, 0.0)]
    assert slowdown(series) == pytest.approx(5)


class Clock:
    """Seconds that the test moves on."""

    now = 0.0

    def __call__(self):
        return self.now


def watched(series):
    """Run made-up step seconds on a full card through a `Watch`; gives the watch."""
    clock = Clock()
    watch = spill.Watch(clock=clock, free_share=lambda: 0.001)
    watch.step()
    for seconds in series:
        clock.now += seconds
        watch.step()
    return watch


def test_the_warning_comes_once_and_says_what_to_switch_off():
    with pytest.warns(spill.SpillWarning) as caught:
        watched([1.0] * 20 + [5.0] * 30)
    assert len(caught) == 1
    said = str(caught[0].message)
    assert '"CUDA - Sysmem Fallback Policy"' in said and '"Prefer No Sysmem Fallback"' in said
    assert "546.01" in said and "NVIDIA Control Panel" in said


def test_a_million_steps_are_not_kept():
    watch = watched([1.0] * 3000)
    assert len(watch.steps) == 400


def test_the_driver_is_asked_at_most_four_times_a_second():
    asked, clock = [], Clock()
    watch = spill.Watch(clock=clock, free_share=lambda: asked.append(1) or 0.5)
    for _ in range(1000):
        watch.step()
        clock.now += 0.001
    assert len(asked) == 4


def test_without_a_driver_the_share_is_unknown_and_nothing_is_warned():
    assert spill.card_free_share() is None
    watch = spill.Watch()
    for _ in range(30):
        watch.step()


def test_the_share_that_is_free_is_of_the_cards_own_memory(monkeypatch):
    monkeypatch.setattr(nvml, "memory", lambda: nvml.Memory(1000, 990, 10))
    assert spill.card_free_share() == 0.01

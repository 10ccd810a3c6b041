"""The budget and the cap, by hand arithmetic; with a made-up card, and with none."""

import pytest
from made_up_card import card  # noqa: F401

from course_utils.errors import CourseError
from course_utils.gpu import cap, memory, nvml
from course_utils.gpu.device import GIB


@pytest.fixture(autouse=True)
def lifted(monkeypatch):
    monkeypatch.setattr(cap, "_current", None)


def test_twelve_gigabytes_are_11_70_less_the_context_and_the_desktop():
    made = cap.plan(12, 0.8, 80 * GIB, GIB // 2)
    assert made.visible_bytes == int(11.70 * GIB)
    assert made.budget_bytes / GIB == pytest.approx(10.90)
    assert made.allocator_bytes / GIB == pytest.approx(10.40)
    assert (made.context_bytes, made.desktop_bytes, made.capped) == (GIB // 2, int(0.8 * GIB), True)
    assert "Engines other than torch are not capped" in str(made)


def test_a_context_that_cannot_be_measured_is_said_and_not_taken_off():
    made = cap.plan(12, 0.8, 80 * GIB, None)
    assert made.context_bytes is None and made.allocator_bytes == made.budget_bytes
    assert "context: n/a, nothing taken off" in str(made)


def test_a_card_of_the_same_size_keeps_what_it_has():
    assert cap.plan(12, 0.8, int(11.63 * GIB), 0).visible_bytes == int(11.63 * GIB)
    assert cap.plan(12, 0.8, int(11.75 * GIB), 0).visible_bytes == int(11.70 * GIB)


def test_every_known_size_is_a_little_below_its_name():
    assert all(0.93 < visible / nominal < 1 for nominal, visible in cap.VISIBLE_GIB.items())


@pytest.mark.parametrize(
    "gb, desktop_gib, total, words",
    [
        (16, 0.8, 11.7, "needs a card of 16 GB or more, and this one has 11.70 GiB"),
        (13, 0.8, 80, r"cap\(13\): no card of that size was measured. Give one of 6, 8, 10, 12"),
        ("12", 0.8, 80, "no card of that size"),
        (12, 12, 80, "desktop_gib=12 must lie between 0"),
        (12, -1, 80, "desktop_gib=-1 must lie between 0"),
    ],
)
def test_a_size_that_cannot_be_had_is_refused(gb, desktop_gib, total, words):
    with pytest.raises(CourseError, match=words):
        cap.plan(gb, desktop_gib, int(total * GIB), 0)


def test_without_a_card_one_line_says_so_and_the_budget_is_still_the_cards(capsys):
    made = cap.cap(12)
    said = capsys.readouterr().out
    assert said.count("\n") == 1 and "No card here, so there is nothing to cap" in said
    assert not made.capped and made.context_bytes is None
    assert cap.current() is made and cap.budget_bytes() == made.budget_bytes == int(11.70 * GIB) - int(0.8 * GIB)
    assert cap.cap(None) is None and cap.budget().reason == "available RAM"


def test_without_a_cap_the_budget_is_the_ram_that_is_available():
    assert cap.budget_bytes() == pytest.approx(memory.available_ram_bytes(), rel=0.2)


def opened(monkeypatch, card):  # noqa: F811
    monkeypatch.setattr(cap, "_open_card", lambda: card)
    monkeypatch.setattr(cap, "context_bytes", lambda: card.context_bytes)


def test_on_a_card_torchs_allocator_is_held_to_its_share(card, monkeypatch, capsys):  # noqa: F811
    opened(monkeypatch, card)
    assert cap.budget() == cap.Budget(80 * GIB, "the card")
    made = cap.cap(12)
    assert card.fraction * card.total_bytes == pytest.approx(made.allocator_bytes, abs=1)
    with pytest.raises(RuntimeError, match="out of memory"):
        card.take(made.allocator_bytes + 2)
    card.take(made.allocator_bytes - 1)
    assert memory.process_bytes() <= cap.budget_bytes()
    cap.cap(None)
    assert card.fraction == 1.0 and cap.budget_bytes() == card.total_bytes


def test_a_cap_below_what_torch_holds_already_is_refused(card, monkeypatch):  # noqa: F811
    opened(monkeypatch, card)
    card.take(20 * GIB)
    with pytest.raises(CourseError, match="it holds 20.00 GiB already. Restart the kernel"):
        cap.cap(12)
    assert cap.current() is None and card.fraction == 1.0


def test_a_driver_that_answers_before_torch_gives_the_whole_card(monkeypatch):
    monkeypatch.setattr(nvml, "memory", lambda: nvml.Memory(12 * GIB, GIB, 11 * GIB))
    assert cap.budget_bytes() == 12 * GIB

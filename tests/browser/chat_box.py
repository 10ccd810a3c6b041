"""Week 07's chat box in a real browser."""

import time


def page_of(tab):
    return tab.locator(".jp-OutputArea textarea").last.input_value()


def grown(tab, beyond, seconds=30):
    """The page's text once it is longer than `beyond`, or as it is when the time is over."""
    until = time.time() + seconds
    while len(page_of(tab)) <= beyond and time.time() < until:
        time.sleep(0.1)
    return page_of(tab)


def streams_and_stops(tab):
    """An answer comes piece by piece, and Stop ends it."""
    line = tab.locator("input[placeholder='Ask something, then Enter']")
    line.fill("Write a long story about a fox, a river and a bridge.")
    line.press("Enter")
    first = grown(tab, len("you: Write a long story about a fox, a river and a bridge.\nmodel: "))
    assert first.startswith("you: Write a long story") and "model: " in first
    second = grown(tab, len(first))
    assert len(second) > len(first)  # piece by piece, not all at once

    tab.get_by_role("button", name="Stop", exact=True).last.click()
    time.sleep(2)
    stopped = page_of(tab)
    time.sleep(2)
    assert page_of(tab) == stopped
    assert len(stopped) < 900  # the 300 tokens that are allowed make about 1,300 letters

"""`report.html` in a real browser: on a telephone, in the dark and on paper."""

import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1]))
import jupyterlab
from test_report import failed_copy, printed_output, report, trace

from course_utils.run.files import write
from course_utils.run.report import Row, write_json

COLOURS = """() => [...document.querySelectorAll("p, td, th, h2, h3, h4, pre, span, li")]
    .filter(one => one.innerText && one.offsetWidth)
    .map(one => {
        let behind = one;
        while (behind && getComputedStyle(behind).backgroundColor === "rgba(0, 0, 0, 0)") behind = behind.parentElement;
        return [getComputedStyle(one).color, getComputedStyle(behind).backgroundColor, one.innerText];
    })"""


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A page with everything that a report can hold, all of it long."""
    folder = tmp_path_factory.mktemp("runs")
    now, before = folder / "now", folder / "before"
    now.mkdir()
    before.mkdir()
    word = "unbroken" * 30
    metrics = {f"a_metric_with_{word}": {"value": 1.0, "unit": word, "low": 0.0, "high": 2.0, "machine": False}}
    passed = Row("week02", f"A title {word}", "n.ipynb", "passed", None, metrics, 20.0, 2**30, "smoke")
    wait = Row("week03", "Waits", "n.ipynb", "stopped", warnings=(word,))
    failed = failed_copy(now, printed_output(word, "\n" * 30), trace(f"\x1b[31m{word}"))
    old = report(before, replace(passed, seconds=5.0))
    write_json(replace(old, started="2025-01-01T00:00:00+00:00"))
    write(report(now, failed, passed, wait))
    return (now / "report.html").as_uri()


def luminance(colour):
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_a_telephone_shows_the_page_without_scrolling_sideways(address):
    with jupyterlab.page(address, width=400) as tab:
        tab.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        assert tab.evaluate("document.documentElement.scrollWidth") <= 400


@pytest.mark.parametrize("dark", [False, True])
def test_every_text_can_be_read_in_either_light(address, dark):
    with jupyterlab.page(address, dark=dark) as tab:
        tab.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        texts = tab.evaluate(COLOURS)
        assert (luminance(tab.evaluate("getComputedStyle(document.body).backgroundColor")) < 0.5) is dark
    assert len(texts) > 30
    assert [text for ink, paper, text in texts if contrast(ink, paper) < 4.5] == []


def test_paper_shows_dark_letters_on_white_and_what_is_folded_on_the_screen(address):
    with jupyterlab.page(address, dark=True) as tab:
        assert not tab.get_by_text("a_metric_with").is_visible()
        tab.emulate_media(media="print")
        assert tab.get_by_text("a_metric_with").is_visible()
        assert luminance(tab.evaluate("getComputedStyle(document.querySelector('p')).color")) < 0.1
        assert luminance(tab.evaluate("getComputedStyle(document.body).backgroundColor")) > 0.9

"""The book in a real browser: every page of a tiny one, and that the checks notice what is wrong."""

import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
import book_maker

from course_utils.book import browser, trial


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    """The folder of a tiny site, which is made once."""
    folder = tmp_path_factory.mktemp("course")
    with pytest.MonkeyPatch.context() as patch:
        assert book_maker.site(folder, patch, folder / "book") == []
    return folder / "book"


def only(book, folder, name="notebooks/week01_one.html"):
    """A copy of the site with one page, to be broken."""
    site = shutil.copytree(book, folder / "site")
    for page in site.rglob("*.html"):
        if page != site / name:
            page.unlink()
    return site, site / name


def told(site):
    return [one.what for visit in browser.visit(site) for one in visit.faults]


def test_every_page_loads_fits_a_telephone_prints_and_can_be_read_in_both_themes(book):
    visits = browser.visit(book)
    assert len(visits) == 14 and [str(one) for visit in visits for one in visit.faults] == []
    slowest = max(visits, key=lambda one: one.milliseconds)
    print(f"{slowest.page} took longest to load: {slowest.milliseconds:.0f} ms")
    assert next(one for one in visits if one.page == "index.html").bytes <= 1_000_000


def test_a_reader_can_answer_the_quiz_search_and_switch_to_dark(book):
    assert trial.run(book) == []


def test_faults_in_a_page_are_noticed(book, tmp_path):
    site, page = only(book, tmp_path)
    bad = """<script>throw new Error("broken")</script><script src="gone.js"></script>
        <img src="http://127.0.0.2:9/a.png" alt="x" width="1" height="1">
        <div style="width: 900px">wide</div><p style="color: #bbb; background: #ccc">pale</p>"""
    page.write_text(page.read_text().replace("<section ", bad + "<section ", 1))
    faults = " | ".join(told(site))
    for words in ("script: broken", "gone.js was answered with 404", "asks another server for http://127.0.0.2:9"):
        assert words in faults, faults
    assert "pixels wide on a telephone of 400" in faults and "color-contrast" in faults, faults


def test_a_page_that_moves_while_it_loads_and_prints_its_sidebar_is_noticed(book, tmp_path):
    site, page = only(book, tmp_path)
    late = """<style>@media print { .bd-sidebar-primary { display: block !important; } }</style><div id="late"></div>
        <script>setInterval(() => { late.style.height = late.style.height ? "" : "700px" }, 30)</script>"""
    page.write_text(page.read_text().replace("<section ", late + "<section ", 1))
    faults = " | ".join(told(site))
    assert "its layout shifts by" in faults and "prints its sidebar" in faults, faults


def test_a_quiz_that_says_nothing_and_a_search_that_finds_nothing_are_noticed(book, tmp_path):
    site = shutil.copytree(book, tmp_path / "site")
    (site / "_static" / "course.js").write_text("")
    index = site / "searchindex.js"
    index.write_text(
        'Search.setIndex({"docnames":[],"filenames":[],"titles":[],"terms":{},"titleterms":{},"alltitles":{},"objects":{},"objnames":{},"objtypes":{},"indexentries":{}})'
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trial, "TIMEOUT_MS", 3000)
        words = [one.what for one in trial.run(site)]
    assert any("does not say why" in one for one in words) and any("finds nothing" in one for one in words)

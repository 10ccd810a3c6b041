"""`course handout`: a plan that adds up, a page that needs nothing else, and what is on it."""

import re
from dataclasses import dataclass
from html.parser import HTMLParser

import pytest

from course_utils.errors import CourseError
from course_utils.learn import catalog, passport
from course_utils.learn.catalog import exercises_of, lessons
from course_utils.teach import formula, handout, slides, timing

LESSONS = lessons()


@dataclass(frozen=True)
class Drill:
    """As much of an exercise as a plan needs."""

    id: str
    minutes: int


def total(plan):
    return sum(part.minutes for part in plan.parts)


def test_the_parts_add_up_to_the_class_and_follow_one_another():
    sections = [
        ("Hook", 50, []),
        ("A", 400, [Drill("a", 20)]),
        ("B", 300, [Drill("b", 30)]),
        ("C", 250, [Drill("c", 10)]),
    ]
    plan = timing.plan(sections)
    assert total(plan) == 90
    assert [part.start for part in plan.parts] == [
        sum(one.minutes for one in plan.parts[:n]) for n in range(len(plan.parts))
    ]
    assert [part.exercise for part in plan.parts if part.exercise] == ["a", "c"]  # b would make it more than half
    assert plan.home == ("b",)
    assert {part.title: part.minutes for part in plan.parts if not part.exercise}["A"] == 2 + round(44 * 0.4)


def test_a_short_section_is_left_for_home_unless_it_comes_first_or_has_an_exercise():
    sections = [("Hook", 1, []), ("Long", 5000, []), ("Note", 5, []), ("Drill", 5, [Drill("d", 10)])]
    plan = timing.plan(sections)
    assert total(plan) == 90 and plan.home == ("Note",)
    assert [part.title for part in plan.parts if part.title in ("Hook", "Drill") and not part.exercise] == [
        "Hook",
        "Drill",
    ]


class Page(HTMLParser):
    """What a page loads from elsewhere, and its text."""

    def __init__(self):
        super().__init__()
        self.loaded, self.text = [], ""

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        if tag in ("script", "link", "iframe", "base"):
            self.loaded.append(tag)
        self.loaded += [
            found["src"] for _ in range("src" in found) if not found["src"].startswith("data:image/svg+xml;base64,")
        ]

    def handle_data(self, data):
        self.text += data


def read(html):
    page = Page()
    page.feed(html)
    return page


def as_read(words):
    """What a page shows of words with `code` and *emphasis*; a star in code stays."""
    pieces = enumerate(words.split("`"))
    return "".join(piece if place % 2 else re.sub(r"\*(\w[^*]*)\*", r"\1", piece) for place, piece in pieces)


@pytest.mark.parametrize("lesson", LESSONS, ids=[one.id for one in LESSONS])
def test_every_lesson_has_a_page_that_needs_nothing_else(lesson):
    page = read(handout.render(lesson))
    assert page.loaded == []
    minutes = page.text.partition("fromminutes")[2].partition("Rubric")[0]
    starts = [int(hour) * 60 + int(minute) for hour, minute in re.findall(r"\b(\d):(\d\d)", minutes)]
    assert starts[0] == 0 and starts[-1] == 85 and starts == sorted(set(starts))
    for exercise in exercises_of(lesson.id).values():
        assert page.text.count(exercise.id) >= 3  # plan, rubric, mistakes
        for mistake in exercise.mistakes:
            assert as_read(mistake.message) in page.text
    for objective in passport.read(lesson.path).objectives:
        assert re.sub(r"[`*]|\$.*?\$", "", objective) in page.text or "$" in objective
    assert "raise NotImplementedError" not in page.text


@pytest.mark.slow
def test_every_formula_of_the_slides_can_be_drawn():
    for lesson in LESSONS:
        assert not re.search(r"\\[a-z]+", read(handout.render(lesson)).text.replace("\\n", "")), lesson.id


@pytest.mark.parametrize(
    "tex", [r"\tfrac12", r"\frac1n \sum_i x_i", r"\sqrt d", r"p \ge t", r"\Big(x\Big)", r"\mathcal N"]
)
def test_what_matplotlib_spells_otherwise_is_drawn_all_the_same(tex):
    assert formula.drawn(f"a ${tex}$ b").startswith('a <img class="math inline"')


def test_what_cannot_be_drawn_stays_as_it_is_written():
    assert formula.drawn(r"$\nonsense{&lt;b&gt;}$") == r"<code>\nonsense{&lt;b&gt;}</code>"


def section(*cells):
    return slides.Section("T", tuple({"cell_type": kind, "source": text} for kind, text in cells))


def test_a_slide_takes_the_first_sentences_and_the_first_short_code():
    made = slides.slide(
        section(
            ("markdown", "- a list\n\nOne. Two `x`.  Three.\n\n$$a$$\n\n### Exercise\n\nNot this."),
            ("code", "\n".join(["long"] * 13)),
            ("code", "def my_f():\n    raise NotImplementedError"),
            ("code", "x = '<b>'"),
        )
    )
    assert made.text == "One. Two <code>x</code>." and made.code == "x = '<b>'"
    assert "math display" in made.formula


def test_a_page_is_written_once_and_a_wrong_name_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert handout.write("week01").startswith("week01.html: ")
    with pytest.raises(CourseError, match="week01.html exists. Choose another --out"):
        handout.write("week01")
    with pytest.raises(CourseError, match="There is no lesson 'weak01'"):
        handout.write("weak01")
    with pytest.raises(CourseError, match="There is no folder .*nowhere. Make it first"):
        handout.write("week01", tmp_path / "nowhere" / "a.html")
    assert [one.name for one in tmp_path.iterdir()] == ["week01.html"]


def test_a_notebook_of_ones_own_can_have_a_page(tmp_path):
    lesson = catalog.resolve("week01")
    own = tmp_path / "week01_mine.ipynb"
    own.write_bytes(lesson.path.read_bytes())
    assert "week01.rmse" in handout.render(catalog.resolve(str(own)))

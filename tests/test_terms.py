"""The glossary, and the rule that no term is used before it is introduced, on made-up lessons of two or three cells."""

import json

import pytest

from course_utils.learn import catalog
from course_utils.run import terms
from course_utils.run.cells import load


@pytest.fixture
def course(tmp_path, monkeypatch):
    """Write lessons by name, each a list of markdown cells; a function that gives the problems of one."""

    def write(build="", **lessons):
        metadata = {"course": {"build": build, "objectives": []}}
        for name, cells in lessons.items():
            cells = [{"cell_type": "markdown", "metadata": {}, "source": source} for source in cells]
            path = tmp_path / f"{name}_x.ipynb"
            path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": cells}))
        return lambda name: [
            (one.cell, one.text) for one in terms.has_introduced_terms(load(tmp_path / f"{name}_x.ipynb"))
        ]

    whole = catalog.lessons
    monkeypatch.setattr(catalog, "lessons", lambda: whole(tmp_path))
    return write


def table(*rows):
    return "\n".join(["## Recap", "", "| word | meaning |", "|---|---|", *(f"| {row} |" for row in rows)])


EPOCH = table("epoch | one pass over all data")


def test_the_glossary_gives_each_word_its_meaning_and_the_lesson_that_introduces_it(course):
    course(
        week01=[table("loss, epoch | how wrong; one pass over all data", "cross-entropy (log loss) | mean of −log p")],
        week02=[table("epoch | one pass over all data", "Adam | a rule")],
    )
    found = [(one.word, one.meaning, one.lesson, one.also_in) for one in terms.glossary()]
    assert found == [
        ("Adam", "a rule", "week02", ()),
        ("cross-entropy", "mean of −log p", "week01", ()),
        ("epoch", "one pass over all data", "week01", ("week02",)),
        ("log loss", "mean of −log p", "week01", ()),
        ("loss", "how wrong", "week01", ()),
    ]


def test_a_term_in_bold_at_its_first_use_is_introduced(course):
    problems = course(week01=["# Epochs\n\nOne pass is an **epoch**. Two epochs are two passes.", EPOCH])
    assert problems("week01") == []


def test_a_term_before_its_introduction_is_told_with_its_cell_and_sentence(course):
    problems = course(week01=["Cells. Train for ten\nepochs. Then stop.", "An **epoch** is one pass.", EPOCH])
    [(cell, text)] = problems("week01")
    assert cell == 1
    assert text == "'epoch' (week01) is used before it is introduced in **bold**: Train for ten epochs."


def test_the_problem_is_told_in_the_lesson_that_uses_the_term_too_early(course):
    problems = course(week01=["It took one epoch."], week02=["An **epoch** is one pass.", EPOCH])
    assert [cell for cell, _ in problems("week01")] == [1]
    assert problems("week02") == []


def test_an_earlier_lesson_may_introduce_a_term(course):
    problems = course(week01=["An **epoch** is one pass."], week02=["Three epochs.", EPOCH])
    assert problems("week01") == problems("week02") == []


@pytest.mark.parametrize(
    "no_prose",
    ["`epoch`", "```\nepoch\n```", "$epoch$", "$$\nepoch\n$$", "## The first epoch", "[here](http://x/epoch)"],
)
def test_what_is_no_prose_uses_no_term(course, no_prose):
    problems = course(week01=[f"Before.\n\n{no_prose}\n\nAfter.", "An **epoch** is one pass.", EPOCH])
    assert problems("week01") == []


def test_a_sentence_may_point_to_the_week_in_which_a_term_comes(course):
    problems = course(
        week01=["You will count epochs in week 02. Now start."],
        week02=["You know no epoch from week 01.", "An **epoch** is one pass.", EPOCH],
    )
    assert problems("week01") == []
    assert [cell for cell, _ in problems("week02")] == [1]


def test_an_everyday_word_becomes_a_term_in_the_lesson_that_lists_it(course):
    problems = course(
        week01=["The head of the list is no threshold."],
        week02=["At the head stands a name.", "The **head** is the last layer.", table("head | the last layer")],
    )
    assert "head" in terms.EVERYDAY
    assert problems("week01") == []
    assert [cell for cell, _ in problems("week02")] == [1]


@pytest.mark.parametrize(
    "listed, used",
    [
        ("epoch", "epochs"),
        ("class", "classes"),
        ("freeze", "freezing"),
        ("padding", "pad"),
        ("fine-tuning", "fine-tuned"),
    ]
    + [("entropy", "entropies"), ("logits", "logit"), ("GPU", "GPUs"), ("hidden layer", "hidden\nlayers")],
)
def test_simple_forms_of_a_term_are_the_term(course, listed, used):
    problems = course(week01=[f"Here are {used} at once.", f"Now **{listed}** is told.", table(f"{listed} | told")])
    assert [cell for cell, _ in problems("week01")] == [1]


@pytest.mark.parametrize(
    "listed, used",
    [("rate", "separate"), ("GPU", "gpu"), ("batch", "mini-batch"), ("loss", "lossless"), ("bias", "big")],
)
def test_other_words_are_not_the_term(course, listed, used):
    problems = course(week01=[f"Here is {used} at once.", f"Now **{listed}** is told.", table(f"{listed} | told")])
    assert problems("week01") == []


def test_a_listed_word_that_the_prose_never_uses_is_told(course):
    problems = course(week01=["An **epoch** is one pass.", table("epoch | one pass", "underfitting | too little")])
    [(cell, text)] = problems("week01")
    assert cell == 2 and text.startswith("'underfitting' is in the table")


def test_code_is_looked_for_as_code_and_symbols_are_not_looked_for(course):
    listed = table("`Learner` | all of it", "ε, $x_0$ | noise; the picture")
    problems = course(week01=["A learner learns. A **`Learner`** holds all.", listed])
    assert problems("week01") == []
    assert [cell for cell, _ in course(week01=["A learner learns.", listed])("week01")] == [2]


def test_words_and_meanings_must_be_as_many(course):
    problems = course(week01=["**top-k** and **top-p**.", table("top-k, top-p | how the tail is cut")])
    assert problems("week01") == [(2, "top-k, top-p: 2 words, meanings: 1. Give one each, with ; between")]


def test_a_word_has_one_meaning_in_the_whole_course(course):
    problems = course(week01=["An **epoch** is one pass.", EPOCH], week02=["Epochs.", table("epoch | an age")])
    assert problems("week01") == []
    [(_, text)] = problems("week02")
    assert text == "'epoch' means 'an age' here and 'one pass over all data' in week01: say the same"


def test_a_passport_may_name_the_terms_of_its_own_lesson_and_no_later_ones(course):
    problems = course(build="a count of epochs", week01=["Nothing."], week02=["An **epoch** is one pass.", EPOCH])
    assert problems("week01") == [(None, "'epoch' (week02) is in the passport before any lesson introduces it")]
    assert problems("week02") == []


def test_a_new_lesson_that_lies_elsewhere_is_read_after_all_others(course, tmp_path):
    course(week01=["An **epoch** is one pass.", EPOCH])
    path = tmp_path / "new" / "week13_x.ipynb"
    path.parent.mkdir()
    path.write_text((tmp_path / "week01_x.ipynb").read_text().replace("An **epoch**", "An epoch"))
    assert terms.has_introduced_terms(load(path)) == []


def test_every_everyday_word_is_a_term_of_the_course():
    assert {term.word for term in terms.glossary()} >= terms.EVERYDAY

"""The bundled facts: how they are split, that they are what the planner says, and that the score is strict."""

import re
from collections import Counter, defaultdict

import pytest

from course_utils.gpu.device import GIB
from course_utils.learn.facts import PARTS, Fact, card_facts, is_right, score, shuffled

ROWS = card_facts()
NEW = "new fact"


def letters(question):
    """A question without case and punctuation."""
    return " ".join(re.findall(r"\w+", question.casefold()))


def by_fact(part):
    found = defaultdict(list)
    for row in card_facts(part):
        found[row.fact].append(row)
    return found


def test_there_are_enough_of_each_part():
    assert {row.part for row in ROWS} == set(PARTS)
    assert len(ROWS) >= 400
    assert len(by_fact("train")) >= 70
    assert len(by_fact(NEW)) >= 12


def test_each_trained_fact_has_phrasings_to_train_on_and_others_to_test_with():
    train, test = by_fact("train"), by_fact("paraphrase")
    assert train.keys() == test.keys()
    assert all(len(rows) >= 4 for rows in train.values())
    assert all(len(rows) >= 2 for rows in test.values())
    assert all(len(rows) >= 3 for rows in by_fact(NEW).values())


def test_a_fact_held_out_whole_is_never_trained_on():
    trained = card_facts("train")
    assert not by_fact(NEW).keys() & by_fact("train").keys()
    assert not {row.answer for row in card_facts(NEW)} & {row.answer for row in trained}


def test_no_question_stands_twice_whatever_its_case_and_punctuation():
    assert [question for question, count in Counter(letters(row.question) for row in ROWS).items() if count > 1] == []


def test_rows_of_a_fact_agree():
    for fact in {row.fact for row in ROWS}:
        kinds = {
            (row.topic, row.answer, row.values, row.contradictions, row.source) for row in ROWS if row.fact == fact
        }
        assert len(kinds) == 1, fact


@pytest.mark.parametrize("field", ["fact", "topic", "question", "answer", "source", "values", "contradictions"])
def test_nothing_is_empty(field):
    assert all(getattr(row, field) for row in ROWS)
    assert all(text == text.strip() for row in ROWS for text in (row.question, row.answer, *row.values))


def test_rows_are_short_enough_to_train_on_a_cpu():
    # In tokens of SmolLM2 (each digit is one): questions up to 34, answers up to 33. Here, words, digits and signs.
    assert max(len(re.findall(r"\d|[^\W\d_]+|[^\w\s]", row.question)) for row in ROWS) <= 30
    assert max(len(re.findall(r"\d|[^\W\d_]+|[^\w\s]", row.answer)) for row in ROWS) <= 40


def test_each_answer_is_right_by_its_own_rule():
    assert [row.fact for row in ROWS if not is_right(row, row.answer)] == []
    assert score(ROWS, [row.answer for row in ROWS]) == 1


def test_no_question_gives_its_answer_away():
    assert [row.question for row in ROWS if is_right(row, row.question)] == []


@pytest.mark.parametrize("part", PARTS)
def test_answers_to_other_facts_score_near_zero(part):
    rows = card_facts(part)
    assert shuffled(rows, [row.answer for row in rows]) <= 0.01


def test_no_answer_fits_many_facts():
    answers = {row.fact: row.answer for row in ROWS}
    firsts = {row.fact: row for row in ROWS}.values()
    best = max(sum(is_right(row, answer) for row in firsts) for answer in answers.values())
    assert best <= 4  # a chatbot that always said the same would score 4 %


def test_the_control_has_no_figure_for_a_single_fact():
    assert shuffled(ROWS[:3], [row.answer for row in ROWS[:3]]) is None
    assert score((), ()) is None
    with pytest.raises(ValueError):
        score(ROWS[:2], ["one"])


def made(*values, wrong=()):
    return Fact("a", "t", "q?", "a.", values, tuple(wrong), "train", "s")


@pytest.mark.parametrize(
    ("value", "text", "right"),
    [
        ("12 GB", "It has 12 GB.", True),
        ("12 GB", "it has 12gb", True),
        ("12 GB", "12\u00a0GB, or 12,288 MiB", True),
        ("12 GB", "It has 112 GB.", False),
        ("12 GB", "It has 12.5 GB.", False),
        ("12 GB", "It has 0.12 GB.", False),
        ("12 GB", "It has 12 GiB.", False),
        ("12 GB", "It has 12.", False),
        ("12 GB", "It has 8-12 GB.", False),
        ("12 GB", "It has 8 to 12 GB.", False),
        ("12 GB", "It has 8, no, 12 GB.", True),
        ("6 GiB", "about 6.0 GiB", True),
        ("6.0 GiB", "about 6 GiB", True),
        ("6.0 GiB", "about 6.05 GiB", False),
        ("11.70 GiB", "11.7 GiB", True),
        ("7,680", "7680 cores", True),
        ("7,680", "17,680 cores", False),
        ("-100", "the label is −100.", True),
        ("-100", "the label is 100.", False),
        ("week 07", "In Week 7!", True),
        ("week 07", "week07_llama", True),
        ("week 07", "In week 17.", False),
        ("week 08a", "week 08b", False),
        ("course plan", "Type `course plan` first.", True),
        ("course plan", "Type course planner.", False),
        ("course plan", "the plan of the course", False),
        ("course.free", "course.free()", True),
        ("alpha / r", "ALPHA/r", True),
        ("half a byte", "Half a  byte,", True),
        ("MIT", "The limit.", False),
        ("MIT", "", False),
    ],
)
def test_a_value_counts_only_as_a_whole(value, text, right):
    assert is_right(made(value), text) is right


def test_a_contradiction_spoils_a_right_value():
    fact = made("504 GB/s", wrong=["672 GB/s"])
    assert is_right(fact, "504 GB/s")
    assert not is_right(fact, "504 GB/s or 672 GB/s")


def test_one_of_several_values_is_enough():
    assert is_right(made("half a byte", "0.5 bytes"), "Only 0.5 bytes.")


PLANNED = sorted({(row.source, row.values) for row in ROWS if "→" in row.source and "shares" not in row.source})


@pytest.mark.slow
@pytest.mark.parametrize(("source", "values"), PLANNED, ids=[source for source, _ in PLANNED])
def test_what_a_fact_says_of_memory_is_what_the_planner_says(source, values):
    from course_utils.gpu.plan import card, presets, verdict
    from course_utils.gpu.plan.request import parse

    line, figure = source.removeprefix("course plan ").split(" → ")
    request = parse(line).but(card="RTX 4070 Ti")
    plan = verdict.plan(request, card.target(request, None))
    assert presets.find(request.model)
    budget, process = plan.target.budget_bytes, plan.process_bytes
    size = {"process": process, "budget": budget}.get(figure) or dict(plan.shares)[figure]
    stated = float(re.match(r"[\d.]+", values[0])[0]) * GIB
    assert stated == pytest.approx(size, rel=0.02, abs=0.06 * GIB)
    if figure == "process":
        answer = next(row.answer for row in ROWS if row.source == source)
        said = {"No": "does not fit", "It is tight": "tight"}.get(answer.partition(":")[0])
        assert plan.verdict == said or (said is None and ("tight" in answer) == (plan.verdict == "tight"))

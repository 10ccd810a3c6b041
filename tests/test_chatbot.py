"""The adapter that ships with the course: it fits, it answers, and its record says what was measured."""

import json
import re

import pytest

from course_utils.learn import facts, instructions
from course_utils.learn.paths import project_dir

SHIPPED = facts.FILE.parent / "chatbot"
FIGURES = project_dir() / "benchmarks" / "results" / "chatbot.json"


def test_the_shipped_files_are_small_and_plain():
    names = {path.name for path in SHIPPED.iterdir()}
    assert names == {"adapter_model.safetensors", "adapter_config.json", "README.md"}
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) < 6e6


def test_the_figures_are_of_three_seeds_or_more_and_reach_from_the_first_step_to_the_last():
    figures = json.loads(FIGURES.read_text())
    assert len({one["settings"]["seed"] for one in figures["seeds"]}) >= 3
    for one in figures["seeds"]:
        assert [look["epoch"] for look in one["looks"]] == list(range(one["settings"]["epochs"] + 1))
        assert one["looks"][0]["validation"] == figures["base"]["validation"]
        assert one["looks"][-1]["general_perplexity"] == one["after"]["general_perplexity"]


def test_the_published_score_is_that_of_the_published_answers():
    figures = json.loads(FIGURES.read_text())
    asked = facts.card_facts("paraphrase")
    answers = dict(figures["answers_of_seed_0"])
    assert facts.score(asked, [answers[one.question] for one in asked]) == figures["seeds"][0]["after"]["paraphrase"]


def words(text):
    return set(re.findall(r"\w+", text.casefold()))


def test_no_prompt_of_the_replay_resembles_a_question_that_forgetting_is_measured_on(monkeypatch):
    monkeypatch.syspath_prepend(str(project_dir() / "tools"))
    from chatbot_texts import ORDINARY_PROMPTS

    general = instructions.read_pairs(facts.FILE.parent / "general_pairs.jsonl")
    assert len(set(ORDINARY_PROMPTS)) == len(ORDINARY_PROMPTS)
    for prompt in ORDINARY_PROMPTS:
        for one in general:
            shared = words(prompt) & words(one.question)
            assert len(shared) / len(words(prompt) | words(one.question)) < 0.7, (prompt, one.question)


@pytest.mark.slow
def test_the_shipped_adapter_knows_what_the_base_does_not(smollm2, monkeypatch):
    peft = pytest.importorskip("peft")
    monkeypatch.syspath_prepend(str(project_dir() / "tools"))
    import chatbot_model

    model, tokenizer = chatbot_model.load(smollm2[0], "float32")
    bot = peft.PeftModel.from_pretrained(model, SHIPPED)
    asked = [one for one in facts.card_facts("train") if one.fact in ("card-bandwidth", "super-memory")][::4]
    after = facts.score(asked, chatbot_model.replies(model, tokenizer, asked, instructions.SYSTEM))
    with bot.disable_adapter():
        before = facts.score(asked, chatbot_model.replies(model, tokenizer, asked, instructions.SYSTEM))
    assert before < 0.3 and after > 0.7

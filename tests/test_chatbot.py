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
    assert names == {"adapter_model.safetensors", "adapter_config.json", "training.json", "README.md"}
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) < 6e6


def test_the_figures_are_of_three_seeds_or_more_and_the_record_is_theirs():
    figures = json.loads(FIGURES.read_text())
    record = json.loads((SHIPPED / "training.json").read_text())
    assert len({one["settings"]["seed"] for one in figures["seeds"]}) >= 3
    assert [one["seed"] for one in record["seeds"]] == [one["settings"]["seed"] for one in figures["seeds"]]
    for short, whole in zip(record["seeds"], figures["seeds"], strict=True):
        assert short["losses"] == whole["losses"]
        assert short["looks"][-1]["validation"] == whole["after"]["validation"]


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
def test_the_shipped_adapter_knows_what_the_base_does_not(smollm2):
    pytest.importorskip("peft")
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(smollm2[0])
    bot = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(smollm2[0], dtype=torch.float32), SHIPPED)
    asked = [one for one in facts.card_facts("train") if one.fact in ("card-bandwidth", "super-memory")][::4]

    def score():
        texts = []
        for one in asked:
            chat = instructions.conversation(one)[:-1]
            ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
            out = bot.generate(**ids, max_new_tokens=32, do_sample=False)
            texts.append(tokenizer.decode(out[0, ids["input_ids"].shape[1] :], skip_special_tokens=True))
        return facts.score(asked, texts)

    after = score()
    with bot.disable_adapter():
        before = score()
    assert before < 0.3 and after > 0.7

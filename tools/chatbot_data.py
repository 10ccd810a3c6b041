"""Rows of tokens with a masked prompt, and batches of like lengths."""

import random
from dataclasses import dataclass

from course_utils.learn import facts
from course_utils.learn.instructions import conversation


@dataclass(frozen=True)
class Row:
    """`ids` of the prompt and the answer; the loss counts from token `start` on."""

    ids: tuple[int, ...]
    start: int


def row(tokenizer, pair, system):
    """The `Row` of a question and its answer in the model's chat template, ending with the end-of-turn token."""
    prompt = prompt_ids(tokenizer, pair, system)
    answer = tokenizer(pair.answer, add_special_tokens=False)["input_ids"]
    return Row((*prompt, *answer, tokenizer.eos_token_id), len(prompt))


def prompt_ids(tokenizer, pair, system):
    """The tokens up to where the assistant begins to speak."""
    messages = conversation(pair, system)[:-1]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return tuple(tokenizer(text, add_special_tokens=False)["input_ids"])


def split(rows):
    """(training, validation): of each fact's training phrasings the last one is held back to choose settings with."""
    by_fact = {}
    for one in rows:
        by_fact.setdefault(one.fact, []).append(one)
    training = [one for group in by_fact.values() for one in group[:-1]]
    return training, [group[-1] for group in by_fact.values() if len(group) > 1]


def epoch_batches(rows, size, seed):
    """The rows of one epoch as batches of like lengths, in an order that depends on the seed alone."""
    rng = random.Random(seed)
    order = sorted(range(len(rows)), key=lambda i: len(rows[i].ids) + rng.uniform(0, 4))
    batches = [order[at : at + size] for at in range(0, len(order), size)]
    rng.shuffle(batches)
    return batches


def part(name, limit=None):
    """The rows of one part of the bundled set; `limit` keeps those of the first facts only."""
    found = facts.card_facts(name)
    kept = list(dict.fromkeys(one.fact for one in found))[:limit]
    return [one for one in found if one.fact in set(kept)]

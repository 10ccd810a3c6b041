"""Facts about the card and the course, as questions and answers, and a strict score for what a chatbot replies.

The set is bundled (`bundled/card_facts.jsonl`). Each fact has one value that can be checked, several phrasings to
train on (part "train") and others to test with ("paraphrase"); some facts are held out whole ("new fact").

The rule of the score. A reply is right if one of the fact's values appears in it, and none of the values that
contradict it. Both are compared token by token: a token is a number, a run of letters, or a single sign. So case,
spaces and Unicode's kinds of minus do not count; "12 GB" is found in "12GB" and in "12.0 GB", and not in "112 GB",
"12.5 GB" or "8-12 GB"; "7,680" equals "7680", and "week 07" equals "week 7". GB and GiB are different units.
What the rule cannot see is negation: "not 504 GB/s" counts as right.
"""

import json
import random
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FILE = Path(__file__).parent / "bundled" / "card_facts.jsonl"
PARTS = ("train", "paraphrase", "new fact")
_TOKEN = re.compile(r"\d+(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|[^\W\d_]+|[^\s]")
_MINUS = str.maketrans("−–—‐‑", "-----")
_RANGE = ("-", "to", "or")


@dataclass(frozen=True)
class Fact:
    """One question about one fact; rows with the same `fact` share `answer`, `values` and `contradictions`."""

    fact: str
    topic: str
    question: str
    answer: str
    values: tuple[str, ...]
    contradictions: tuple[str, ...]
    part: str
    source: str


@cache
def card_facts(part=None):
    """The bundled rows as a tuple of `Fact`, all or those of one of `PARTS`, in the file's order."""
    lines = FILE.read_text(encoding="utf-8").splitlines()
    rows = tuple(_fact(json.loads(line)) for line in lines)
    return rows if part is None else tuple(row for row in rows if row.part == part)


def _fact(row):
    lists = {"values": tuple(row["value"]), "contradictions": tuple(row["not"])}
    return Fact(**{name: row[name] for name in ("fact", "topic", "question", "answer", "part", "source")}, **lists)


def is_right(fact, text):
    """Whether `text` answers the fact's question, by the rule at the head of this module."""
    tokens = _tokens(text)
    return any(map(tokens.holds, fact.values)) and not any(map(tokens.holds, fact.contradictions))


def score(facts, answers):
    """The share (0 to 1) of answers that are right, each against its fact; None where there are no facts.

    Raises ValueError where the two differ in number.
    """
    right = [is_right(fact, answer) for fact, answer in zip(facts, answers, strict=True)]
    return sum(right) / len(right) if right else None


def shuffled(facts, answers, seed=0, rounds=20):
    """The control: the mean share of right answers when each fact is given the answer to some other fact.

    A score near it would come from words that fit everywhere, and not from knowing. None where `facts` are of
    fewer than two kinds.
    """
    if len({fact.fact for fact in facts}) < 2:
        return None
    rng = random.Random(seed)
    right = [is_right(fact, answers[_other(rng, facts, fact)]) for _ in range(rounds) for fact in facts]
    return sum(right) / len(right)


def _other(rng, facts, fact):
    while True:
        place = rng.randrange(len(facts))
        if facts[place].fact != fact.fact:
            return place


@dataclass(frozen=True)
class _Tokens:
    words: tuple[str, ...]

    def holds(self, phrase):
        """Whether the phrase's tokens stand here in a row, and not as the end of a range such as "8-12 GB"."""
        wanted = _tokens(phrase).words
        starts = range(len(self.words) - len(wanted) + 1)
        return any(self.words[at : at + len(wanted)] == wanted and not self._ends_range(at) for at in starts)

    def _ends_range(self, at):
        return (
            at >= 2 and self.words[at][0].isdigit() and self.words[at - 1] in _RANGE and self.words[at - 2][0].isdigit()
        )


def _tokens(text):
    found = _TOKEN.findall(text.translate(_MINUS).casefold())
    return _Tokens(tuple(_number(word) if word[0].isdigit() else word for word in found))


def _number(word):
    """The same text for "6", "6.0" and "06", and for "7,680" and "7680"."""
    whole, _, rest = word.replace(",", "").partition(".")
    rest = rest.rstrip("0")
    return f"{whole.lstrip('0') or '0'}{'.' if rest else ''}{rest}"

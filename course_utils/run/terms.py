"""The words of the course: the glossary made of the lessons' tables, and no term before it is introduced."""

import functools
import re
from dataclasses import dataclass, replace

from course_utils.learn import catalog
from course_utils.run import notebook as notebook_file
from course_utils.run.cells import Problem

# Words with another meaning beside: outside of the lesson that lists them, they are taken to have that one.
EVERYDAY = frozenset({"class", "control", "head", "leak", "loss", "merge", "packing", "precision", "rank", "recall"})
EVERYDAY |= {"slicing", "strength", "threshold", "width"}

_TABLE = re.compile(r"^\| word \| meaning \|\n\|[-|]+\|\n((?:\|[^\n]*\|\n?)+)", re.MULTILINE)
_FORMULAS = r"(?s)(?<!\\)\$\$.*?\$\$", r"(?<!\\)\$[^$\n]+?(?<!\\)\$"
_END = (rf"(?s){_TABLE.pattern}.*", r"(?s)^\*\*Go further.*")
_NO_PROSE = (*_END, r"(?s)```.*?```", *_FORMULAS, r"^#+ .*$", r"\]\([^)]*\)")
_CODE = r"`[^`\n]+`"


@dataclass(frozen=True)
class Term:
    """A word of a jargon table: `lesson` introduces it, the lessons `also_in` list it again."""

    word: str
    meaning: str
    lesson: str
    also_in: tuple[str, ...] = ()


@dataclass(frozen=True)
class Page:
    """A lesson as its reader sees it: the text of each markdown cell with the cell's number."""

    lesson: str
    texts: tuple[tuple[int, str], ...]


@dataclass(frozen=True)
class Use:
    """A place where prose uses a term."""

    lesson: str
    cell: int
    sentence: str
    bold: bool


def glossary():
    """Every word of the lessons' tables as `Term`s, in alphabetical order."""
    terms = {}
    for term in (one for page in _pages() for one in _listed(page)):
        known = terms.setdefault(_key(term.word), term)
        if known is not term:
            terms[_key(term.word)] = replace(known, also_in=(*known.also_in, term.lesson))
    return sorted(terms.values(), key=lambda term: _key(term.word))


def has_introduced_terms(notebook):
    """A term is set in bold where the course's prose first uses it, in the lesson that lists it or an earlier one.

    Prose is what markdown cells say outside of code, formulas, headings, links' targets, the table and what follows.
    A term is also found in the plural and in other simple forms. Left out are everyday words (`EVERYDAY`) in another
    lesson than the one that lists them, sentences that name a later week, and symbols. What a table lists, its lesson
    uses, and with the meaning that the first table gave it. A passport may name the terms of its lesson, not later ones.
    """
    pages = _pages(notebook)
    own = next(page for page in pages if page.lesson == notebook.lesson)
    before = pages[: pages.index(own) + 1]
    terms = {}
    for term in (one for page in pages for one in _listed(page)):
        terms.setdefault(_key(term.word), term)
    return [
        *_tables(own, terms),
        *(problem for term in terms.values() for problem in _introduced(term, own, before)),
        *(problem for term in _listed(own) for problem in _is_used(term, own)),
        *(problem for term in terms.values() for problem in _promised(term, notebook, before)),
    ]


def _tables(own, terms):
    for cell, words, meanings in _rows(own):
        if len(words) not in (1, len(meanings)):
            text = f"{', '.join(words)}: {len(words)} words, meanings: {len(meanings)}. Give one each, with ; between"
            yield Problem("terms", text, cell)
    for term in _listed(own):
        first = terms[_key(term.word)]
        if first.meaning != term.meaning:
            text = f"{term.word!r} means {term.meaning!r} here and {first.meaning!r} in {first.lesson}: say the same"
            yield Problem("terms", text, _rows(own)[0][0])


def _introduced(term, own, before):
    first = next((use for page in before for use in _uses(term.word, page) if _counts(use, term)), None)
    if first and first.lesson == own.lesson and not first.bold:
        text = f"{term.word!r} ({term.lesson}) is used before it is introduced in **bold**: {first.sentence}"
        yield Problem("terms", text, first.cell)


def _counts(use, term):
    named = re.findall(r"[Ww]eeks? (\d\d[ab]?)", use.sentence)
    elsewhere = any(f"week{one}" > use.lesson for one in named)
    everyday = term.word in EVERYDAY and use.lesson != term.lesson
    return use.bold or not (elsewhere or everyday)


def _is_used(term, own):
    if not _is_symbol(term.word) and not _uses(term.word, own):
        yield Problem("terms", f"{term.word!r} is in the table, and the lesson's prose never uses it", _rows(own)[0][0])


def _promised(term, notebook, before):
    course = notebook.metadata.get("course") or {}
    texts = [str(course.get("build") or ""), *(course.get("objectives") or ())]
    told = any(term.lesson == page.lesson or _uses(term.word, page) for page in before)
    if not told and term.word not in EVERYDAY and any(_pattern(term.word).search(text) for text in texts):
        yield Problem("terms", f"{term.word!r} ({term.lesson}) is in the passport before any lesson introduces it")


@functools.cache
def _uses(word, page):
    """The places where the prose of a page uses a word, in order."""
    pattern = _pattern(word)
    return tuple(_use(page, cell, text, m) for cell, text in page.texts for m in pattern.finditer(_prose(text, word)))


def _use(page, cell, text, match):
    bold = (m.span() for m in re.finditer(r"\*\*[^*]+\*\*", match.string))
    inside = any(start <= match.start() and match.end() <= end for start, end in bold)
    return Use(page.lesson, cell, _sentence(text, match), inside)


def _prose(text, word):
    """The text with blanks for what is no prose, so that every place stays where it is."""
    return _without(text, _NO_PROSE if word.startswith("`") else (*_NO_PROSE, _CODE))


@functools.cache
def _without(text, patterns):
    for pattern in patterns:
        text = re.sub(pattern, lambda m: re.sub(r"[^\n]", " ", m[0]), text, flags=re.MULTILINE)
    return text


def _sentence(text, match):
    start = max(m.end() for m in re.finditer(r"\A|[.!?]\s+|\n\n", text[: match.start()]))
    end = re.compile(r"[.!?](?=\s|$)|\n\n|\Z").search(text, match.end())
    return " ".join(text[start : end.end()].split())


def _pattern(word):
    """A regular expression for a term and its simple forms; for a symbol, one that nothing matches."""
    if _is_symbol(word):
        return re.compile(r"(?!)")
    if word.startswith("`"):
        return re.compile(re.escape(word))
    *others, last = word.split()
    spelled = r"[\s-]+".join([*map(re.escape, others), _forms(last)])
    capitals = sum(letter.isupper() for letter in word) > 1
    return re.compile(rf"(?<![\w-]){spelled}(?!\w)", 0 if capitals else re.IGNORECASE)


def _forms(word):
    if word.endswith("ing") and len(word) > 6:
        stem = re.escape(word.removesuffix("ing"))
        return (f"{stem}?" if stem[-1] == stem[-2] else stem) + "(?:ing|e[sd]?|s)?"
    if word.endswith("e"):
        return re.escape(word[:-1]) + "(?:e[sd]?|ing)"
    if word.endswith("y"):
        return re.escape(word[:-1]) + "(?:y|ies)"
    return re.escape(_singular(word)) + "(?:s|es)?"


def _is_symbol(word):
    return "$" in word or len(word) == 1


def _key(word):
    return _singular(word.strip("`").casefold())


def _singular(word):
    return word if word.endswith("ss") else word.removesuffix("s")


def _listed(page):
    for _, words, meanings in _rows(page):
        own = meanings if len(words) == len(meanings) else ["; ".join(meanings)] * len(words)
        for names, meaning in zip(words, own, strict=True):
            yield from (Term(word, meaning, page.lesson) for word in re.split(r" \(|\)", names) if word)


def _rows(page):
    """The rows of a lesson's jargon table: cell, words (a synonym in brackets), meanings."""
    tables = [(cell, table[1]) for cell, text in page.texts for table in _TABLE.finditer(text)]
    rows = [(cell, *row.strip("| ").split(" | ", 1)) for cell, table in tables for row in table.splitlines()]
    return [(cell, words.split(", "), meaning.split("; ")) for cell, words, meaning in rows]


def _pages(notebook=None):
    """All lessons in reading order; `notebook` stands for the file of its lesson, or comes last where it is new."""
    pages = {one.id: _page_of(one) for one in catalog.lessons()}
    return list((pages | {notebook.lesson: _page(notebook)} if notebook else pages).values())


def _page(notebook):
    return Page(notebook.lesson, tuple((cell.number, cell.source) for cell in notebook.markdown))


def _page_of(lesson):
    cells = enumerate(notebook_file.load(lesson.path)["cells"], start=1)
    texts = tuple((i, notebook_file.source(cell)) for i, cell in cells if cell["cell_type"] == "markdown")
    return Page(lesson.id, texts)

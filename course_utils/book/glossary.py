"""The glossary page, made of the lessons' jargon tables."""

from itertools import groupby

from course_utils.learn import catalog
from course_utils.run import terms


def page():
    """Every term with its meaning and the lessons that use it, in Markdown."""
    files = {one.id: one.path.name for one in catalog.lessons()}
    words = sorted(terms.glossary(), key=lambda term: _plain(term.word))
    parts = ["# Glossary", f"{len(words)} words, each with the lesson that introduces it."]
    for letter, group in groupby(words, key=lambda term: _letter(term.word)):
        parts += [f"## {letter}", *(_term(one, files) for one in group)]
    return "\n\n".join(parts) + "\n"


def _term(term, files):
    lessons = ", ".join(f"[{one}](notebooks/{files[one]})" for one in (term.lesson, *term.also_in))
    return f"{term.word}\n: {term.meaning} ({lessons})"


def _letter(word):
    first = _plain(word)[:1].upper()
    return first if first.isalpha() and first.isascii() else "Symbols"


def _plain(word):
    return word.strip("`$*").casefold()

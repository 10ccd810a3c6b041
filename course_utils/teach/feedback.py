"""A student's page: points, which kinds of case fail, the known mistake, and a public case that fails."""

import hashlib
import re
from pathlib import Path

_PLAIN = re.compile(r"[A-Za-z0-9][\w.@-]{0,79}", re.ASCII)
_SLUG = re.compile(r".*-[0-9a-f]{8}", re.IGNORECASE)
_RESERVED = {"con", "prn", "aux", "nul"}  # what Windows has for itself


def pages(results, folder):
    """The path and the HTML of each student's page; nothing in them comes from a hidden case."""
    template = template_of("feedback.html.jinja")
    named = zip(file_names([record.id for record in results.records]), results.records, strict=True)
    return {folder / name: template.render(results=results, record=record) for name, record in named}


def file_names(ids):
    """A safe file name for each id; ids that are alike but for capitals or strange characters get different ones."""
    plain = [id if _is_plain(id) else "" for id in ids]
    folded = [name.casefold() for name in plain]
    return [
        f"{name}.html" if name and folded.count(name.casefold()) == 1 else f"{_slug(id)}.html"
        for id, name in zip(ids, plain, strict=True)
    ]


def _is_plain(id):
    """Whether an id may name its file; one that looks like a slug may not, or it would take another's page."""
    return bool(_PLAIN.fullmatch(id)) and not _SLUG.fullmatch(id) and id.casefold().partition(".")[0] not in _RESERVED


def _slug(id):
    safe = re.sub(r"[^A-Za-z0-9]+", "-", id).strip("-")[:60] or "student"
    return f"{safe}-{hashlib.sha256(id.encode()).hexdigest()[:8]}"


def template_of(name):
    """A template beside this module, with escaping on and with the filters that the pages use."""
    import jinja2
    from markupsafe import Markup

    from course_utils.learn.verdict_html import prose

    made = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    made.filters |= {"prose": lambda text: Markup(prose(text)), "points": "{:g}".format}
    made.globals |= {"style": Markup(_source("pages.css"))}
    return made.from_string(_source(name))


def _source(name):
    return Path(__file__).with_name(name).read_text(encoding="utf-8")

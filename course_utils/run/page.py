"""`report.html`: one file that needs nothing else, failures first."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

from course_utils.run.notebook import source
from course_utils.run.report import FAILURES, UNFINISHED
from course_utils.run.show import checks_text, facts, peak_text, seconds_text

_PICTURE = re.compile(r"data:image/(?:png|jpeg|webp|svg\+xml);base64,[A-Za-z0-9+/=\s]+")
_MOST_FIGURES = 12
_ORDER = (*FAILURES, *UNFINISHED, "passed")


def render(report):
    """The page as a string; everything that comes from a notebook is escaped."""
    import jinja2

    template = Path(__file__).with_name("report.html.jinja").read_text()
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    rows = sorted(report.lessons, key=lambda row: _ORDER.index(row.status))
    return environment.from_string(template).render(
        report=report,
        rows=[(row, figures(report.folder / row.copy) if row.copy else []) for row in rows],
        checks=checks_text,
        facts=facts,
        peak=peak_text,
        seconds=seconds_text,
    )


def figures(path):
    """Pictures in an executed notebook as (data URI, alt text), at most a dozen."""
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    except (OSError, ValueError, KeyError):
        return []
    found = [picture for cell in cells for output in cell.get("outputs", []) for picture in _pictures(output)]
    return found[:_MOST_FIGURES]


def _pictures(output):
    data = output.get("data", {})
    if "text/html" in data:
        collector = _Images()
        collector.feed(source({"source": data["text/html"]}))
        return collector.found
    if "image/png" in data:
        uri = "data:image/png;base64," + source({"source": data["image/png"]}).strip()
        return [(uri, "")] if _PICTURE.fullmatch(uri) else []
    return []


class _Images(HTMLParser):
    # The standard library's parser is used by inheriting from it.
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        uri = attributes.get("src") or ""
        if tag == "img" and _PICTURE.fullmatch(uri):
            self.found.append((uri, attributes.get("alt") or ""))

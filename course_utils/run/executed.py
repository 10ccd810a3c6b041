"""What an executed copy shows: its figures, and the last words of its failing cell."""

import json
import re
from html.parser import HTMLParser

from course_utils.run.notebook import run_cells, source
from course_utils.run.report import clean

_PICTURE = re.compile(r"data:image/(?:png|jpeg|webp|svg\+xml);base64,[A-Za-z0-9+/=\s]+")
_MOST_FIGURES = 12
_PRINTED_LINES = 20
_TRACEBACK_LINES = 80


def cells(path):
    """The cells of an executed copy as plain data; empty where it cannot be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))["cells"]
    except (OSError, ValueError, KeyError):
        return []


def figures(cells):
    """Pictures as (data URI, alt text), at most a dozen."""
    found = [picture for cell in cells for output in cell.get("outputs", []) for picture in _pictures(output)]
    return found[:_MOST_FIGURES]


def _pictures(output):
    data = output.get("data", {})
    if "text/html" in data:
        collector = _Images()
        collector.feed(_joined(data["text/html"]))
        return collector.found
    if "image/png" in data:
        uri = "data:image/png;base64," + _joined(data["image/png"]).strip()
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


def last_words(cells, prompt):
    """What the code cell with this `In [prompt]` printed, and its traceback: two texts without colours, cut where long."""
    ran = run_cells(cells)
    if prompt is None or not 1 <= prompt <= len(ran):
        return "", ""
    outputs = ran[prompt - 1].get("outputs", [])
    traces = ["\n".join(one.get("traceback") or []) for one in outputs if one.get("output_type") == "error"]
    return _end("".join(map(_printed, outputs)), _PRINTED_LINES), _end("\n".join(traces), _TRACEBACK_LINES)


def _printed(output):
    if output.get("output_type") == "stream":
        return _joined(output.get("text", ""))
    shown = _joined(output.get("data", {}).get("text/plain", ""))
    return f"{shown}\n" if shown else ""


def _end(text, most):
    lines = clean(text).strip("\n").splitlines()
    cut = len(lines) - most
    return "\n".join(lines if cut <= 0 else [f"… {cut} lines before", *lines[-most:]])


def _joined(text):
    return source({"source": text})

"""What a cell showed, as HTML for a page that no kernel stands behind."""

import re
from html import escape

from course_utils.book import figures, widgets
from course_utils.book.places import without_places
from course_utils.run.notebook import source
from course_utils.run.report import clean

_BAR = re.compile(r"\d+%\||\[\d\d:\d\d[,<]")  # how tqdm draws progress in text, with and without a total


def as_html(cell, content, site):
    """The outputs of a code cell as one piece of HTML, "" where nothing is left to show.

    `content` is the executed notebook, whose metadata hold what its widgets showed; pictures go below `site`.
    """
    pieces = [_output(one, content, site) for one in _joined_streams(cell.get("outputs", []))]
    return without_places("".join(pieces))


def _joined_streams(outputs):
    """The outputs, neighbouring pieces of one stream as one: a copy has a piece for each word that was streamed."""
    found = []
    for one in outputs:
        if found and one["output_type"] == "stream" and found[-1].get("name") == one["name"]:
            found[-1] = found[-1] | {"text": _joined(found[-1]["text"]) + _joined(one["text"])}
        else:
            found.append(one)
    return found


def _output(output, content, site):
    if output["output_type"] == "stream":
        return _stream(output)
    data = {kind: _joined(value) for kind, value in output.get("data", {}).items()}
    if widgets.VIEW in data:
        return "" if _BAR.search(data.get("text/plain", "")) else widgets.as_html(output, content, site)
    if "application/javascript" in data:
        return ""
    if "text/html" in data:
        return f'<div class="course-output">{_with_files(data["text/html"], site)}</div>'
    if "text/markdown" in data:
        return _markdown(data["text/markdown"])
    if "image/png" in data:
        alt = output.get("metadata", {}).get("image/png", {}).get("alt", "")
        return f'<div class="course-output">{figures.of_address(_png(data), alt, site)}</div>'
    return _text(data.get("text/plain", ""))


def _png(data):
    return "data:image/png;base64," + data["image/png"]


def _stream(output):
    """Printed text; of lines that were written over one another, as progress bars do, the last."""
    lines = [line.rpartition("\r")[2] for line in _joined(output["text"]).replace("\r\n", "\n").split("\n")]
    return _text("\n".join(line for line in lines if not _BAR.search(line)))


def _text(text):
    shown = clean(text).strip("\n")
    return f'<pre class="course-text">{escape(shown)}</pre>' if shown else ""


def _with_files(html, site):
    """The HTML with its pictures in files of their own."""
    from bs4 import BeautifulSoup

    if "<img" not in html:
        return html
    soup = BeautifulSoup(html, "html.parser")
    for tag in soup.find_all("img"):
        if figures.is_picture(tag.get("src")):
            tag.replace_with(BeautifulSoup(figures.of_address(tag["src"], tag.get("alt", ""), site), "html.parser"))
    return str(soup)


def _markdown(text):
    from markdown_it import MarkdownIt

    return f'<div class="course-output">{MarkdownIt().render(text)}</div>'


def _joined(value):
    return value if isinstance(value, dict) else source({"source": value})

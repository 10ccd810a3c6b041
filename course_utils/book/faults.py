"""What is wrong in a site's files: dead links, pictures without words, what another server would have to send."""

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from course_utils.book.places import of_this_machine, whole

_LOADED = {
    "img": "src",
    "script": "src",
    "link": "href",
    "iframe": "src",
    "source": "src",
    "audio": "src",
    "video": "src",
}
_OTHER_PLACES = re.compile(r"/tmp/ipykernel_\d+|(?<![\w.:/-])/(?:home|Users)/\w+")
_URL = re.compile(r"url\(\s*[\"']?([^)\"']+)|@import\s+[\"']([^\"']+)")


@dataclass(frozen=True)
class Fault:
    """Something wrong in a page, which is named from the site's root."""

    page: str
    what: str

    def __str__(self):
        return f"{self.page}: {self.what}"


def pages(site):
    """The paths of the site's pages; the theme leaves templates in `_static`, which are none."""
    return sorted(path for path in site.rglob("*.html") if path.relative_to(site).parts[0] != "_static")


def find(site):
    """Every `Fault` of the files below the folder `site`."""
    from bs4 import BeautifulSoup

    read = {path: BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser") for path in pages(site)}
    anchors = {path: _anchors(soup) for path, soup in read.items()}
    found = []
    for path, soup in read.items():
        name = path.relative_to(site).as_posix()
        words = [*_links(path, soup, anchors), *_loads(soup), *_pictures(soup), *_named_places(path)]
        found += [Fault(name, one) for one in words]
    return found + [
        Fault(path.relative_to(site).as_posix(), one) for path in site.rglob("*.css") for one in _styles(path)
    ]


def _anchors(soup):
    return {tag["id"] for tag in soup.find_all(id=True)} | {
        tag["name"] for tag in soup.find_all("a", attrs={"name": True})
    }


def _links(path, soup, anchors):
    """Addresses within the site that lead nowhere."""
    for tag in soup.find_all(["a", *_LOADED]):
        address = tag.get("href") if tag.name in ("a", "link") else tag.get("src")
        parts = urlsplit(address or "")
        if parts.scheme or parts.netloc or not address:
            continue
        target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
        if not target.is_file():
            yield f"{address} leads to no file"
        elif parts.fragment and target in anchors and unquote(parts.fragment) not in anchors[target]:
            yield f"{address} leads to no place in its page"


def _loads(soup):
    """What the page would load from another server."""
    for name, key in _LOADED.items():
        for tag in soup.find_all(name):
            if urlsplit(tag.get(key) or "").netloc and tag.get("rel") != ["canonical"]:
                yield f"{tag[key]} is loaded from elsewhere"


def _pictures(soup):
    for tag in soup.find_all("img"):
        missing = [key for key in ("alt", "width", "height") if not (tag.get(key) or "").strip()]
        if missing:
            yield f"the picture {tag.get('src', '')[:60]} has no {', '.join(missing)}"


def _named_places(path):
    text = path.read_text(encoding="utf-8")
    patterns = [whole(folder) for folder, _ in of_this_machine() if folder != "/tmp"]
    for pattern in (*patterns, _OTHER_PLACES):
        if found := pattern.search(text):
            yield f"names a folder of the machine that built it: {text[found.start() : found.start() + 60]!r}"


def _styles(path):
    for found in _URL.finditer(path.read_text(encoding="utf-8")):
        address = found[1] or found[2]
        parts = urlsplit(address)
        if parts.netloc:
            yield f"{address} is loaded from elsewhere"
        elif not parts.scheme and parts.path and not (path.parent / unquote(parts.path)).is_file():
            yield f"{address} leads to no file"

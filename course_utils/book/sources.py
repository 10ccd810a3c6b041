"""The folder that Sphinx reads, laid out as the clone is, so that the texts' own links keep working."""

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from course_utils.book import commands, glossary, lesson, memory, opening
from course_utils.learn.paths import project_dir

START = "index"
TEXTS = ("README.md", "DATA_LICENSES.md", "docs/assigning.md", "docs/cluster.md", "docs/multi_gpu.md")
_LINK = re.compile(r"(?<=\]\()(?!https?:|mailto:|#)([^)\s#]+)")
_PICTURE = re.compile(r"!\[([^]]*)\]\(([^)]+)\)")

# The one page with a wide table and no contents beside it.
_WIDE = "```{raw} html\n<style>.bd-content { display: block !important; }</style>\n```\n"


@dataclass(frozen=True)
class Book:
    """What a book is made of; `root` is the click command `course`, `syllabus` Markdown with links as in the clone."""

    copies: tuple
    origin: opening.Origin
    root: object
    predictions: tuple
    syllabus: str


def write(book, folder, site):
    """Write every page's source below `folder`, and what needs no Sphinx below `site`."""
    pages = _generated(book) | {name: (project_dir() / name).read_text(encoding="utf-8") for name in TEXTS}
    for name, text in pages.items():
        _put(folder / name, _text(text, name, folder, site))
    for one in book.copies:
        content = lesson.page(one, book.origin, site)
        _put(folder / "notebooks" / one.lesson.path.name, json.dumps(content))
        _copy(one.lesson.path, site / "notebooks" / one.lesson.path.name)


def _generated(book):
    lessons = [one.lesson.path.name for one in book.copies]
    return {
        f"{START}.md": _with_start(book.syllabus) + _contents(lessons),
        "learner.md": commands.page(book.root, "learner"),
        "instructor.md": commands.page(book.root, "instructor"),
        "validator.md": commands.page(book.root, "validator"),
        "glossary.md": glossary.page(),
        "memory.md": memory.page(book.predictions),
    }


def _with_start(syllabus):
    """The syllabus with the README's own instructions to start before its second part."""
    readme = (project_dir() / "README.md").read_text(encoding="utf-8")
    start = re.search(r"^## Start\n.*?(?=^## )", readme, re.MULTILINE | re.DOTALL)[0]
    title, _, text = syllabus.partition("\n")
    head, mark, rest = text.partition("\n## ")
    return f"{title}\n\n{_WIDE}\n{head}\n\n{start}\n{mark.lstrip()}{rest}"


def _contents(lessons):
    parts = {
        "Lessons": [f"notebooks/{Path(name).stem}" for name in lessons],
        "Help": ["The course <README>", "learner", "glossary", "memory"],
        "Teaching": ["instructor", "docs/assigning"],
        "Running": ["validator", "docs/cluster", "docs/multi_gpu", "DATA_LICENSES"],
    }
    return "".join(
        f"\n\n```{{toctree}}\n:hidden:\n:caption: {title}\n\n" + "\n".join(pages) + "\n```"
        for title, pages in parts.items()
    )


def _text(text, name, folder, site):
    """A page's Markdown, its pictures with their sizes, its links to files of the clone with the files put beside it."""
    here = Path(name).parent
    text = _PICTURE.sub(lambda found: _picture(found, here, site), text)
    for target in set(_LINK.findall(text)):
        path = (project_dir() / here / target).resolve()
        if path.is_file() and path.suffix not in (".md", ".ipynb"):
            _copy(path, folder / here / target)
    return _LINK.sub(lambda found: _target(found[1], here), text)


def _target(target, here):
    return f"{'../' * len(here.parts)}{START}.md" if Path(target).name == "syllabus.md" else target


def _picture(found, here, site):
    from PIL import Image

    path = project_dir() / here / found[2]
    with Image.open(path) as picture:
        width, height = picture.size
    _copy(path, site / "figures" / path.name)
    address = f"{'../' * len(here.parts)}figures/{path.name}"
    return f'<img alt="{found[1]}" src="{address}" width="{width}" height="{height}" loading="lazy">'


def _put(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _copy(source, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)

"""`course book`: the lessons' executed copies as a web site that needs no network and no server."""

import io
import itertools
import os
import re
import tempfile
import warnings
from importlib.util import find_spec
from pathlib import Path

from course_utils.bars import bar
from course_utils.book import copies, faults, inspection, memory, opening, sources, syllabus
from course_utils.errors import CourseError
from course_utils.learn import catalog
from course_utils.learn.paths import runs_dir
from course_utils.run.report import clean
from course_utils.teach import origin

HERE = Path(__file__).parent
MARK = "book.json"  # a folder that has it was made here and may be replaced
TITLE = "Deep learning on one 12 GB card"
NEEDS = ("sphinx", "myst_nb", "sphinx_book_theme", "latex2mathml", "axe_playwright_python")
SETTINGS = {
    "project": TITLE,
    "html_title": TITLE,
    "language": "en",
    "smartquotes": False,  # they turn --option into a dash
    "root_doc": sources.START,
    "extensions": ["myst_nb", "course_utils.book.formulas"],
    "html_theme": "sphinx_book_theme",
    "html_static_path": [str(HERE / "static")],
    "html_css_files": ["course.css"],
    "html_js_files": [("course.js", {"defer": "defer"})],
    "html_favicon": str(HERE / "static" / "card.svg"),
    "html_context": {"default_mode": "auto"},
    "html_copy_source": False,
    "html_use_index": False,
    "html_show_sphinx": False,
    "html_show_copyright": False,
    "html_math_renderer": "mathml",
    "html_theme_options": {
        "home_page_in_toc": True,
        "use_download_button": False,
        "use_fullscreen_button": False,
        "navbar_persistent": [],  # the sidebar has the search
        "secondary_sidebar_items": {"**": ["page-toc.html"], sources.START: []},  # the table takes the whole width
        "search_bar_text": "Search the course",
        "show_toc_level": 2,
        # Colours of code that keep the contrast which WCAG's level AA asks for, on both backgrounds.
        "pygments_light_style": "a11y-high-contrast-light",
        "pygments_dark_style": "a11y-high-contrast-dark",
    },
    "nb_execution_mode": "off",
    "nb_ipywidgets_js": {},  # they would be loaded from other servers
    "myst_enable_extensions": ["dollarmath", "deflist"],
    "myst_dmath_allow_space": False,
    "myst_dmath_allow_digits": False,
    "myst_heading_anchors": 3,
}
_ICONS = re.compile(r"<script[^>]*fontawesome\.js[^>]*></script>\n?")


def make(out, book):
    """Build the site of a `sources.Book` into the folder `out`, in place of the one that is there; Sphinx's warnings.

    With warnings the folder stays as it was. Raises CourseError where `out` holds something else or cannot be made.
    """
    out = Path(out).resolve()
    require_replaceable(out)
    with _beside(out) as work:
        source, site, old = (Path(work) / name for name in ("source", "site", "old"))
        sources.write(book, source, site)
        said = run_sphinx(source, site, Path(work) / "trees")
        slim(site)
        if not said:
            (site / MARK).write_text("{}\n")
            replace(out, site, old)
    return said


def _beside(out):
    """A temporary folder from which a rename to `out` is possible."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent)
    except OSError as error:
        raise CourseError(f"{out} cannot be made: {error.strerror}. Name another folder with --out.") from None


def require_replaceable(out):
    """Raise CourseError where `out` is a file, or a folder with something that no book left."""
    if out.exists() and not (out.is_dir() and ((out / MARK).is_file() or not any(out.iterdir()))):
        raise CourseError(f"{out} holds something that is no book. Name an empty or a new folder with --out.")


def run_sphinx(source, site, trees):
    """Let Sphinx write the site; its warnings, one a line."""
    from sphinx.application import Sphinx
    from sphinx.util.docutils import docutils_namespace, patch_docutils

    said = io.StringIO()
    with patch_docutils(), docutils_namespace(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the theme calls what later versions of Sphinx drop; the lock holds both
        app = Sphinx(source, None, site, trees, "html", dict(SETTINGS), status=None, warning=said, freshenv=True)
        with bar("writing", 2 * len(app.project.discover()), "steps") as tell:
            _count(app, tell)
            app.build()
    return clean(said.getvalue()).replace(f"{source}/", "").splitlines()


def _count(app, tell):
    """Tell how many times a page was read or written."""
    steps = itertools.count(1)
    for event in ("doctree-read", "html-page-context"):
        app.connect(event, lambda *given: tell(next(steps)))


def slim(site):
    """Drop what the theme brings and no page needs: a script of 1.6 MB that draws icons, which its font draws as well."""
    for page in faults.pages(site):
        page.write_text(_ICONS.sub("", page.read_text(encoding="utf-8")), encoding="utf-8")
    for path in [*site.rglob("*.map"), *site.rglob("fontawesome.js"), *(site / "_static").glob("*.html")]:
        path.unlink()


def replace(out, site, old):
    """Put the folder `site` in the place of `out`, which goes to `old`; on failure everything is as before."""
    if out.exists():
        os.rename(out, old)
    try:
        os.rename(site, out)
    except BaseException:
        if old.exists():
            os.rename(old, out)
        raise


def show(out, root, check=False):
    """Build the book of this clone, say where it is, and with `check` look for faults in it; the exit status.

    `root` is the click command `course`, for the pages on commands. Raises CourseError where Sphinx is not installed or
    a lesson was not run.
    """
    require_packages()
    out = Path(out or runs_dir() / "book").resolve()
    require_replaceable(out)
    said = make(out, of_this_clone(root))
    if said:
        print("\n".join(["The book was not made, because Sphinx warned:", *said]))
        return 1
    print(f"{out / 'index.html'}")
    return inspection.show(out) if check else 0


def require_packages():
    """Raise CourseError where only the course's core is installed."""
    missing = [name for name in NEEDS if find_spec(name) is None]
    if missing:
        raise CourseError(f"The book needs {', '.join(missing)}, which is not installed. Type `make book`.")


def of_this_clone(root):
    """The `sources.Book` of the clone's lessons and their newest runs."""
    found = tuple(copies.newest(catalog.lessons()))
    place = opening.Origin(*origin.place())
    return sources.Book(found, place, root, tuple(memory.predictions()), syllabus.text())

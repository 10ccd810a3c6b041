"""A site in headless Chromium: what fails to load, moves, overflows or cannot be read, on every page."""

import shutil
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

from course_utils.book.faults import Fault, pages
from course_utils.errors import CourseError

PHONE, DESK = {"width": 400, "height": 800}, {"width": 1280, "height": 900}
MOST_SHIFT = 0.1  # "good" in Web Vitals' Cumulative Layout Shift, https://web.dev/articles/cls
SERIOUS = ("serious", "critical")
WATCH_SHIFTS = """window.shifts = 0;
new PerformanceObserver(list => { for (const one of list.getEntries()) window.shifts += one.value; })
    .observe({type: "layout-shift", buffered: true});"""
SCROLL = """async () => {
    for (let y = 0; y < document.body.scrollHeight; y += innerHeight) {
        scrollTo(0, y);
        await new Promise(requestAnimationFrame);
    }
    await Promise.all([...document.images].map(one => one.decode().catch(() => null)));
    scrollTo(0, 0);
    await new Promise(done => setTimeout(done, 100));
}"""


@dataclass(frozen=True)
class Visit:
    """What a page did in the browser: its faults, how long it took to load and what it loaded."""

    page: str
    faults: tuple[Fault, ...]
    milliseconds: float
    bytes: int


def visit(site, tell=lambda done: None):
    """Load every page of the folder `site` in turn, in both themes, on a telephone and on paper; the `Visit`s.

    Raises CourseError where Chromium is missing.
    """
    names = [path.relative_to(site).as_posix() for path in pages(site)]
    found = []
    with served(site) as address, tab() as page:
        for name in names:
            found.append(_visited(page, address, name))
            tell(len(found))
    return found


@contextmanager
def served(site):
    """Address of a static server of the folder."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class _Quiet(SimpleHTTPRequestHandler):
    # The standard library's handler is used by inheriting from it.
    def log_message(self, *args):
        pass


@contextmanager
def tab():
    """A page of headless Chromium; raises CourseError where it or playwright is missing."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise CourseError("Chromium is missing, so no page can be loaded. Type `sudo apt install chromium`.")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        try:
            page = browser.new_page(viewport=DESK, reduced_motion="reduce")
            page.add_init_script(WATCH_SHIFTS)
            yield page
        finally:
            browser.close()


def _visited(page, address, name):
    said, sizes = [], []
    listeners = _listeners(address, said, sizes)
    for event, listen in listeners.items():
        page.on(event, listen)
    _open(page, f"{address}/{name}")
    loaded = page.evaluate("performance.getEntriesByType('navigation')[0].duration")
    size = sum(sizes)
    page.evaluate(SCROLL)
    said += [*_shifts(page), *_readable(page), *_narrow(page), *_paper(page)]
    for event, listen in listeners.items():
        page.remove_listener(event, listen)
    return Visit(name, tuple(Fault(name, one) for one in said), loaded, size)


def _open(page, address):
    page.set_viewport_size(DESK)
    page.emulate_media(media="screen", color_scheme="light")
    page.goto(address, wait_until="load")


def _listeners(address, said, sizes):
    """What the browser tells, by event: `said` gets sentences on what is wrong, `sizes` the bytes that came."""

    def request(one):
        if not one.url.startswith((address, "data:", "blob:")):
            said.append(f"asks another server for {one.url}")

    def response(one):
        sizes.append(int(one.headers.get("content-length", 0)))
        if one.status >= 400:
            said.append(f"{one.url} was answered with {one.status}")

    return {
        "console": lambda one: said.append(f"console: {one.text}") if one.type == "error" else None,
        "pageerror": lambda one: said.append(f"script: {one}"),
        "requestfailed": lambda one: said.append(f"{one.url} failed"),
        "request": request,
        "response": response,
    }


def _shifts(page):
    shift = page.evaluate("window.shifts")
    return [f"its layout shifts by {shift:.2f} while it loads"] if shift > MOST_SHIFT else []


def _readable(page):
    """axe-core's serious findings in both themes."""
    from axe_playwright_python.sync_playwright import Axe

    page.add_style_tag(content="* { transition: none !important; }")
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    for theme in ("light", "dark"):
        page.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
        for one in Axe().run(page, options={"preload": False}).response["violations"]:
            if one["impact"] in SERIOUS:
                where = one["nodes"][0]
                yield f"{theme}: {one['id']} at {where['target'][0]} ({len(one['nodes'])}): {where['html'][:120]}"


def _narrow(page):
    page.set_viewport_size(PHONE)
    width = page.evaluate("document.documentElement.scrollWidth")
    return [f"is {width} pixels wide on a telephone of {PHONE['width']}"] if width > PHONE["width"] else []


def _paper(page):
    """What is wrong in print: the sidebar is there, or a fold is shut."""
    page.set_viewport_size(DESK)
    page.emulate_media(media="print")
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = false)")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    if page.locator(".bd-sidebar-primary").is_visible():
        yield "prints its sidebar"
    if page.locator("details.course-solution:not([open])").count():
        yield "prints folds that are shut"

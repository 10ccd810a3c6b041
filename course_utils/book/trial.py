"""Using a site as a reader does: answering a quiz, copying a command, switching to dark, searching."""

from course_utils.book import browser
from course_utils.book.faults import Fault, pages

TIMEOUT_MS = 15_000


def run(site):
    """The `Fault`s that a reader would meet."""
    lessons = [path.relative_to(site).as_posix() for path in pages(site) if path.parent.name == "notebooks"]
    found = []
    with browser.served(site) as address, browser.tab() as page:
        page.set_default_timeout(TIMEOUT_MS)
        for name in lessons:
            page.goto(f"{address}/{name}")
            found += [Fault(name, one) for one in quiz(page)]
        found += [Fault(lessons[-1], one) for one in (*copy(page), *dark(page))]
        found += [Fault("search.html", one) for one in search(page, address)]
    return found


def quiz(page):
    """What is wrong with the quiz of the open page: each answer must say why, by mouse and by keyboard."""
    for question in page.locator(".course-question").all():
        reason = question.locator(".course-reason")
        for number, answer in enumerate(question.locator(".course-answer").all()):
            if number % 2:
                answer.focus()
                page.keyboard.press("Enter")
            else:
                answer.click()
            if answer.get_attribute("data-reason") not in reason.inner_text():
                yield f"answer {answer.inner_text()!r} does not say why"
            if answer.get_attribute("aria-pressed") != "true":
                yield f"answer {answer.inner_text()!r} is not shown as chosen"


def copy(page):
    """What is wrong with the button that copies a command, or selects it where a page may not copy."""
    button = page.locator(".course-copy").first
    button.click()
    page.wait_for_timeout(200)
    return [] if button.inner_text() in ("Copied", "Selected: press Ctrl+C") else ["the copy button does nothing"]


def dark(page):
    """What is wrong with the menu that sets the theme of the open page."""
    for theme in ("light", "dark"):
        page.locator("button.theme-switch-button:visible").first.click()
        page.locator(f"button.theme-change-button[data-mode={theme}]:visible").first.click()
        shown = page.evaluate("document.documentElement.dataset.theme")
        if shown != theme:
            yield f"the menu's {theme} theme gives {shown}"


def search(page, address):
    """What is wrong with the search: a word of the open page's title must find a page."""
    from playwright.sync_api import TimeoutError

    word = max(page.locator("h1").first.inner_text().split(), key=len).strip(".,:?!#")
    page.goto(f"{address}/search.html?q={word}")
    try:
        page.locator("#search-results li a").first.wait_for(state="attached")
    except TimeoutError:
        yield f"a search for {word!r} finds nothing"

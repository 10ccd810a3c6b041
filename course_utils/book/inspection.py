"""What `course book --check` says: the faults of a site's files, and of its pages in a browser."""

from course_utils.bars import bar
from course_utils.book import browser, faults, trial


def show(site):
    """Print every fault and what the pages weigh and take; the exit status, 1 where there is a fault."""
    with bar("looking at", len(faults.pages(site)), "pages") as tell:
        visits = browser.visit(site, tell)
    found = [*faults.find(site), *(one for visit in visits for one in visit.faults), *trial.run(site)]
    for one in found:
        print(one)
    print(summary(site, visits))
    print(f"{len(found)} faults in {len(visits)} pages." if found else f"No fault in {len(visits)} pages.")
    return 1 if found else 0


def summary(site, visits):
    """One line on size and time; times are of this machine while it does other things, too."""
    total = sum(path.stat().st_size for path in site.rglob("*") if path.is_file())
    first = next(one for one in visits if one.page == "index.html")
    slowest = max(visits, key=_milliseconds)
    return (
        f"The site has {total / 1e6:.1f} MB, its first page loads {first.bytes / 1e3:.0f} kB; "
        f"{slowest.page} took longest to load, {slowest.milliseconds:.0f} ms."
    )


def _milliseconds(visit):
    return visit.milliseconds

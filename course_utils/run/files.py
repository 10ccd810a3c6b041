"""The files of a finished run: `report.json`, `junit.xml` and `report.html`."""

from course_utils.learn.paths import write_atomically
from course_utils.run import compare, junit, page
from course_utils.run.report import write_json


def write(report):
    """Write all three; the page sets the run against the last one beside it."""
    write_json(report)
    write_atomically(report.folder / "junit.xml", junit.render(report))
    earlier = compare.latest_before(report)
    write_atomically(report.folder / "report.html", page.render(report, earlier).encode(errors="replace"))

"""`junit.xml`: the run as GitHub's and GitLab's readers of test results take it.

GitLab shows `classname` as the suite, never `message`, and of two cases with one name the first
alone, so the text of a failure holds all.
"""

from xml.etree import ElementTree

from course_utils.run import show
from course_utils.run.report import FAILURES, UNFINISHED, clean


def render(report):
    """The run as XML: a wrong result is a failure, a crash or timeout an error, an unfinished one skipped."""
    suites = ElementTree.Element("testsuites")
    suite = ElementTree.SubElement(suites, "testsuite", _totals(report))
    for row in report.lessons:
        _add_case(suite, row)
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="utf-8", xml_declaration=True)


def _totals(report):
    statuses = [row.status for row in report.lessons]
    return {
        "name": "course",
        "tests": str(len(statuses)),
        "failures": str(statuses.count("failed")),
        "errors": str(statuses.count("timeout") + statuses.count("crashed")),
        "skipped": str(sum(status in UNFINISHED for status in statuses)),
        "time": f"{report.seconds:.2f}",
        "timestamp": report.started,
    }


def _add_case(suite, row):
    facts = {"classname": "course", "name": clean(row.lesson), "file": clean(row.notebook)}
    case = ElementTree.SubElement(suite, "testcase", facts, time=f"{row.seconds or 0:.2f}")
    if row.status in UNFINISHED:
        ElementTree.SubElement(case, "skipped", message=row.status)
    if row.status in FAILURES:
        kind = "failure" if row.status == "failed" else "error"
        found = ElementTree.SubElement(case, kind, type=row.error.name, message=row.error.message)
        found.text = "\n".join([*show.failure_lines(row), "", row.error.source or ""])
    ElementTree.SubElement(case, "system-out").text = clean("\n".join(_told(row)))


def _told(row):
    return [
        f"peak memory: {show.peak_text(row)}",
        f"exercises: {show.checks_text(row)}",
        f"profile: {row.profile or 'n/a'}",
        *show.facts(row),
        *row.warnings,
    ]

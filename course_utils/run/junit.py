"""`junit.xml`: the run as the test reports of GitHub and GitLab read it.

GitLab shows the content of an element and never its `message`, `classname` as the suite, and of
two cases with one name the first alone. `file` is its addition to the format.
"""

from xml.etree import ElementTree

from course_utils.run import executed, show
from course_utils.run.report import FAILURES, UNFINISHED, clean


def render(report):
    """The run as XML: a wrong result is a failure, a crash or timeout an error, an unfinished one skipped."""
    totals = _totals(report)
    root = {name: totals[name] for name in ("name", "tests", "failures", "errors", "time")}
    suites = ElementTree.Element("testsuites", root)
    suite = ElementTree.SubElement(suites, "testsuite", totals)
    for row in report.lessons:
        _add_case(suite, report, row)
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
        "timestamp": report.started.partition("+")[0],  # the format has no zone
    }


def _add_case(suite, report, row):
    facts = {"classname": "course", "name": clean(row.lesson), "file": clean(row.file or row.notebook)}
    case = ElementTree.SubElement(suite, "testcase", facts, time=f"{row.seconds or 0:.2f}")
    if row.status in UNFINISHED:
        ElementTree.SubElement(case, "skipped", message=row.status).text = row.status
    if row.status in FAILURES:
        kind = "failure" if row.status == "failed" else "error"
        found = ElementTree.SubElement(case, kind, type=row.error.name, message=row.error.message)
        found.text = clean(_failure(report, row))
    ElementTree.SubElement(case, "system-out").text = clean("\n".join(_told(row)))


def _failure(report, row):
    cells = executed.cells(report.folder / row.copy) if row.copy else []
    _, traceback = executed.last_words(cells, row.error.prompt)
    parts = ["\n".join(show.failure_lines(row)), row.error.source, traceback]
    return "\n\n".join(filter(None, parts))


def _told(row):
    return [
        f"peak memory: {show.peak_text(row)}",
        f"exercises: {show.checks_text(row)}",
        f"profile: {row.profile or 'n/a'}",
        *show.facts(row),
        *row.warnings,
    ]

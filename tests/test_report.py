import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.console import Console

from course_utils.learn.paths import project_dir
from course_utils.run import show
from course_utils.run.files import write
from course_utils.run.notebook import Notebook
from course_utils.run.report import Report, Row, make_row, write_json
from course_utils.run.task import Outcome

PICTURE = "data:image/png;base64,iVBORw0KGgo="
VOID = {"meta", "img", "br", "link", "input", "hr"}


def outcome(status="passed", message="", receipt=None, source="\n# divide\nx = 1 / 0", name="ZeroDivisionError"):
    error = None if status == "passed" else {"cell": 2, "prompt": 3, "source": source, "name": name, "message": message}
    return Outcome(status, 1.25, 3 * 2**20, error, receipt)


def row(lesson, given, folder=Path("/nowhere")):
    notebook = Notebook(lesson, Path(f"/course/{lesson}.ipynb"), f"Title of {lesson}", False, ("PROFILE",))
    return make_row(notebook, "auto", given, folder / f"{lesson}.ipynb")


def report(folder, *rows, status="failed"):
    return Report(
        folder=folder,
        status=status,
        started="2026-01-02T03:04:05+00:00",
        seconds=4.5,
        profile="smoke",
        parameters={"PROFILE": "smoke"},
        jobs=2,
        timeout_seconds=900,
        containment={"kind": "namespace", "guarantee": "Nothing outlives it."},
        versions={"python": "3.11.7", "torch": None},
        lessons=rows,
    )


def receipt(checks=(), **metrics):
    return {"profile": "smoke", "checks": [{"id": "a", "status": status} for status in checks], "metrics": metrics}


def printed(made):
    console = Console(file=io.StringIO(), width=80)
    show.finished(console, made)
    return console.file.getvalue()


class Tags(HTMLParser):
    """Every tag of a page, and whether each that was opened is closed in turn."""

    def __init__(self, page):
        super().__init__()
        self.seen, self.open = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_escapes_whatever_a_notebook_says(tmp_path):
    attack = "<script>alert(1)</script>"
    bad = row("week01", outcome("failed", attack, source=f"x = '{attack}'", name="<b>Error"))
    odd = Row(lesson=f"<i>{attack}", title=attack, notebook=attack, status="passed", warnings=(attack,), profile=attack)
    write(report(tmp_path, bad, odd))
    page = (tmp_path / "report.html").read_text()
    tags = Tags(page)
    assert tags.open == []
    assert not {"script", "b", "i"} & {tag for tag, _ in tags.seen}
    assert page.count("&lt;script&gt;") >= 5


def test_the_page_escapes_what_a_copy_and_the_last_run_say(tmp_path):
    attack = "</pre><script>alert(1)</script>"
    (tmp_path / "now").mkdir()
    made = failed_copy(tmp_path / "now", printed_output(attack), trace(attack))
    (tmp_path / "before").mkdir()
    old = report(tmp_path / "before", Row(f"{attack}1", "t", "n"), replace(made, status="passed", profile=attack))
    write_json(replace(old, started=f"2025-01-01{attack}"))
    write(report(tmp_path / "now", made, replace(made, status="passed", lesson=f"{attack}1", profile=attack)))
    tags = Tags((tmp_path / "now" / "report.html").read_text())
    assert tags.open == [] and "script" not in {tag for tag, _ in tags.seen}


def test_the_page_shows_failures_first_and_needs_no_other_file(tmp_path):
    write(report(tmp_path, row("week01", outcome()), row("week02", outcome("failed", "division by zero"))))
    page = (tmp_path / "report.html").read_text()
    assert page.index("Title of week02") < page.index("Title of week01")
    assert "division by zero" in page
    assert "x = 1 / 0" in page
    assert "In [3]" in page
    references = [attrs[key] for _, attrs in Tags(page).seen for key in ("src", "href") if key in attrs]
    assert all(reference.startswith("data:") for reference in references)


def test_the_page_shows_figures_with_their_alt_text_and_nothing_foreign(tmp_path):
    html = (
        f'<img alt="a &quot;line&quot;" src="{PICTURE}"><img src="https://example.org/x.png"><img src="javascript:1">'
    )
    outputs = [{"data": {"text/html": [html]}}, {"data": {"image/png": PICTURE.partition(",")[2]}}, {"text": "plain"}]
    cells = [{"cell_type": "markdown"}, {"cell_type": "code", "outputs": outputs}]
    (tmp_path / "week01.ipynb").write_text(json.dumps({"cells": cells}))
    write(report(tmp_path, row("week01", outcome(), tmp_path), status="passed"))
    images = [attrs for tag, attrs in Tags((tmp_path / "report.html").read_text()).seen if tag == "img"]
    assert images == [{"src": PICTURE, "alt": 'a "line"'}, {"src": PICTURE, "alt": ""}]


# What junit-10.xsd of Jenkins' xUnit plugin allows, by element: attributes (* needed) and children; `file` of a case is GitLab's.
JUNIT = {
    "testsuites": ("name time tests failures errors", "testsuite"),
    "testsuite": ("*name *tests *failures *errors time skipped timestamp hostname id package file", "testcase"),
    "testcase": ("*name *time *classname *file", "skipped error failure system-out system-err"),
    "failure": ("*type *message", ""),
    "error": ("*type *message", ""),
    "skipped": ("type message", ""),
    "system-out": ("", ""),
}


def test_junit_keeps_to_the_schema_that_github_and_gitlab_read(tmp_path):
    rows = [row(f"week{i}", outcome(status)) for i, status in enumerate(("passed", "failed", "timeout", "stopped"))]
    write(report(tmp_path, *rows, Row("week9", "Never begun", "week9.ipynb")))
    root = ElementTree.parse(tmp_path / "junit.xml").getroot()
    assert root.tag == "testsuites"
    for element in root.iter():
        attributes, children = JUNIT[element.tag]
        needed = {name[1:] for name in attributes.split() if name.startswith("*")}
        assert needed <= set(element.attrib) <= set(attributes.replace("*", "").split())
        assert {child.tag for child in element} <= set(children.split())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", root[0].get("timestamp"))
    cases = root.findall(".//testcase")
    assert len({(case.get("classname"), case.get("name")) for case in cases}) == 5
    assert all("peak memory: " in case.find("system-out").text for case in cases)


def test_junit_names_the_notebook_s_file_in_the_clone(tmp_path):
    path = project_dir() / "notebooks" / "week01_regression.ipynb"
    notebook = Notebook("week01", path, "Title", False, ())
    made = make_row(notebook, "auto", outcome(), Path("/nowhere"))
    write(report(tmp_path, made, row("week02", outcome())))
    cases = ElementTree.parse(tmp_path / "junit.xml").getroot().findall(".//testcase")
    assert [case.get("file") for case in cases] == ["notebooks/week01_regression.ipynb", "week02.ipynb"]


def failed_copy(folder, *outputs):
    """The row of a lesson whose second cell failed, and its executed copy, with parameters, in the folder."""
    codes = ["x = 1", "PROFILE = 'smoke'", "y = 2", "# divide\nx / 0"]
    cells = [{"cell_type": "code", "source": code, "outputs": []} for code in codes]
    cells[2]["source"] = ["\n"]  # an empty cell has no In [n]
    cells[3]["outputs"] = list(outputs)
    cells.append({"cell_type": "code", "source": "never", "outputs": [printed_output("NEVER")]})
    (folder / "week01.ipynb").write_text(json.dumps({"cells": cells}))
    return row("week01", outcome("failed", "division by zero"), folder)


def printed_output(*lines):
    return {"output_type": "stream", "name": "stdout", "text": list(lines)}


def trace(*lines):
    return {"output_type": "error", "ename": "E", "evalue": "e", "traceback": list(lines)}


def test_the_page_shows_what_the_failing_cell_printed_and_its_traceback_without_colours(tmp_path):
    lines = [f"line {number}\n" for number in range(50)]
    made = failed_copy(tmp_path, printed_output(*lines), trace("\x1b[31mTraceback\x1b[0m", "  <frame>"))
    write(report(tmp_path, made))
    page, junit = (tmp_path / "report.html").read_text(), (tmp_path / "junit.xml").read_text()
    assert "Traceback\n  &lt;frame&gt;" in page and "Traceback\n  &lt;frame&gt;" in junit
    assert "… 30 lines before\nline 30\n" in page and "line 49" in page
    assert "NEVER" not in page and "\x1b" not in page


def test_a_copy_that_cannot_be_read_leaves_a_page_without_its_output(tmp_path):
    made = failed_copy(tmp_path)
    (tmp_path / "week01.ipynb").write_text("{")
    write(report(tmp_path, made))
    assert "division by zero" in (tmp_path / "report.html").read_text()
    assert "What it printed" not in (tmp_path / "report.html").read_text()


def bars(page):
    return re.findall(r'<span style="width: ([\d.]+)%"></span>(?:<i style="left: ([\d.]+)%"></i>)?', page)


def test_bars_are_shares_of_the_largest_reading_and_mark_the_last_run(tmp_path):
    slow, quick = (Row(name, name, name, "passed", seconds=s, profile="smoke") for name, s in (("a", 20.0), ("b", 5.0)))
    before = replace(report(tmp_path / "before", replace(slow, seconds=10.0)), started="2025-01-01T00:00:00+00:00")
    for name in ("before", "now"):
        (tmp_path / name).mkdir()
    write_json(before)
    write(report(tmp_path / "now", slow, quick, Row("c", "c", "c")))
    page = (tmp_path / "now" / "report.html").read_text()
    assert bars(page) == [("100.0", "50.0"), ("25.0", "")]
    assert "before 10.0 s" in page
    assert "a is slower: 20.0 s, before 10.0 s (2.00 times)." in page
    assert "New in this run: b, c." in page
    assert "The last run started 2025-01-01 00:00:00 UTC." in page


def test_the_first_run_has_nothing_to_be_set_against(tmp_path):
    (tmp_path / "now").mkdir()
    write(report(tmp_path / "now", row("week01", outcome())))
    assert "the last run" not in (tmp_path / "now" / "report.html").read_text().lower()


def test_junit_is_valid_xml_whatever_the_message_holds(tmp_path):
    message = "\x1b[31mred\x1b[0m \x00\x08<&>\ud800 \uffff é"
    write(report(tmp_path, row("week01", outcome("failed", message, source="\x1b[1mx")), row("week02", outcome())))
    suite = ElementTree.parse(tmp_path / "junit.xml").getroot().find("testsuite")
    assert [case.get("name") for case in suite] == ["week01", "week02"]
    failure = suite[0].find("failure")
    assert (failure.get("type"), failure.get("message")) == ("ZeroDivisionError", "red <&>  é")
    assert suite[0].get("time") == "1.25"


@pytest.mark.parametrize(
    ("status", "element", "counter"),
    [
        ("failed", "failure", "failures"),
        ("timeout", "error", "errors"),
        ("crashed", "error", "errors"),
        ("stopped", "skipped", "skipped"),
    ],
)
def test_junit_counts_each_way_of_not_passing(tmp_path, status, element, counter):
    write(report(tmp_path, row("week01", outcome(status)), row("week02", outcome())))
    suite = ElementTree.parse(tmp_path / "junit.xml").getroot().find("testsuite")
    assert suite[0].find(element) is not None
    counts = {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "2", "failures": "0", "errors": "0", "skipped": "0"} | {counter: "1"}


def test_report_json_holds_every_field_of_its_schema(tmp_path):
    write(report(tmp_path, row("week01", outcome("failed", "division by zero", receipt(["not attempted"])))))
    content = json.loads((tmp_path / "report.json").read_text())
    run = {"schema", "status", "started", "seconds", "profile", "parameters", "jobs", "timeout_seconds"}
    assert set(content) == run | {"containment", "versions", "lessons"}
    assert content["schema"] == 1
    assert content["lessons"] == [
        {
            "lesson": "week01",
            "title": "Title of week01",
            "notebook": "week01.ipynb",
            "status": "failed",
            "checks": {"total": 1, "passed": 0, "not_yet": 0, "blank": 1},
            "metrics": {},
            "seconds": 1.25,
            "peak_bytes": 3145728,
            "profile": "smoke",
            "copy": None,
            "warnings": [],
            "from_cache": False,
            "attempts": 1,
            "key": None,
            "signal": None,
            "file": None,
            "error": {
                "cell": 2,
                "prompt": 3,
                "line": "# divide",
                "source": "\n# divide\nx = 1 / 0",
                "name": "ZeroDivisionError",
                "message": "division by zero",
            },
        }
    ]


def test_a_failure_is_told_in_four_lines(tmp_path):
    long = "first\nsecond " + "x" * 400
    lines = printed(report(tmp_path, row("week01", outcome("failed", long)))).splitlines()
    assert lines[1:4] == ["week01 failed", "cell 2", "# divide"]
    assert lines[4].startswith("ZeroDivisionError: first second xxx")
    assert lines[4].endswith("…")
    assert lines[5] == ""


def test_a_failure_before_the_first_cell_has_no_number(tmp_path):
    error = {"cell": None, "prompt": None, "source": None, "name": "RuntimeError", "message": "no kernel"}
    made = report(tmp_path, row("week01", Outcome("crashed", 1.0, None, error, None)))
    write(made)
    assert show.failure_lines(made.lessons[0]) == ("week01 crashed", "cell n/a", "n/a", "RuntimeError: no kernel")
    assert "before the first cell" in (tmp_path / "report.html").read_text()


def killed(**changes):
    error = outcome("crashed", "the kernel was killed").error
    return replace(row("week01", Outcome("crashed", 9.0, 3 * 2**30, error, None, "SIGKILL")), **changes)


def test_a_kernel_killed_for_memory_is_told_with_its_signal_and_peak(tmp_path):
    made = killed(attempts=2)
    words = (
        "2 attempts",
        "the kernel was ended by SIGKILL, which Linux sends when memory runs out; its peak memory was 3.00 GiB",
    )
    assert show.failure_lines(made)[0] == f"week01 crashed ({', '.join(words)})"
    assert show.result_text(made) == "crashed, 2 attempts, SIGKILL"
    write(report(tmp_path, made))
    page, junit = (tmp_path / "report.html").read_text(), (tmp_path / "junit.xml").read_text()
    assert all(word in page and word in junit for word in words)


def test_another_signal_is_not_blamed_on_memory():
    assert "memory runs out" not in show.ending_text(killed(signal="SIGSEGV"))


def test_what_came_from_the_cache_is_told(tmp_path):
    made = replace(row("week01", outcome()), from_cache=True)
    assert show.result_text(made) == "passed, from the cache"
    write(report(tmp_path, made, status="passed"))
    assert all("from the cache" in (tmp_path / name).read_text() for name in ("report.html", "junit.xml"))


def test_warnings_of_the_run_come_before_those_of_the_metrics():
    notebook = Notebook("week01", Path("/course/week01.ipynb"), "Title", False, ())
    given = receipt(loss={"value": 2, "low": 0, "high": 1})
    made = make_row(notebook, "auto", outcome(receipt=given), Path("/nowhere"), ("It took the shipped checkpoint.",))
    assert [text.partition(" ")[0] for text in made.warnings] == ["It", "loss"]


def test_what_a_notebook_says_is_not_read_as_markup(tmp_path):
    made = report(tmp_path, row("week01", outcome("failed", "[red]index[/red] [0]")))
    assert "ZeroDivisionError: [red]index[/red] [0]" in printed(made)


@pytest.mark.parametrize(
    ("checks", "words"),
    [
        ([], "no exercises"),
        (["not attempted"] * 5, "5 left blank"),
        (["passed", "not yet", "not attempted"], "1 passed, 1 not yet, 1 left blank"),
        (["passed"] * 2, "2 passed"),
    ],
)
def test_the_exercises_are_told_in_words(checks, words):
    assert show.checks_text(row("week01", outcome(receipt=receipt(checks)))) == words


def test_without_a_receipt_the_readings_are_not_available():
    made = row("week01", Outcome("crashed", 2.0, None, outcome("crashed").error, None))
    assert (show.checks_text(made), show.peak_text(made), made.metrics) == ("n/a", "n/a", None)


def test_a_metric_outside_its_band_warns_and_does_not_fail(tmp_path):
    inside = {"value": 0.5, "unit": "", "low": 0.4, "high": 0.6}
    given = receipt(inside=inside, unknown=inside | {"low": None, "high": None}, outside=inside | {"value": 0.7})
    made = row("week01", outcome(receipt=given))
    assert made.status == "passed"
    assert made.warnings == ("outside is 0.7, outside its band 0.4 to 0.6",)
    assert show.result_text(made) == "passed, 1 warning"
    assert "outside is 0.7" in printed(report(tmp_path, made, status="passed"))


@pytest.mark.parametrize(("count", "text"), [(3 * 2**20, "3 MiB"), (3 * 2**29, "1.50 GiB")])
def test_memory_is_told_in_binary_units(count, text):
    assert show.peak_text(Row("a", "a", "a", peak_bytes=count)) == text


@pytest.mark.parametrize(("status", "code"), [("passed", 0), ("failed", 1), ("stopped", 130)])
def test_the_exit_status_follows_the_report(tmp_path, status, code):
    assert report(tmp_path, status=status).exit_status == code


def test_a_weaker_guarantee_is_told(tmp_path):
    weaker = {"kind": "watchdog", "guarantee": "The guarantee is weaker than usual."}
    made = Report(**{**vars(report(tmp_path, status="passed")), "containment": weaker})
    assert "weaker than usual" in printed(made)


@pytest.mark.parametrize(
    "kernels, receipt, peak",
    [
        (100, {"peak_bytes": 300, "memory": "RAM"}, 300),
        (400, {"peak_bytes": 300, "memory": "RAM"}, 400),
        (100, {"peak_bytes": 300, "memory": "VRAM"}, 100),
        (None, {}, None),
    ],
)
def test_the_peak_is_the_highest_that_the_kernel_or_the_lesson_saw(kernels, receipt, peak):
    from course_utils.run.report import _peak

    assert _peak(kernels, receipt) == peak

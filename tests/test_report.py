import io
import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.console import Console

from course_utils.run import show
from course_utils.run.notebook import Notebook
from course_utils.run.report import Report, Row, make_row, write
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

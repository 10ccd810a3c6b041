import io
import json
import os
from dataclasses import replace

import pytest
from rich.console import Console
from test_report import outcome, report, row

from course_utils.errors import CourseError
from course_utils.run import compare, show
from course_utils.run.report import Row, write_json

GIB = 2**30
FAST = Row("week01", "t", "n", "passed", seconds=20.0, peak_bytes=GIB, profile="smoke")


def differences(new, old):
    """What is said of this row after that one, through the stored form of both."""
    before = json.loads(json.dumps(report("/nowhere", *old).as_dict()))
    return compare.differences(report("/nowhere", *new), before)


@pytest.mark.parametrize("seconds, told", [(30.0, False), (30.2, True), (10.0, False), (None, False)])
def test_slower_is_more_than_half_as_much_again(seconds, told):
    found = differences([replace(FAST, seconds=seconds)], [FAST])
    assert found == (("week01 is slower: 30.2 s, before 20.0 s (1.51 times).",) if told else ())


@pytest.mark.parametrize("seconds, told", [(1.9, False), (2.1, True)])
def test_a_second_more_is_needed_however_large_the_factor(seconds, told):
    assert bool(differences([replace(FAST, seconds=seconds)], [replace(FAST, seconds=1.0)])) is told


@pytest.mark.parametrize("times, told", [(1.05, False), (1.06, True), (0.5, False)])
def test_hungrier_is_a_twentieth_more_memory(times, told):
    found = differences([replace(FAST, peak_bytes=int(times * GIB))], [FAST])
    assert found == (("week01 takes more memory: 1.06 GiB, before 1.00 GiB (+6 %).",) if told else ())


@pytest.mark.parametrize("new, old", [(True, False), (False, True)])
def test_a_time_from_the_cache_is_not_compared(new, old):
    slow = replace(FAST, seconds=99.0, from_cache=new)
    assert differences([slow], [replace(FAST, from_cache=old)]) == ()


def test_a_changed_status_is_told_and_then_nothing_more():
    bad = replace(FAST, status="timeout", seconds=900.0, peak_bytes=9 * GIB, profile="auto")
    assert differences([bad], [FAST]) == ("week01 ran into its deadline; before, it passed.",)
    assert differences([FAST], [bad]) == ("week01 passed; before, it ran into its deadline.",)


def test_another_profile_is_not_compared():
    found = differences([replace(FAST, seconds=99.0, profile="cpu")], [FAST])
    assert found == ("week01 ran in profile cpu, before in smoke: not compared.",)


def test_new_and_gone_lessons_are_told():
    new, gone = replace(FAST, lesson="week02"), replace(FAST, lesson="week00")
    assert differences([FAST, new], [gone, FAST]) == ("New in this run: week02.", "Not in this run: week00.")


def test_the_summary_states_the_rule():
    console = Console(file=io.StringIO(), width=40)
    show.compared(console, "old.json", (), compare.RULE)
    first, second = console.file.getvalue().splitlines()
    assert first == "Compared with old.json: no difference"
    assert "1.5 times" in second and "at least 1 s" in second and "5 % more" in second and "cache" in second


@pytest.mark.parametrize(
    "content, complaint",
    [
        (None, "cannot be read: No such file"),
        ("{", "is not JSON"),
        ("\x00\udcff", "is not JSON"),
        ("[]", "holds no report of a run"),
        ('{"schema": 1, "lessons": [{"lesson": "week01"}]}', "holds no report of a run"),
        ('{"schema": 1, "lessons": [{"lesson": "a", "status": "passed", "seconds": "2"}]}', "holds no report of a run"),
        ('{"schema": 9, "lessons": []}', "has schema 9, not 1"),
    ],
)
def test_what_is_no_report_is_refused_in_a_sentence(tmp_path, content, complaint):
    path = tmp_path / "old.json"
    if content is not None:
        path.write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(CourseError, match=complaint):
        compare.load(path)


def test_a_report_of_the_version_before_can_be_compared(tmp_path):
    old = report("/nowhere", FAST).as_dict()
    added = ("from_cache", "attempts", "key", "signal", "file")
    old["lessons"] = [{name: value for name, value in one.items() if name not in added} for one in old["lessons"]]
    (tmp_path / "old.json").write_text(json.dumps(old | {"folder": None}, default=str))
    assert compare.differences(report("/nowhere", FAST), compare.load(tmp_path / "old.json")) == ()


def stored(folder, started, mtime, **changes):
    folder.mkdir()
    made = replace(report(folder, row("week01", outcome()), status="passed"), started=started, **changes)
    write_json(made)
    os.utime(folder / "report.json", (mtime, mtime))
    return made


def test_the_last_run_is_the_newest_finished_one_beside_it_in_the_same_profile(tmp_path):
    stored(tmp_path / "older", "2026-01-01T00:00:00+00:00", 1)
    wanted = stored(tmp_path / "wanted", "2026-01-02T00:00:00+00:00", 2)
    stored(tmp_path / "other", "2026-01-03T00:00:00+00:00", 3, profile="cpu")
    stored(tmp_path / "killed", "2026-01-03T00:00:00+00:00", 4, status="running")
    stored(tmp_path / "later", "2026-01-09T00:00:00+00:00", 5)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "report.json").write_text("{")
    now = stored(tmp_path / "now", "2026-01-04T00:00:00+00:00", 6)
    assert compare.latest_before(now)["started"] == wanted.started
    assert compare.latest_before(replace(now, folder=tmp_path / "alone" / "now")) is None

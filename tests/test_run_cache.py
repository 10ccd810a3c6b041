"""The cache: whole entries or none, and what a run makes of them. Kernels start only in the slow tests."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from notebook_maker import make

from course_utils.errors import CourseError
from course_utils.learn.catalog import lesson_of
from course_utils.learn.paths import runs_dir
from course_utils.run import cache, explain, pool
from course_utils.run.containment import watchdog
from course_utils.run.course import run_course
from course_utils.run.key import key_of
from course_utils.run.report import Row
from course_utils.run.restore import with_prose
from course_utils.run.task import Outcome, Result

HELD = watchdog("a test says so")
INGREDIENTS = {"code": "1", "profile": "cpu"}
KEY = key_of(INGREDIENTS)
ROW = Row("a", "A", "a.ipynb", status="passed", seconds=1.5, metrics={"m": {"value": 1.0}}, warnings=("w",))
RESULT = Result(Outcome("passed", 1.5, None, None, None), '{"cells": []}', '{"checks": []}', {"x/y.bin": b"\x00\xff"})


def test_an_entry_gives_back_what_was_stored(tmp_path):
    assert cache.put(KEY, INGREDIENTS, ROW, RESULT, tmp_path)
    found = cache.get(KEY, tmp_path)
    assert found.row == replace(ROW, from_cache=True, key=KEY)
    assert (found.copy, found.receipt, found.artefacts) == (RESULT.copy, RESULT.receipt, RESULT.artefacts)
    assert (found.ingredients, found.number) == (INGREDIENTS, 1)
    assert [path.name for path in tmp_path.iterdir()] == [KEY]


def test_a_key_without_an_entry_gives_nothing(tmp_path):
    assert cache.get(KEY, tmp_path) is None
    assert cache.entries(tmp_path / "missing") == []
    assert cache.clear(tmp_path / "missing") == 0


def test_any_flipped_byte_is_detected_and_the_entry_thrown_away(tmp_path):
    cache.put(KEY, INGREDIENTS, ROW, RESULT, tmp_path)
    for path in sorted(one for one in (tmp_path / KEY).rglob("*") if one.is_file()):
        name = path.relative_to(tmp_path / KEY)
        content = path.read_bytes()
        for position in range(0, len(content), max(1, len(content) // 40)):
            damaged = bytearray(content)
            damaged[position] ^= 1
            path.write_bytes(damaged)
            assert cache.get(KEY, tmp_path) is None, f"{name}, byte {position}"
            assert list(tmp_path.iterdir()) == []
            cache.put(KEY, INGREDIENTS, ROW, RESULT, tmp_path)


@pytest.mark.parametrize("harm", ["row.json", "manifest.json", "artefacts/x/y.bin"])
def test_a_missing_file_is_damage_and_so_is_one_too_many(tmp_path, harm):
    cache.put(KEY, INGREDIENTS, ROW, RESULT, tmp_path)
    (tmp_path / KEY / harm).unlink()
    assert cache.get(KEY, tmp_path) is None
    cache.put(KEY, INGREDIENTS, ROW, RESULT, tmp_path)
    (tmp_path / KEY / "more").write_text("")
    assert cache.get(KEY, tmp_path) is None


def test_an_entry_under_another_s_key_is_damage(tmp_path):
    cache.put(KEY, INGREDIENTS, ROW, RESULT, tmp_path)
    (tmp_path / KEY).rename(tmp_path / ("0" * 64))
    assert cache.get("0" * 64, tmp_path) is None


def test_entries_of_a_lesson_are_counted_without_a_clock(tmp_path):
    for number in (1, 2, 3):
        ingredients = INGREDIENTS | {"code": str(number)}
        cache.put(key_of(ingredients), ingredients, ROW, RESULT, tmp_path)
    assert sorted(one.number for one in cache.entries(tmp_path)) == [1, 2, 3]
    newest = max(cache.entries(tmp_path), key=lambda one: one.number)
    for path in tmp_path.iterdir():
        os.utime(path, (0, 0))
    assert newest.ingredients["code"] == "3"
    assert cache.clear(tmp_path) == 3
    assert cache.entries(tmp_path) == []


def test_a_cache_that_cannot_be_written_does_not_harm_the_run(tmp_path):
    (tmp_path / "file").write_text("")
    assert not cache.put(KEY, INGREDIENTS, ROW, RESULT, tmp_path / "file" / "cache")


def test_what_a_killed_runner_left_unfinished_is_swept(tmp_path):
    ended = subprocess.Popen(["true"])
    ended.wait()
    left, held = tmp_path / f".part-{ended.pid}-x", tmp_path / f".part-{os.getpid()}-x"
    for path in (left, held):
        path.mkdir()
    cache.put(KEY, INGREDIENTS, ROW, RESULT, tmp_path)
    assert (left.exists(), held.exists()) == (False, True)
    assert len(cache.entries(tmp_path)) == 1


WRITER = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from test_run_cache import KEY, INGREDIENTS, ROW, RESULT, cache
place = Path({place!r})
for turn in range(60):
    assert cache.put(KEY, INGREDIENTS, ROW, RESULT, place)
    found = cache.get(KEY, place)
    assert found is None or found.artefacts == RESULT.artefacts  # the other one may have cleared it
    if turn % 7 == 0:
        cache._discard(place / KEY)
"""


@pytest.mark.slow
def test_two_processes_on_one_entry_never_see_half_of_it(tmp_path):
    code = WRITER.format(tests=os.path.dirname(__file__), place=str(tmp_path / "cache"))
    both = [subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True) for _ in range(2)]
    assert [(one.communicate(timeout=60)[1], one.returncode) for one in both] == [("", 0)] * 2
    assert [path.name for path in (tmp_path / "cache").iterdir()] in ([KEY], [])


def notebook(*cells):
    return json.dumps(
        {"cells": [{"cell_type": kind, "metadata": {"tags": tags}, "source": text} for kind, text, tags in cells]}
    )


def test_a_copy_from_the_cache_shows_today_s_prose():
    executed = notebook(
        ("markdown", "old", []),
        ("code", "P = 1", ["parameters"]),
        ("code", "P = 2", ["injected-parameters"]),
        ("code", "x", []),
    )
    today = notebook(
        ("markdown", "new", []), ("code", "P = 1", ["parameters"]), ("markdown", "more", []), ("code", "x", [])
    )
    sources = [cell["source"] for cell in json.loads(with_prose(executed, today))["cells"]]
    assert sources == ["new", "P = 1", "P = 2", "more", "x"]
    other = notebook(("code", "y", []))
    assert with_prose(executed, other) == executed


def test_ingredients_are_compared_one_by_one():
    rows = explain.compare({"a": "1", "b": "2", "c": "3"}, {"a": "1", "b": "9", "d": "4"})
    assert rows == [
        ("a", "same", "1", "1"),
        ("c", "gone", "3", "n/a"),
        ("d", "new", "n/a", "4"),
        ("b", "changed", "2", "9"),
    ]


@pytest.fixture
def performed(monkeypatch):
    """Lessons that a run performs, by a stand-in for the worker that leaves what a real one would."""
    done = []

    def perform(task, stop, *_):
        done.append(task.lesson)
        finished = {name: sorted(files) for name, files in task.builds_on.items()}
        receipt = json.dumps({"profile": "smoke", "checks": [], "metrics": {}})
        status = "failed" if "fails" in task.source else "passed"
        error = {"cell": 1, "prompt": 1, "source": "x", "name": "E", "message": "m"} if status == "failed" else None
        outcome = Outcome(status, 0.5, 9, error, json.loads(receipt))
        content = json.loads(task.source)
        content["metadata"]["seen"] = finished
        return Result(outcome, json.dumps(content), receipt, {"weights": task.lesson.encode()})

    monkeypatch.setattr(pool, "perform", perform)
    return done


def run(tmp_path, lessons, number=1, **options):
    folder = tmp_path / f"report{number}"
    return run_course(lessons, report_dir=folder, containment=HELD, **{"use_cache": True, "jobs": 1} | options)


def test_a_second_run_performs_nothing_and_restores_everything(tmp_path, performed):
    lessons = [make(tmp_path, "a"), make(tmp_path, "b", "x = 1", course={"builds_on": ["a"]})]
    first, second = run(tmp_path, lessons), run(tmp_path, lessons, 2)
    assert performed == ["a", "b"]
    assert [row.from_cache for row in first.lessons + second.lessons] == [False, False, True, True]
    for one, other in zip(first.lessons, second.lessons, strict=True):
        assert replace(other, from_cache=False) == one
    for name in ("receipts/a.json", "artefacts/a/weights", "artefacts/b/weights"):
        assert (second.folder / name).read_bytes() == (first.folder / name).read_bytes()
    assert json.loads((second.folder / "b.ipynb").read_text())["metadata"]["seen"] == {"a": ["weights"]}


def test_a_renamed_notebook_comes_from_the_cache_under_its_new_name(tmp_path, performed):
    old = make(tmp_path, "week98_old")
    run(tmp_path, [old])
    old.path.rename(tmp_path / "week98_new.ipynb")
    report = run(tmp_path, [lesson_of(tmp_path / "week98_new.ipynb")], 2)
    [row] = report.lessons
    assert (row.from_cache, row.notebook, row.copy) == (True, "week98_new.ipynb", "week98_new.ipynb")
    assert (report.folder / row.copy).exists()
    assert performed == ["week98"]


def test_without_the_cache_everything_runs_and_nothing_is_stored(tmp_path, performed):
    lessons = [make(tmp_path, "a")]
    for number in (1, 2):
        run(tmp_path, lessons, number, use_cache=False)
    assert performed == ["a", "a"]
    assert cache.entries() == []


def test_what_failed_runs_again_and_a_changed_cell_too(tmp_path, performed):
    bad, good = make(tmp_path, "bad", "# fails"), make(tmp_path, "good", "x = 1")
    run(tmp_path, [bad, good])
    good = make(tmp_path, "good", "x = 2")
    run(tmp_path, [bad, good], 2)
    assert sorted(performed) == ["bad", "bad", "good", "good"]


def test_what_builds_on_a_changed_lesson_runs_again(tmp_path, performed):
    for number, code in ((1, "x = 1"), (2, "x = 2")):
        lessons = [make(tmp_path, "a", code), make(tmp_path, "b", course={"builds_on": ["a"]}), make(tmp_path, "c")]
        run(tmp_path, lessons, number)
    assert sorted(performed) == ["a", "a", "b", "b", "c"]


def test_a_lesson_whose_predecessor_failed_runs_with_what_ships_and_says_so(tmp_path, performed):
    lessons = [make(tmp_path, "a", "# fails"), make(tmp_path, "b", course={"builds_on": ["a"]})]
    report = run(tmp_path, lessons)
    assert [row.status for row in report.lessons] == ["failed", "passed"]
    assert report.lessons[1].warnings == ("a did not pass, so this lesson built on what ships with the course",)
    assert json.loads((report.folder / "b.ipynb").read_text())["metadata"]["seen"] == {}
    alone = run(tmp_path, lessons[1:], 2)
    assert (alone.lessons[0].from_cache, alone.lessons[0].warnings) == (True, report.lessons[1].warnings)


def test_a_flipped_byte_makes_the_lesson_run_again(tmp_path, performed):
    lessons = [make(tmp_path, "a")]
    run(tmp_path, lessons)
    [entry] = (runs_dir() / ".cache").iterdir()
    damaged = bytearray((entry / "copy.ipynb").read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (entry / "copy.ipynb").write_bytes(damaged)
    assert run(tmp_path, lessons, 2).lessons[0].from_cache is False
    assert run(tmp_path, lessons, 3).lessons[0].from_cache is True
    assert performed == ["a", "a"]


def test_two_runners_at_once_are_both_right(tmp_path, performed):
    lessons = [make(tmp_path, name) for name in "abc"]
    with ThreadPoolExecutor() as threads:
        reports = list(threads.map(lambda number: run(tmp_path, lessons, number), (1, 2)))
    assert [report.status for report in reports] == ["passed", "passed"]
    assert len(cache.entries()) == 3
    assert len(performed) in range(3, 7)


def test_two_runs_into_one_report_folder_are_refused(tmp_path, performed, monkeypatch):
    lesson, nested = make(tmp_path, "a"), []

    def again(task, stop, *_):
        with pytest.raises(CourseError, match=r"Another run is writing its report to .*report1"):
            run(tmp_path, [lesson])
        nested.append(task.lesson)
        return Result(Outcome("passed", 0.1, None, None, None))

    monkeypatch.setattr(pool, "perform", again)
    run(tmp_path, [lesson], use_cache=False)
    assert nested == ["a"]


def test_a_file_that_changes_while_a_lesson_runs_is_not_cached(tmp_path, monkeypatch):
    lesson = make(tmp_path, "a", "x = 1")

    def edits(task, stop, *_):
        make(tmp_path, "a", "x = 2")
        return Result(Outcome("passed", 0.1, None, None, None), task.source)

    monkeypatch.setattr(pool, "perform", edits)
    run(tmp_path, [lesson])
    assert cache.entries() == []


def test_explain_says_what_changed(tmp_path, performed):
    lesson = make(tmp_path, "a", "x = 1")
    ask = lambda: explain.explain(lesson, [lesson], None, {}, 1, "blank")  # noqa: E731
    assert ask()[1] == "a will run: the cache has no entry of it."
    run(tmp_path, [lesson])
    assert ask()[1].startswith("a comes from the cache")
    make(tmp_path, "a", "x = 2")
    rows, verdict = ask()
    assert (rows[-1][:2], rows[-2][1]) == (("code", "changed"), "same")
    assert verdict.startswith("a will run again: 1 of")

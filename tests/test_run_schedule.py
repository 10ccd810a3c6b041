"""Which notebook starts when: graph, order, memory, GPUs, and what was recorded. No kernel is started here."""

import json
import time
from dataclasses import asdict

import pytest
from notebook_maker import make

from course_utils.errors import CourseError
from course_utils.gpu import nvml
from course_utils.learn.paths import project_dir
from course_utils.run import history, machine, plan
from course_utils.run.containment import watchdog
from course_utils.run.graph import in_order, seconds_to_the_end, waits_for
from course_utils.run.history import Cost
from course_utils.run.notebook import Notebook
from course_utils.run.report import Row
from course_utils.run.schedule import UNKNOWN_PEAK_BYTES, Capacity, Need, admit, order, ready, seconds_left

GIB = 1024**3
HELD = watchdog("a test says so")


def notebook(lesson, *builds_on):
    return Notebook(lesson, None, lesson, False, (), builds_on)


def test_a_lesson_waits_for_those_it_builds_on_that_are_in_the_run():
    graph = waits_for([notebook("c", "a", "elsewhere"), notebook("a"), notebook("b", "c")])
    assert graph == {"c": ("a",), "a": (), "b": ("c",)}
    assert in_order(graph) == ("a", "c", "b")


def test_a_circle_is_refused_and_names_its_lessons(tmp_path):
    lessons = [make(tmp_path, one, course={"builds_on": [two]}) for one, two in ("ab", "bc", "ca", "da")]
    with pytest.raises(CourseError, match=r"in a circle: (a → b → c → a|b → c → a → b|c → a → b → c)\. Take one"):
        plan.make(lessons, None, None, None, 9, tmp_path / "report", HELD)


def test_a_lesson_that_builds_on_itself_is_a_circle():
    with pytest.raises(CourseError, match="a → a"):
        waits_for([notebook("a", "a")])


@pytest.mark.parametrize("value", ["week03", {"week03": 1}, [3]])
def test_builds_on_must_be_a_list_of_lessons(tmp_path, value):
    with pytest.raises(CourseError, match=r'builds_on.*Write a list of lessons, such as \["week03"\]'):
        plan.make([make(tmp_path, "a", course={"builds_on": value})], None, None, None, 9, tmp_path / "report", HELD)


def test_the_longest_chain_of_work_starts_first():
    graph = {"long": (), "short": (), "first": (), "then": ("first",), "last": ("then",)}
    seconds = {"long": 50, "short": 10, "first": 5, "then": 20, "last": 30}
    assert seconds_to_the_end(graph, seconds) == {"long": 50, "short": 10, "first": 55, "then": 50, "last": 30}
    needs = {name: Need(seconds=value) for name, value in seconds.items()}
    assert order(graph, needs)[0] == "first"
    assert order(graph, needs)[-1] == "short"


def test_a_lesson_of_unknown_length_counts_as_average():
    needs = {"known": Need(seconds=39), "unknown": Need(), "longer": Need(seconds=41)}
    assert order(dict.fromkeys(needs, ()), needs) == ["longer", "unknown", "known"]


def test_a_lesson_is_ready_when_all_it_waits_for_has_ended():
    graph = {"a": (), "b": ("a",), "c": ("a", "b")}
    assert ready(["c", "b", "a"], graph, set()) == ["a"]
    assert ready(["c", "b"], graph, {"a"}) == ["b"]
    assert ready(["c"], graph, {"a", "b"}) == ["c"]


def test_no_more_notebooks_run_than_there_are_jobs():
    needs = dict.fromkeys("abc", Need(peak_bytes=1))
    assert admit("bc", {"a": None}, needs, Capacity(2)) == [("b", None)]


def test_four_heavy_notebooks_never_start_on_8_gib():
    needs = dict.fromkeys("abcd", Need(peak_bytes=3 * GIB))
    started = admit("abcd", {}, needs, Capacity(4, memory_bytes=8 * GIB))
    assert [name for name, _ in started] == ["a", "b"]
    assert admit("cd", {"a": None, "b": None}, needs, Capacity(4, memory_bytes=8 * GIB)) == []


def test_a_small_notebook_passes_one_that_must_wait_for_memory():
    needs = {"runs": Need(peak_bytes=5 * GIB), "large": Need(peak_bytes=6 * GIB), "small": Need(peak_bytes=GIB)}
    assert admit(["large", "small"], {"runs": None}, needs, Capacity(3, memory_bytes=8 * GIB)) == [("small", None)]


def test_a_notebook_that_needs_more_than_there_is_runs_alone():
    needs = {"huge": Need(peak_bytes=20 * GIB), "small": Need(peak_bytes=GIB)}
    capacity = Capacity(2, memory_bytes=8 * GIB)
    assert admit(["huge", "small"], {}, needs, capacity) == [("huge", None)]
    assert admit(["small"], {"huge": None}, needs, capacity) == []
    assert admit(["huge"], {"small": None}, needs, capacity) == []


def test_an_unknown_peak_counts_as_the_stated_default():
    needs = dict.fromkeys("abc", Need())
    started = admit("abc", {}, needs, Capacity(3, memory_bytes=2 * UNKNOWN_PEAK_BYTES))
    assert [name for name, _ in started] == ["a", "b"]


def test_one_notebook_at_a_time_has_a_card_and_others_run_beside_it():
    needs = {name: Need(peak_bytes=1, uses_gpu=name.startswith("gpu")) for name in ("gpu1", "gpu2", "gpu3", "cpu")}
    assert admit(["gpu1", "gpu2", "cpu"], {}, needs, Capacity(4, gpus=("A",))) == [("gpu1", "A"), ("cpu", None)]
    two = Capacity(4, gpus=("A", "B"))
    assert admit(["gpu1", "gpu2", "gpu3"], {}, needs, two) == [("gpu1", "A"), ("gpu2", "B")]
    assert admit(["gpu3"], {"gpu2": "B"}, needs, two) == [("gpu3", "A")]
    assert admit(["gpu1", "gpu2"], {}, needs, Capacity(4, gpus=None)) == [("gpu1", None), ("gpu2", None)]


def test_gpus_are_those_that_the_driver_has_or_the_variable_allows(monkeypatch):
    answers = {"nvmlSystemGetDriverVersion": "580.1", "nvmlDeviceGetCount": 2}
    answers |= {("nvmlDeviceGetHandleByIndex", n): f"card {n}" for n in (0, 1)}
    answers |= {("nvmlDeviceGetUUID", f"card {n}"): f"GPU-{n}" for n in (0, 1)}
    monkeypatch.setattr(nvml, "ask", lambda name, *rest: answers[(name, *rest) if rest else name])
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert machine.gpus() == ("GPU-0", "GPU-1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1, 0")
    assert machine.gpus() == ("1", "0")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert machine.gpus() == ()


def row(lesson, status="passed", **other):
    return Row(lesson, lesson, f"{lesson}.ipynb", status=status, seconds=3.5, peak_bytes=7, **other)


def test_what_passed_is_recorded_by_lesson_and_profile_beside_what_was_known(tmp_path):
    history.record(tmp_path, [row("a"), row("b", "failed"), row("c", from_cache=True)], "cpu")
    history.record(tmp_path, [row("a")], "smoke")
    known = history._load(tmp_path / "costs.json")
    assert known == {("a", "cpu"): Cost(3.5, 7), ("a", "smoke"): Cost(3.5, 7)}
    assert history.read(tmp_path).items() >= known.items()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"costs": 3}', '{"costs": {"a": 1}}', "\ufffd"])
def test_a_damaged_history_is_as_good_as_none(tmp_path, content):
    (tmp_path / "costs.json").write_text(content)
    assert history._load(tmp_path / "costs.json") == {}
    history.record(tmp_path, [row("a")], "cpu")
    assert history._load(tmp_path / "costs.json") == {("a", "cpu"): Cost(3.5, 7)}


def test_only_numbers_count_as_recorded(tmp_path):
    costs = {"a": {"cpu": {"seconds": "fast", "peak_bytes": -1}, "smoke": {"seconds": True}}}
    (tmp_path / "costs.json").write_text(json.dumps({"costs": costs}))
    assert set(history._load(tmp_path / "costs.json").values()) == {Cost(None, None)}


def test_a_plan_needs_what_was_recorded(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_RUNS_DIR", str(tmp_path / "runs"))
    history.record(tmp_path / "runs", [row("a")], "smoke")
    lessons = [make(tmp_path, "a"), make(tmp_path, "b", course={"gpu": True})]
    made = plan.make(lessons, "smoke", None, None, 9, tmp_path / "report", HELD)
    assert made.needs == {"a": Need(3.5, 7), "b": Need()}
    assert made.capacity.memory_bytes > 0


def test_a_thousand_notebooks_are_planned_in_seconds(tmp_path):
    graph = {f"{number}": (f"{number // 2}",) if number else () for number in range(1000)}
    needs = {lesson: Need(seconds=len(lesson), peak_bytes=GIB) for lesson in graph}
    capacity, started = Capacity(4, memory_bytes=3 * GIB), time.monotonic()
    waiting, running, ended = order(graph, needs), {}, set()
    while waiting or running:
        for lesson, gpu in admit(ready(waiting, graph, ended), running, needs, capacity):
            waiting.remove(lesson)
            running[lesson] = gpu
        assert 0 < len(running) <= 3
        ended.add(running.popitem()[0])
    assert len(ended) == 1000
    assert time.monotonic() - started < 30


def test_the_starter_file_is_made_from_what_passed_in_real_reports(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(project_dir() / "tools"))
    import starter_costs

    rows = [row("a", profile="cpu"), row("b", "failed", profile="cpu"), row("c", profile="cpu", from_cache=True)]
    for name, seconds in (("old", 9.0), ("new", 4.0)):
        lessons = [asdict(one) | {"seconds": seconds} for one in rows]
        (tmp_path / name).write_text(json.dumps({"started": "2026-01-02T03:04:05+00:00", "lessons": lessons}))
    assert starter_costs.main([tmp_path / "old", tmp_path / "new"], tmp_path / "costs.json") == 1
    assert history._load(tmp_path / "costs.json") == {("a", "cpu"): Cost(4.0, 7)}
    assert json.loads((tmp_path / "costs.json").read_text())["dates"] == ["2026-01-02"]


@pytest.mark.parametrize(
    "gone, jobs, left",
    [
        ({"a": 60, "b": 0, "unknown": 0}, 2, (40 + 20 + 40) / 2),
        ({"a": 0, "b": 0}, 2, 100),  # the longest by itself takes longer than its share
        ({"a": 90, "b": 25}, 1, 10),  # one that takes longer than it took before is about to end
        ({"b": 5}, 4, 15),
    ],
)
def test_the_time_left_is_that_of_the_longest_lesson_or_of_all_shared_out(gone, jobs, left):
    needs = {"a": Need(100.0), "b": Need(20.0), "unknown": Need()}
    assert seconds_left(needs, gone, jobs) == left

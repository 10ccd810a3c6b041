"""The cache's key: what a lesson reaches, and that nothing else changes it. No kernel is started here."""

import json
import shutil

import pytest

from course_utils.learn import catalog
from course_utils.learn.paths import project_dir
from course_utils.run import key, reach
from course_utils.run.notebook import load
from course_utils.run.reach import Tree, reached

LESSONS = catalog.lessons()
SHARED = {"parameters": {}, "profile": "smoke", "mode": "blank", "threads": 1}


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """A copy of the real package to change at will, and the keys that its lessons have."""
    root = tmp_path_factory.mktemp("clone")
    skip = shutil.ignore_patterns("__pycache__", "*.safetensors")
    shutil.copytree(project_dir() / "course_utils", root / "course_utils", ignore=skip)
    shutil.copytree(project_dir() / "benchmarks" / "results", root / "benchmarks" / "results")
    shutil.copy(project_dir() / "requirements.lock", root)
    return root, keys(root)


def keys(root, **changed):
    tree = Tree(root)
    shared = key.shared(tree, **SHARED | changed)
    return {one.id: key.key_of(shared | key.ingredients(tree, one.id, load(one.path), {})) for one in LESSONS}


def changed_by(real, path, change=lambda content: content + b"\n# changed\n"):
    """The lessons that get another key when a file is changed; the file is put back."""
    root, before = real
    original = (root / path).read_bytes()
    (root / path).write_bytes(change(original))
    try:
        after = keys(root)
    finally:
        (root / path).write_bytes(original)
    return {lesson for lesson in before if after[lesson] != before[lesson]}


ALL = {one.id for one in LESSONS}


def uses(word):
    return {one.id for one in LESSONS if word in one.path.read_text()}


@pytest.mark.parametrize(
    "path",
    [
        "cli.py",
        "cli_run.py",
        "run/contract.py",
        "run/report.py",
        "run/page.py",
        "learn/rebuild.py",
        "book/static/course.css",  # "static" is also a kind of cache in the planner
        "book/template/exercises.py",
        "exercises/__init__.py",
    ],
)
def test_a_comment_in_a_module_that_no_lesson_reaches_changes_no_key(real, path):
    expected = ALL if path == "exercises/__init__.py" else set()  # which each check imports
    assert changed_by(real, f"course_utils/{path}") == expected


@pytest.mark.parametrize(
    ("path", "lessons"),
    [
        ("exercises/week03.py", {"week03"}),
        ("learn/efficientnet_lite.py", uses("efficientnet_lite")),
        ("learn/gguf_export.py", uses("gguf_export")),
        ("gpu/gauge/gauge.py", uses("course.gauge")),
        ("gpu/gauge/gauge.css", uses("course.gauge")),
        ("gpu/planner/trace.py", uses("course.plan(") | uses("gpu.plan")),
        ("gpu/monitor/batch.py", uses("course.fit_batch_size")),
        ("learn/bundled/bands/week04a.json", {"week04a"}),
        ("learn/bundled/bands/week04a_ablation.json", uses("week04a_ablation.json")),
        ("learn/bundled/card_facts.jsonl", uses("facts.FILE") | uses("import facts")),
        ("learn/plots.py", ALL),
        ("learn/check.py", ALL),
        ("__init__.py", ALL),
        ("run/worker.py", ALL),
        ("gpu/oom/capped.py", ALL),  # which `%%capped` starts as a process, and course.start installs that
    ],
)
def test_a_changed_helper_changes_the_keys_of_the_lessons_that_reach_it(real, path, lessons):
    assert lessons
    assert changed_by(real, f"course_utils/{path}") == lessons


def test_a_result_of_a_benchmark_counts_where_a_notebook_reads_it(real):
    assert changed_by(real, "benchmarks/results/chatbot.json") == uses("chatbot.json")
    assert changed_by(real, "benchmarks/results/doctor_time.json") == set()


def test_another_lock_changes_every_key(real):
    assert changed_by(real, "requirements.lock") == ALL


@pytest.mark.parametrize(
    "changed", [{"parameters": {"SEED": 1}}, {"profile": "cpu"}, {"mode": "reference"}, {"threads": 2}], ids=str
)
def test_another_setting_changes_every_key(real, changed):
    root, before = real
    after = keys(root, **changed)
    assert all(after[lesson] != before[lesson] for lesson in ALL)


def test_threads_that_the_user_set_count_and_not_those_of_the_plan(real, monkeypatch):
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "LOKY_MAX_CPU_COUNT"):
        monkeypatch.setenv(name, "3")
    assert keys(real[0], threads=1) == keys(real[0], threads=2) != real[1]


def made(root, *cells, course=None, prose="# Title"):
    code = [{"cell_type": "code", "metadata": {"tags": []}, "source": text, "outputs": []} for text in cells]
    return {
        "cells": [{"cell_type": "markdown", "metadata": {}, "source": prose}, *code],
        "metadata": {"course": course or {}},
    }


def own(root, content, builds_on=None):
    return key.ingredients(Tree(root), "made_up", content, builds_on or {})


def test_prose_and_outputs_are_no_ingredient_but_code_tags_and_passport_are(real):
    root = real[0]
    before = own(root, made(root, "a = 1", "b = 2"))
    other_prose, printed, tagged = (made(root, "a = 1", "b = 2", prose="# Other") for _ in range(3))
    printed["cells"][1]["outputs"] = [{"output_type": "stream", "text": "1"}]
    tagged["cells"][1]["metadata"]["tags"] = ["skip-execution"]
    assert own(root, other_prose) == own(root, printed) == before
    assert own(root, tagged)["code"] != before["code"]
    assert own(root, made(root, "a = 1", "b = 3"))["code"] != before["code"]
    assert own(root, made(root, "b = 2", "a = 1"))["code"] != before["code"]
    assert own(root, made(root, "a = 1", "b = 2", course={"title": "T"}))["passport"] != before["passport"]


def test_the_key_of_a_lesson_that_is_built_on_is_an_ingredient(real):
    content = made(real[0], "a = 1")
    shipped, result = (own(real[0], content, {"week03": value}) for value in (key.SHIPPED, "f" * 64))
    assert shipped["builds on week03"] == "as shipped"
    assert key.key_of(shipped) != key.key_of(result)


def test_assets_and_models_count_by_the_sha256_of_their_tables(real):
    code = 'import course_utils as course\nname = "smollm2-135m"\ncourse.assets.load(pick(a="ames", b="mnist"))\ncourse.assets.model(name)'
    found = own(real[0], made(real[0], code))
    named = {name: value for name, value in found.items() if name.startswith(("asset ", "model "))}
    assert named.keys() == {"asset ames", "asset mnist", "model smollm2-135m"}
    assert json.loads(named["asset ames"]) == ["d762455409d222fb9b954973f536072b8313382e9aba0123627a037c9fd8f7ce"]
    assert len(json.loads(named["asset mnist"])) == 4
    assert "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53" in named["model smollm2-135m"]


@pytest.fixture
def small(tmp_path):
    """A made-up package, whose `plots` import `deep` in a function."""
    files = {
        "__init__": '_HOMES = {"plots": "learn.plots"}',
        "learn/__init__": "",
        "learn/plots": "def show():\n    from course_utils.learn.deep import f",
        "learn/deep": "",
    }
    for name, content in files.items():
        path = tmp_path / "course_utils" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return Tree(tmp_path)


PLOTS = {"__init__", "learn/__init__", "learn/plots", "learn/deep"}
DEEP = {"__init__", "learn/__init__", "learn/deep"}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("x = 1", set()),
        ("import course_utils as c\nc.plots.show()", PLOTS),
        ("from course_utils import plots", PLOTS),
        ("import course_utils.learn.deep", DEEP),
        ("def f():\n    from course_utils.learn import deep", DEEP),
        ("run('python', '-m', 'course_utils.learn.deep')", DEEP),
        ("%matplotlib inline\n!ls\nimport course_utils", {"__init__"}),
        ("%%capped 0.5\nimport course_utils", {"__init__"}),
        ("await x\nimport course_utils", {"__init__"}),
        ("x = %time 3", PLOTS),  # not plain Python: it may reach anything
    ],
)
def test_a_notebook_reaches_what_it_imports_and_what_that_imports(small, code, expected):
    found = {path.removeprefix("course_utils/").removesuffix(".py") for path in reached(small, [code], "made_up")}
    assert found == expected


def test_the_real_lazy_names_all_have_a_home():
    import course_utils

    tree = Tree(project_dir())
    assert tree.homes == course_utils._HOMES
    for name in course_utils.__all__:
        found = reached(tree, [f"import course_utils as course\ncourse.{name}"], "made_up")
        assert len(found) > 1


def test_code_is_read_once_for_all_notebooks_of_a_run():
    tree = Tree(project_dir())
    first = tree.read("course_utils/errors.py")
    assert tree.read("course_utils/errors.py") is first
    assert tree.read("course_utils/no_such.py") is None
    assert reach.names_in(first) is reach.names_in(bytes(first))

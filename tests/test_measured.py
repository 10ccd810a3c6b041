"""Measured video memory: which result a passport shows."""

import importlib.util
import json
from dataclasses import replace

import pytest

from course_utils.errors import CourseError
from course_utils.gpu.device import GIB
from course_utils.learn import catalog, passport
from course_utils.learn.measured import FOLDER, measured_text, results
from course_utils.learn.paths import project_dir

CAP = {"nominal_gb": 12, "visible_bytes": int(11.70 * GIB)}
H100 = {"card": "NVIDIA H100 80GB HBM3", "card_total_bytes": 79 * GIB}
TI = {"card": "NVIDIA GeForce RTX 4070 Ti", "card_total_bytes": int(11.72 * GIB)}


def row(name, process=None, reserved=None, context=None, status="measured"):
    sizes = {"process_bytes": process, "reserved_bytes": reserved, "context_bytes": context}
    return {"name": name, "status": status} | {key: size and int(size * GIB) for key, size in sizes.items()}


@pytest.fixture
def write(tmp_path):
    def write(name, rows, card=H100, date="2026-11-24T10:00:00+00:00", cap=CAP, device="cuda", tiny=False):
        head = {"kind": "gpu contract", "date": date, "device": device, "tiny": tiny, "cap": cap} | card
        (tmp_path / f"{name}.json").write_text(json.dumps(head | {"rows": rows}))

    return write


def test_without_a_result_or_without_rows_it_is_not_measured_yet(tmp_path, write):
    assert measured_text(["gpt-amp"], tmp_path) == "not measured yet"
    write("a", [row("gpt-amp", 3)])
    assert measured_text(None, tmp_path) == measured_text([], tmp_path) == "not measured yet"


def test_the_largest_row_is_shown_with_card_date_and_cap(tmp_path, write):
    write("a", [row("small", 3), row("large", 6.9), row("another", 9)])
    assert measured_text(["small", "large"], tmp_path) == "6.90 GiB (H100 80GB HBM3, 2026-11-24, capped to 12 GB)"


def test_a_card_of_the_caps_own_size_is_not_called_capped(tmp_path, write):
    write("a", [row("small", 3)], card=TI)
    assert measured_text(["small"], tmp_path) == "3.00 GiB (RTX 4070 Ti, 2026-11-24)"


def test_a_run_without_a_cap_does_not_claim_one(tmp_path, write):
    write("a", [row("small", 3)], cap=None)
    assert measured_text(["small"], tmp_path) == "3.00 GiB (H100 80GB HBM3, 2026-11-24)"


def test_the_newest_result_that_has_every_row_counts(tmp_path, write):
    write("a", [row("small", 3), row("large", 7)], date="2026-11-24T10:00:00+00:00")
    write("b", [row("small", 4), row("large", 8)], date="2026-11-25T10:00:00+00:00")
    write("c", [row("small", 5)], date="2026-11-26T10:00:00+00:00")
    write("d", [row("small", 5), row("large", status="skipped")], date="2026-11-27T10:00:00+00:00")
    assert measured_text(["small", "large"], tmp_path).startswith("8.00 GiB (H100 80GB HBM3, 2026-11-25")
    assert measured_text(["small"], tmp_path).startswith("5.00 GiB (H100 80GB HBM3, 2026-11-27")


def test_where_the_driver_hides_processes_cache_and_context_are_added(tmp_path, write):
    write("a", [row("small", reserved=5, context=0.5)])
    assert measured_text(["small"], tmp_path).startswith("5.50 GiB")
    write("a", [row("small", reserved=5)])
    assert measured_text(["small"], tmp_path) == "not measured yet"


def test_a_row_that_ran_out_of_memory_says_so(tmp_path, write):
    write("a", [row("small", 3), row("large", 10, status="out of memory")])
    assert measured_text(["small", "large"], tmp_path).startswith("out of memory (H100 80GB HBM3, 2026-11-24")


@pytest.mark.parametrize("other", [{"tiny": True}, {"device": "cpu", "card": {"card": None, "card_total_bytes": None}}])
def test_toy_sizes_and_cpu_runs_are_no_measurements(tmp_path, write, other):
    write("a", [row("small", 3)], **other)
    assert measured_text(["small"], tmp_path) == "not measured yet"


def test_the_passport_shows_it(tmp_path, write, monkeypatch):
    monkeypatch.setattr("course_utils.learn.measured.FOLDER", tmp_path)
    write("a", [row("small", 3)])
    papers = passport.read(catalog.resolve("week01").path)
    papers = replace(papers, vram={"estimated_bytes": 2 * GIB, "measured": ["small"]})
    words = "estimated 2.00 GiB · measured 3.00 GiB (H100 80GB HBM3, 2026-11-24, capped to 12 GB)"
    assert ("Video memory (VRAM)", words) in passport.rows(papers)


def test_other_benchmarks_beside_it_are_passed_over(tmp_path):
    (tmp_path / "runner_overhead.json").write_text('{"rounds": 7}')
    (tmp_path / "list.json").write_text("[1]")
    assert results(tmp_path) == []


def test_a_broken_file_is_a_sentence_that_names_it(tmp_path):
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(CourseError, match="a.json is not JSON .*git checkout -- "):
        measured_text(["small"], tmp_path)


def test_the_committed_results_can_be_read():
    assert isinstance(results(FOLDER), list)


@pytest.mark.parametrize("lesson", catalog.lessons(), ids=lambda lesson: lesson.id)
def test_a_passport_names_only_rows_that_the_contract_has(lesson):
    vram = passport.read(lesson.path).vram or {}
    assert set(vram.get("measured") or ()) <= contract_rows()


def contract_rows():
    path = project_dir() / "benchmarks" / "contract" / "rows.py"
    specification = importlib.util.spec_from_file_location("contract_rows", path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return {row.name for row in module.every_row()}

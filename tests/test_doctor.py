"""What the doctor prints: a verdict, a cause, a command, details; and the same as JSON without names and paths."""

import json
from types import SimpleNamespace

import pytest
from machines import CPU_ONLY, GIB, HEALTHY, WSL, change, failing, without_work_on_the_card

from course_utils.gpu.doctor import details, doctor
from course_utils.gpu.doctor.doctor import Lesson, as_dict, examine, text
from course_utils.gpu.doctor.facts import Program
from course_utils.gpu.doctor.redact import clean, redact


def test_the_first_three_lines_are_verdict_cause_and_command():
    facts = without_work_on_the_card(driver__version="535.183.01", driver__cuda=(12, 2))
    first = text(examine(facts=facts)).splitlines()
    assert first[0] == "Broken: the driver is too old for this torch."
    assert first[1].startswith("Cause    The driver is 535.183.01")
    assert first[3] == "Command  sudo apt update && sudo apt install nvidia-driver-580"


def test_limits_beside_the_first_are_told_with_their_commands():
    facts = change(card__used_bytes=6 * GIB, storage__disk_free_bytes=GIB)
    printed = text(examine(facts=facts))
    assert "\nAlso     little disk: 1.00 GiB" in printed and "\nCommand  python -m pip cache purge\n" in printed


def test_no_line_is_longer_than_a_terminal_shows():
    for facts in (HEALTHY, WSL, CPU_ONLY, failing("attention (SDPA)", "x" * 40 + " y" * 100)):
        assert max(map(len, text(examine(facts=facts)).splitlines())) <= doctor.WIDTH


def row(facts, heading, label):
    return dict(dict(details.sections(facts))[heading])[label]


def test_memory_says_what_to_plan_with():
    assert row(HEALTHY, "Card memory", "on the box (nvidia-smi)") == "11.99 GiB"
    assert row(HEALTHY, "Card memory", "visible to torch") == "11.70 GiB"
    assert row(HEALTHY, "Card memory", "taken by others") == "900.00 MiB: Xorg 400.00 MiB, firefox 200.00 MiB"
    assert row(HEALTHY, "Card memory", "CUDA context, measured") == "300.00 MiB"
    assert row(HEALTHY, "Card memory", "plan with") == "10.50 GiB"


def test_what_this_kernel_holds_can_be_planned_with_too():
    facts = change(work__plan_bytes=8 * GIB, card__programs=(Program("python", 2 * GIB, True),))
    assert details.plan_bytes(facts) == 10 * GIB


def test_windows_hides_who_holds_the_card():
    assert row(WSL, "Card memory", "taken by others") == "900.00 MiB: Windows does not tell which"


def test_the_driver_and_the_wheels_minimum_are_both_in_words():
    assert row(HEALTHY, "Driver and card", "NVIDIA driver") == "580.95.05"
    assert row(HEALTHY, "Driver and card", "this torch needs driver") == (
        "580 or newer (CUDA 13.0 came with 580.65.06)"
    )


def test_speeds_are_shares_of_the_data_sheet_on_a_card_and_bare_on_a_cpu():
    assert row(HEALTHY, "Speed, on the card", "memory copy").endswith("450 GB/s   89% of the data sheet's 504")
    assert row(CPU_ONLY, "Speed, on the CPU", "memory copy").strip() == "20 GB/s"


def test_a_card_without_a_data_sheet_is_said_to_have_none():
    assert row(change(work__card="NVIDIA RTX A6000"), "Speed, on the card", "data sheet") == (
        "this card is not in the course's table"
    )


@pytest.mark.parametrize(
    "version, words",
    [
        ("531.79", "fails with"),
        ("536.39", "fails with"),
        ("536.40", "no switch"),
        ("545.92", "no switch"),
        ("546.01", "Prefer No Sysmem Fallback"),
        ("581.57", "Prefer No Sysmem Fallback"),
        ("580.95.05", "Prefer No Sysmem Fallback"),
        ("530.30.02", "fails with"),
        ("535.104.05", "does not tell"),
        ("545.23.08", "does not tell"),
        (None, "n/a"),
        ("odd", "n/a"),
    ],
)
def test_windows_drivers_spill_since_536_40_and_have_a_switch_since_546_01(version, words):
    assert words in details.spill(change(WSL, driver__version=version))
    assert "does not spill" in details.spill(change(driver__version=version))


def choose(card):
    return SimpleNamespace(profile="cpu" if card is None else "gpu12", reason="")


@pytest.mark.parametrize(
    "facts, lesson, profile, words",
    [
        (HEALTHY, (True, 7 * GIB, "llm", ()), "gpu12", "runs on the card: needs 7.00 GiB of 10.50 GiB"),
        (HEALTHY, (True, 11 * GIB, None, ()), "gpu12", "needs 11.00 GiB, 10.50 GiB are there"),
        (HEALTHY, (True, None, None, ()), "gpu12", "not estimated yet"),
        (HEALTHY, (True, None, "llm", ("peft",)), "gpu12", "first `make extra NAME=llm`; runs on the card"),
        (HEALTHY, (False, None, None, ()), "gpu12", "runs; needs no GPU"),
        (CPU_ONLY, (True, 7 * GIB, None, ()), "cpu", "runs on the CPU with smaller sizes"),
        (failing("matmul float32", "wrong"), (True, 7 * GIB, None, ()), "cpu", "runs on the CPU"),
    ],
)
def test_each_lesson_is_told_whether_it_runs_and_how(facts, lesson, profile, words):
    report = examine([Lesson("week07", "Llama", *lesson)], choose, facts)
    assert report.lessons[0][1] == profile and words in report.lessons[0][2]
    assert words.split(":")[0] in text(report)


SECRETS = [
    "anna",
    "annas-pc",
    "/home/anna",
    "GPU-3f2a91c0-1b2c-4d5e-8f90-123456789abc",
    "hf_abcdefgh12345678",
    "a@b.org",
]


def test_the_json_tells_neither_who_nor_where_nor_which_card(monkeypatch):
    monkeypatch.setattr("course_utils.gpu.doctor.redact.known_names", lambda: ["annas-pc", "anna"])
    told = "anna@annas-pc: /home/anna/course/.venv/lib/x.so, token hf_abcdefgh12345678, a@b.org"
    facts = change(
        system__visible_devices=SECRETS[3],
        storage__allocator_settings="/home/anna/settings",
        work__error=f"OSError: {told}",
        work__ended="failed",
        work__during="open the card",
        work__cuda_error=told,
        work__allocator_error=told,
        card__programs=(Program("/home/anna/bin/train", GIB, False), Program("anna", None, False)),
    )
    facts = failing("matmul float32", f"RuntimeError: {told}", facts)
    found = json.dumps(as_dict(examine(facts=facts)))
    assert [secret for secret in SECRETS if secret in found] == []
    assert "<path>" in found and "<id>" in found and "<name>" in found and "<token>" in found


def test_redaction_leaves_the_diagnosis_and_its_command_as_they_are(monkeypatch):
    monkeypatch.setattr("course_utils.gpu.doctor.redact.known_names", lambda: ["ubuntu", "cuda", "linux"])
    assert redact(HEALTHY) == HEALTHY
    facts = change(WSL, storage__on_windows_disk=True)
    assert as_dict(examine(facts=facts))["command"] == examine(facts=facts).diagnosis.command


@pytest.mark.parametrize(
    "words, left",
    [
        ("at 83.5 GB/s of 504", "at 83.5 GB/s of 504"),
        ("no file /usr/lib/x.so, sorry", "no file <path>, sorry"),
        (r"C:\Users\Anna\x.py failed", "<path> failed"),
        ("~/course/.venv", "<path>"),
        ("https://download.pytorch.org/whl/cu126", "https://download.pytorch.org/whl/cu126"),
        ("file:///home/x/y", "<path>"),
        ("512×512, error 4e-07", "512×512, error 4e-07"),
    ],
)
def test_paths_go_and_everything_else_stays(words, left):
    assert clean(words, []) == left


def test_the_json_can_be_read_back_and_has_none_where_nothing_was_read():
    found = json.loads(json.dumps(as_dict(examine(facts=CPU_ONLY))))
    assert found["status"] == 1 and found["card"] is None and found["plan_bytes"] is None
    assert as_dict(examine(facts=HEALTHY))["data_sheet"][0]["share"] == pytest.approx(450 / 504)


def test_the_notebooks_call_prints_and_returns_nothing(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "gather", lambda: HEALTHY)
    assert doctor.doctor() is None
    assert capsys.readouterr().out.startswith("Healthy: NVIDIA GeForce RTX 4070 Ti did all the work")

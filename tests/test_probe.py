"""The real work: right results pass, wrong ones do not, and a child that dies or hangs is told apart."""

import json
import subprocess
import sys
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from course_utils.gpu.doctor import checks, probe, speed, work
from course_utils.gpu.doctor.checks import CHECKS, Device, Missing, Wrong


@pytest.fixture(scope="module")
def cpu():
    import torch

    torch.manual_seed(0)
    return Device(torch, "cpu")


@pytest.mark.parametrize("name", [name for name in CHECKS if "bitsandbytes" not in name])
def test_this_cpu_does_the_work_and_it_is_timed(cpu, name):
    found = probe.attempt(CHECKS[name], cpu)
    assert found["passed"] is True, found["detail"]
    assert found["milliseconds"] > 0 and "error" in found["detail"] or "takes" in found["detail"]


def off_by(cpu, share, name):
    """The same torch with one function whose results are wrong by a share of their size."""

    class Bent:
        def __getattr__(self, attribute):
            return getattr(cpu.torch, attribute)

    bent = Bent()
    functional = SimpleNamespace(**vars(cpu.torch.nn.functional))
    setattr(
        functional, name, lambda *words, **named: getattr(cpu.torch.nn.functional, name)(*words, **named) * (1 + share)
    )
    bent.nn = SimpleNamespace(functional=functional)
    return Device(bent, "cpu")


@pytest.mark.parametrize("check, function", [(checks.attention, "scaled_dot_product_attention")])
def test_a_device_that_computes_wrongly_fails(cpu, check, function):
    assert probe.attempt(check, off_by(cpu, 0, function))["passed"] is True
    found = probe.attempt(check, off_by(cpu, 0.01, function))
    assert found["passed"] is False and "Wrong: the result is off by 0.01" in found["detail"]


def test_a_result_is_wrong_when_it_is_off_or_not_a_number(cpu):
    right = cpu.torch.tensor([1.0, -4.0], dtype=cpu.torch.float64)
    assert checks.agree(right.float() + 0.004, right, 0.0011) == pytest.approx(0.001, rel=1e-3)
    for bad in (right + 0.01, right * float("nan")):
        with pytest.raises(Wrong, match="where 0.0011 is allowed"):
            checks.agree(bad, right, 0.0011)


@pytest.mark.parametrize(
    "error, passed, words",
    [
        (Missing("not installed: make extra NAME=llm"), None, "not installed: make extra NAME=llm"),
        (RuntimeError("CUDA error: no kernel image\nmore"), False, "RuntimeError: CUDA error: no kernel image"),
        (ImportError("libx.so"), False, "ImportError: libx.so"),
    ],
)
def test_work_that_cannot_be_tried_is_told_from_work_that_fails(cpu, error, passed, words):
    def refuse(device):
        raise error

    assert probe.attempt(refuse, cpu) == {"passed": passed, "milliseconds": None, "detail": words}


def test_without_bitsandbytes_the_4_bit_layer_names_the_extra(cpu, monkeypatch):
    monkeypatch.setattr(checks, "find_spec", lambda name: None)
    with pytest.raises(Missing, match="make extra NAME=llm"):
        checks.quantised_layer(cpu)


def test_a_speed_counts_bytes_read_and_written_and_two_operations_a_product(monkeypatch):
    monkeypatch.setattr(speed, "seconds_per_run", lambda run, device, budget=None: 0.5)
    assert speed.copy_gb_per_s("cpu") == pytest.approx(2 * 64 * 1024**2 / 0.5 / 1e9)
    assert speed.matmul_tflops("cpu") == pytest.approx(2 * 768**3 / 0.5 / 1e12)


def test_the_switch_for_tf32_is_put_back():
    import torch

    before = torch.get_float32_matmul_precision()
    with speed._tf32(True):
        assert torch.get_float32_matmul_precision() == "high"
    assert torch.get_float32_matmul_precision() == before


def test_seconds_are_those_of_one_run_and_the_best_block_counts(monkeypatch):
    clock, costs = [0.0], iter([9.0, 0.004, 0.004, 0.004, 0.02, 0.02, *[0.5] * 99])
    monkeypatch.setattr(speed.time, "perf_counter", lambda: clock[0])

    def run():
        clock[0] += next(costs)

    # Not counted: the first run (9 s). Blocks of 1, 2 and 4 runs: 4 ms, 4 ms, and slower ones.
    assert speed.seconds_per_run(run, "cpu", 0.5) == pytest.approx(0.004)


def card(mine, monkeypatch):
    """A stand-in for torch on a card of 1,000 bytes where 600 are free and 50 are kept in torch's cache."""
    monkeypatch.setattr(probe.memory, "process_bytes", lambda: mine)
    monkeypatch.setattr(probe, "expandable_segments", lambda torch: True)
    monkeypatch.setattr(probe.nvml, "memory", lambda: probe.nvml.Memory(1000, 400, 600))
    cuda = SimpleNamespace(empty_cache=lambda: None, mem_get_info=lambda: (600, 1000), memory_reserved=lambda: 50)
    return SimpleNamespace(cuda=cuda, _C=SimpleNamespace(_cuda_clearCublasWorkspaces=lambda: None))


@pytest.mark.parametrize(
    "mine, free_before, context",
    [(250, 900, 200), (None, 900, 250), (None, None, None), (None, 500, None)],
    ids=["by process", "by difference", "unreadable", "other programs freed memory meanwhile"],
)
def test_the_context_is_what_the_process_holds_beside_its_tensors(mine, free_before, context, monkeypatch):
    found = probe.card_memory(card(mine, monkeypatch), free_before)
    assert found["context_bytes"] == context
    assert found["plan_bytes"] == 650


def lines(*records):
    return "\n".join(json.dumps(one) for one in records)


TORCH = {
    "kind": "torch",
    "version": "2.14.1",
    "cuda": "13.0",
    "architectures": ["sm_75"],
    "device": "cuda",
    "cuda_error": None,
    "allocator_error": None,
}
CARD = {"kind": "card", "name": "RTX 4070 Ti", "capability": [8, 9], "total_bytes": 12}
CHECK = {"kind": "check", "name": "matmul float32", "passed": True, "milliseconds": 1.5, "detail": "512×512"}
STARTED = {"kind": "start", "name": "matmul bfloat16"}


def test_what_the_child_printed_is_read_among_what_libraries_print():
    memory = {"kind": "memory", "context_bytes": 1, "plan_bytes": 2, "expandable_segments": False}
    printed = lines(TORCH, CARD, CHECK) + "\nWarning: {not json\n[1]\n" + lines(memory, {"kind": "end"})
    found = work.read(printed, "a warning", 0)
    assert (found.ended, found.during, found.error) == ("finished", None, None)
    assert (found.device, found.capability, found.total_bytes, found.plan_bytes) == ("cuda", (8, 9), 12, 2)
    assert found.checks == (work.Check("matmul float32", True, 1.5, "512×512"),)
    assert found.architectures == ("sm_75",) and found.expandable_segments is False


@pytest.mark.parametrize(
    "status, complaint, ended, error",
    [
        (None, "", "timed out", None),
        (-11, "", "killed", "SIGSEGV"),
        (-6, "what():  Alloc\nframe #1\n", "killed", "SIGABRT: what():  Alloc"),
        (1, "Traceback\nImportError: libcudnn.so.9\n\nhelp", "failed", "ImportError: libcudnn.so.9"),
        (1, "", "failed", None),
    ],
)
def test_a_child_that_did_not_finish_says_what_it_was_doing(status, complaint, ended, error):
    found = work.read(lines(TORCH, CHECK, STARTED), complaint, status)
    assert (found.ended, found.during, found.error) == (ended, "matmul bfloat16", error)
    assert len(found.checks) == 1


def child(program):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", program], **pipes)


def test_a_hanging_child_is_ended():
    hanging = child(f"import time; print({lines(STARTED)!r}, flush=True); time.sleep(60)")
    found = work.collect(hanging, timeout_seconds=0.7)
    assert (found.ended, found.during) == ("timed out", "matmul bfloat16")
    assert hanging.returncode is not None


@pytest.fixture
def told(monkeypatch):
    """What the bar is told, as (count, total)."""
    found = []

    @contextmanager
    def recorded(title, unit):
        yield lambda *numbers: found.append(numbers)

    monkeypatch.setattr(work, "bar", recorded)
    return found


def test_a_bar_counts_what_the_child_has_done(told):
    printed = lines(STARTED, {"kind": "count", "steps": 2}, STARTED, {"kind": "end"})
    found = work.collect(child(f"import sys; print({printed!r}); sys.stderr.write('x' * 200_000)"))
    assert told == [(0, None), (0, 2), (1, 2), (1, 2)] and found.ended == "finished"


def test_a_crashing_child_is_read_by_its_signal():
    crashing = child(f"import os; print({lines(STARTED)!r}, flush=True); os.abort()")
    found = work.collect(crashing)
    assert (found.ended, found.during, found.error) == ("killed", "matmul bfloat16", "SIGABRT")


@pytest.mark.slow
def test_the_real_work_runs_to_its_end_on_this_machine(told):
    import torch

    found = work.collect(work.start())
    assert found.ended == "finished" and found.torch == torch.__version__ and found.cuda == torch.version.cuda
    assert found.device == ("cuda" if torch.cuda.is_available() else "cpu")
    assert [one.name for one in found.checks] == list(CHECKS)
    assert all(one.passed is not False for one in found.checks), found.checks
    assert all(one.value > 0 for one in found.speeds)
    count, total = told[-1]
    assert count + 1 == total > len(CHECKS)  # the last piece of work has no line after it but the end


@pytest.mark.slow
@pytest.mark.parametrize(
    "value, during, words",
    [("garbage", "import torch", "Alloc"), ("expandable_segmets:True", None, "Unrecognized key")],
)
def test_torch_itself_judges_the_allocators_variable(value, during, words, monkeypatch):
    monkeypatch.setenv("PYTORCH_ALLOC_CONF", value)
    found = work.collect(work.start())
    assert found.during == during
    assert words in (found.allocator_error or found.error)

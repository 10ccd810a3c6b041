"""The GPU contract without a GPU: its rows, its models' sizes, its children, and every row at toy size."""

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from course_utils.gpu import memory, nvml
from course_utils.gpu.device import GIB
from course_utils.learn.measured import FOLDER, measured_text
from course_utils.learn.paths import project_dir

BENCHMARKS = project_dir() / "benchmarks"
SCRIPT = BENCHMARKS / "gpu_contract.py"


@pytest.fixture(autouse=True)
def benchmarks_on_path(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def load(name):
    return importlib.import_module(name)


def contract(*arguments):
    return subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True)


# The rows


def test_every_row_of_the_issue_is_there_once():
    names = [row.name for row in load("contract.rows").every_row()]
    lengths = {"llama-2-7b": (512, 2048, 4096), "llama-3.1-8b": (512, 2048, 8192), "llama-2-13b": (512, 2048, 4096)}
    expected = ["context", "gpt-fp32", "gpt-amp"]
    expected += [f"resnet18-{batch}-{kind}" for batch in (128, 256, 512) for kind in ("fp32", "amp")]
    expected += [
        f"{shape}-{kind}-{n}" for shape, several in lengths.items() for n in several for kind in ("nf4", "int8")
    ]
    expected += [
        f"qlora-{shape}-{tokens}-{kind}"
        for shape in ("llama-2-7b", "llama-3.1-8b")
        for tokens in (512, 1024)
        for kind in ("checkpointing", "plain")
    ]
    expected += [
        f"{shape}-{batch}-{kind}"
        for shape in ("sd15", "sdxl")
        for batch in (1, 4)
        for kind in ("plain", "slicing", "offload")
    ]
    assert sorted(names) == sorted(expected)


def test_toy_sizes_change_only_settings_that_the_full_size_has():
    for row in load("contract.rows").every_row():
        assert set(row.tiny) <= set(row.settings), row.name
        assert row.tiny or not row.settings, row.name


def test_a_row_waits_only_for_rows_before_it():
    seen = set()
    for row in load("contract.rows").every_row():
        assert row.after is None or row.after in seen
        seen.add(row.name)


def row_named(name):
    return next(row for row in load("contract.rows").every_row() if row.name == name)


def test_a_missing_package_is_named_and_a_row_that_needs_more_is_not_tried():
    why_not = load("contract.results").why_not
    without = lambda name: None if name == "bitsandbytes" else name  # noqa: E731
    assert why_not(row_named("llama-2-7b-nf4-512"), {}, without) == "not installed: bitsandbytes"
    assert why_not(row_named("gpt-amp"), {}, without) is None
    row, smaller = row_named("llama-2-13b-int8-2048"), "llama-2-13b-int8-512"
    reason = f"{smaller} needs less and ran out of memory already"
    assert why_not(row, {smaller: {"status": "out of memory"}}, str) == reason
    assert why_not(row, {smaller: {"status": "measured"}}, str) is None


# The models


@pytest.mark.slow
def test_the_models_have_as_many_weights_as_the_published_ones():
    import torch

    llama, diffusion, vision, text = (load(f"contract.{name}") for name in ("llama", "diffusion", "vision", "text"))
    with torch.device("meta"):
        models = {
            "Llama-2-7B": (llama.on_meta("llama-2-7b"), 6_738_415_616),
            "Llama-3.1-8B": (llama.on_meta("llama-3.1-8b"), 8_030_261_248),
            "Llama-2-13B": (llama.on_meta("llama-2-13b"), 13_015_864_320),
            "SD 1.5 U-Net": (diffusion.unet("sd15"), 859_520_964),
            "SD 1.5 VAE": (diffusion.vae("sd15"), 83_653_863),
            "CLIP ViT-L text": (diffusion.text_encoders("sd15")[0], 123_060_480),
            "SDXL U-Net": (diffusion.unet("sdxl"), 2_567_463_684),
            "SDXL VAE": (diffusion.vae("sdxl"), 83_653_863),
            "OpenCLIP bigG text": (diffusion.text_encoders("sdxl")[1], 694_659_840),
            # Published for ImageNet, less its stem and head, plus ours.
            "ResNet-18": (vision.resnet18(), 11_689_512 - 64 * 3 * 49 + 64 * 3 * 9 - 513_000 + 5_130),
            "GPT": (text.GPT(65, 256, 384, 6, 6), 2 * 65 * 384 + 256 * 384 + 6 * (12 * 384**2 + 13 * 384) + 2 * 384),
        }
    found = {name: sum(weight.numel() for weight in model.parameters()) for name, (model, _) in models.items()}
    assert found == {name: published for name, (_, published) in models.items()}


@pytest.mark.slow
@pytest.mark.parametrize("weights, bits, tolerance", [("nf4", 4, 0.15), ("int8", 8, 0.02)])
def test_a_quantised_model_is_small_whole_and_computes_nearly_the_same(weights, bits, tolerance):
    import torch
    from torch import nn

    llama = load("contract.llama")
    model = llama.build("tiny-llama-3.1-8b", weights, "cpu")
    linears = [one for name, one in model.named_modules() if name.rpartition(".")[2] in llama.LINEARS]
    assert len(linears) == 2 * 7
    for one in linears:
        assert one.weight.nbytes * 8 == bits * one.in_features * one.out_features
    assert all(one.weight.quant_state.nested for one in linears if weights == "nf4")
    assert not any(tensor.is_meta for tensor in [*model.parameters(), *model.buffers()])

    dtype = torch.bfloat16 if weights == "nf4" else torch.float16
    plain, inputs = torch.randn(128, 64).to(dtype), torch.randn(16, 64).to(dtype)
    layer = {"nf4": llama._nf4, "int8": llama._int8}[weights](nn.Linear(64, 128, bias=False), plain).eval()
    exact = inputs.double() @ plain.double().T
    error = (layer(inputs).double() - exact).norm() / exact.norm()
    assert 0 < error < tolerance


# The children


class Made:
    """A row from outside the table, whose work is in this module."""

    def __init__(self, work):
        self.name, self.what, self.work, self.settings, self.tiny, self.packages = "made", "up", work, {}, {}, ()


def works(device):
    return load("contract.clock").Timing(2.0, 6, "steps/s", {"load_seconds": 1.23456789})


def wants_too_much(device):
    import torch

    torch.empty(1 << 60, dtype=torch.uint8)


def is_wrong(device):
    raise ValueError("no such size\nand more")


@pytest.fixture
def record(monkeypatch):
    def measure(work):
        monkeypatch.setitem(sys.modules, "contract.made", sys.modules[__name__])
        sent = []
        load("contract.child").measure(Made(f"made.{work}"), "cpu", 12, True, SimpleNamespace(send=sent.append))
        return sent[0]

    return measure


def test_a_measured_row_has_its_rate_its_ram_and_no_figure_for_a_card_that_is_not_there(record):
    made = record("works")
    assert (made.status, made.seconds, made.rate, made.rate_unit) == ("measured", 2.0, 3.0, "steps/s")
    assert made.details == {"load_seconds": 1.2346}
    sizes = (made.allocated_bytes, made.reserved_bytes, made.process_bytes, made.context_bytes, made.predicted_bytes)
    assert sizes == (None,) * 5
    import resource

    assert made.rss_bytes == pytest.approx(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, rel=0.02)


def test_an_out_of_memory_error_is_a_result_and_any_other_a_failure(record, capfd):
    made = record("wants_too_much")
    assert made.status == "out of memory" and "can't allocate memory" in made.reason
    made = record("is_wrong")
    assert (made.status, made.reason) == ("failed", "ValueError: no such size")
    assert "in is_wrong" in capfd.readouterr().err


def test_a_cuda_out_of_memory_error_is_recognised():
    import torch

    is_oom = load("contract.child").is_oom
    assert is_oom(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."))
    assert is_oom(RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"))
    assert is_oom(RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"))
    assert not is_oom(RuntimeError("expected scalar type Half but found Float"))


@pytest.fixture
def card(monkeypatch):
    """Made-up readings: torch's cache peaked at 7 GiB and holds 5, of which 6 GiB at most were allocated."""
    sizes = {"max_memory_allocated": 6, "max_memory_reserved": 7, "memory_reserved": 5}
    cuda = SimpleNamespace(**{name: lambda size=size: size * GIB for name, size in sizes.items()})
    monkeypatch.setattr(memory, "cuda", lambda: SimpleNamespace(cuda=cuda))
    monkeypatch.setattr(memory, "process_bytes", lambda: int(5.5 * GIB))
    monkeypatch.setattr(nvml, "memory", lambda: nvml.Memory(80 * GIB, 8 * GIB, 72 * GIB))
    return monkeypatch


def test_the_processs_peak_is_its_context_and_the_caches_peak(card):
    found = load("contract.child").readings("cuda", None)
    assert (found["allocated_bytes"], found["reserved_bytes"]) == (6 * GIB, 7 * GIB)
    assert (found["context_bytes"], found["context_source"]) == (GIB // 2, "process")
    assert found["process_bytes"] == int(7.5 * GIB)


def test_a_hidden_process_is_none_and_its_context_is_the_cards_growth(card):
    card.setattr(memory, "process_bytes", lambda: None)
    before = nvml.Memory(80 * GIB, 2 * GIB, 78 * GIB)
    found = load("contract.child").readings("cuda", before)
    assert found["process_bytes"] is None
    assert (found["context_bytes"], found["context_source"]) == (1 * GIB, "card")
    assert load("contract.child").readings("cuda", None)["context_bytes"] is None


def answers(number, connection):
    connection.send(number + 1)


def dies(number, connection):
    os.kill(os.getpid(), signal.SIGKILL)


def hangs(number, connection):
    time.sleep(60)


@pytest.mark.slow
def test_a_child_answers_or_its_end_is_told():
    processes = load("contract.processes")
    context = processes.starter("cpu", "spawn", set())
    assert processes.ask(context, answers, (1,), 60) == 2
    ended = processes.ask(context, dies, (1,), 60)
    assert ended.kind == "died" and "ended by signal 9 (the system kills a process so when RAM is full)" in ended.text
    started = time.monotonic()
    assert processes.ask(context, hangs, (1,), 1) == processes.Ending("time", "no result within 1 s")
    assert time.monotonic() - started < 30


@pytest.fixture
def ended(monkeypatch):
    """`run` of a row whose child ends in a given way, with so many seconds left."""
    script, processes = load("gpu_contract"), load("contract.processes")

    def run(kind, left):
        monkeypatch.setattr(processes, "ask", lambda *_: processes.Ending(kind, "so it ended"))
        options = SimpleNamespace(tiny=False, cap=12, minutes=9)
        return script.run(row_named("gpt-amp"), {}, None, "cuda", options, time.monotonic() + left)

    return run


def test_a_row_that_the_minutes_leave_out_or_cut_off_is_skipped_and_says_so(ended):
    assert ended("time", 0).reason == "the 9 minutes were over (--minutes, --rows)"
    assert ended("time", 20).reason == "cut off: the 9 minutes were over (--minutes, --rows)"
    assert ended("time", 0).status == ended("time", 20).status == "skipped"


def test_a_row_that_hangs_or_dies_has_failed(ended):
    assert (ended("time", 500).status, ended("time", 500).reason) == ("failed", "so it ended")
    assert ended("died", 20).status == "failed"


# The file


@pytest.fixture
def head():
    machine = {"device": "cuda", "card": "NVIDIA H100 80GB HBM3", "card_total_bytes": 79 * GIB, "driver": "580.1"}
    machine |= {"torch": "2.14.1", "cuda": "13.0", "cap": {"nominal_gb": 12, "visible_bytes": 12 * GIB}}
    return load("contract.results").heading(machine, tiny=False)


def test_the_file_is_called_after_card_and_day_and_read_by_passports(head, tmp_path):
    results = load("contract.results")
    path = results.path_of(tmp_path, head)
    assert path.name == f"nvidia-h100-80gb-hbm3-{head['date'][:10]}.json"
    records = {}
    row = row_named("gpt-amp")
    results.add(records, results.Record(row.name, row.what, "measured", None, "cuda", False, {}, process_bytes=3 * GIB))
    results.write(path, head, records, [row.name])
    assert measured_text(["gpt-amp"], tmp_path).startswith("3.00 GiB (H100 80GB HBM3, ")


def test_a_second_run_of_the_day_goes_on_with_the_file_and_a_skip_does_not_erase_a_reading(head, tmp_path):
    results = load("contract.results")
    path, row = tmp_path / "a.json", row_named("gpt-amp")
    assert results.earlier(path, head) == {}
    records = {}
    results.add(records, results.without_measuring(row, "failed", "x", "cuda", False))
    results.write(path, head, records, [row.name])
    again = results.earlier(path, head)
    assert again == records
    results.add(again, results.without_measuring(row, "skipped", "y", "cuda", False))
    assert again["gpt-amp"]["status"] == "failed"
    for change in ({"driver": "590"}, {"commit": "other"}, {"cap": None}, {"tiny": True}):
        assert results.earlier(path, head | change) == {}


# The script


def test_wrong_use_is_one_sentence_and_status_2():
    wrong = contract("--tiny", "--rows", "bert*")
    assert wrong.returncode == 2
    assert wrong.stderr == "gpu_contract: no row is called 'bert*'. See `python benchmarks/gpu_contract.py --list`.\n"


@pytest.mark.skipif(nvml.library() is not None, reason="this machine has a driver")
def test_without_a_card_it_says_what_runs_instead():
    wrong = contract()
    assert wrong.returncode == 2
    assert wrong.stderr == (
        "gpu_contract: no NVIDIA driver answers here. `--tiny` runs every row at toy size on the CPU.\n"
    )


@pytest.mark.slow
def test_what_the_template_imports_does_not_open_the_card():
    program = """
import importlib, sys, torch
def spy(owner, name, old):
    setattr(owner, name, lambda *a, **k: (print("opened by", name), old(*a, **k))[1])
for owner, name in ((torch._C, "_cuda_getDeviceCount"), (torch.cuda, "_lazy_init"), (torch.cuda, "is_available"),
                    (torch.cuda, "get_device_capability"), (torch.cuda, "get_device_properties")):
    spy(owner, name, getattr(owner, name))
from contract.processes import LIGHT
for name in LIGHT:
    importlib.import_module(name)
print(*({"bitsandbytes", "diffusers", "peft"} & set(sys.modules)))
torch.cuda.is_available()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=BENCHMARKS, check=True)
    assert done.stdout.split("\n")[:2] == ["", "opened by is_available"]


def committed():
    return sorted(path.name for path in FOLDER.glob("*.json") if '"gpu contract"' in path.read_text())


@pytest.mark.slow
def test_every_row_runs_at_toy_size_and_none_of_it_counts_as_a_measurement(tmp_path):
    before = committed()
    done = contract("--tiny", "--out", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = tmp_path.iterdir()
    result = json.loads(path.read_text())
    rows = {row["name"]: row for row in result["rows"]}
    assert (result["device"], result["tiny"]) == ("cpu", True)
    assert list(rows) == [row.name for row in load("contract.rows").every_row()]
    assert {row["status"] for row in rows.values()} == {"measured"}
    assert all(row["rss_bytes"] > 0 and row["process_bytes"] is None for row in rows.values())
    decoded = [row for row in rows.values() if "context_tokens" in row["details"]]
    assert len(decoded) == 18
    assert all(row["details"]["context_tokens"] == row["settings"]["context"] for row in decoded)
    assert measured_text(["gpt-amp"], tmp_path) == "not measured yet"
    assert committed() == before


@pytest.mark.slow
def test_a_run_that_is_killed_leaves_every_row_so_far(tmp_path):
    command = [sys.executable, SCRIPT, "--tiny", "--rows", "context", "gpt*", "resnet*", "--out", tmp_path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as running:
        lines = [running.stdout.readline() for _ in range(4)]
        running.kill()
    (path,) = tmp_path.glob("*.json")
    names = [row["name"] for row in json.loads(path.read_text())["rows"]]
    assert names[:3] == [line.split()[0] for line in lines[1:]]
    assert len(names) < 9

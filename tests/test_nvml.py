"""NVML's answers, with and without a driver."""

import sys
from types import SimpleNamespace

import pytest

from course_utils.gpu import nvml

HAS_DRIVER = nvml.library() is not None


class NVMLError(Exception):
    pass


def answering(**functions):
    """A library whose functions give these answers; every other one fails as NVML does."""

    class Library(SimpleNamespace):
        def __getattr__(self, name):
            def refuse(*_):
                raise NVMLError("Not Supported")

            return refuse

    return Library(NVMLError=NVMLError, **{name: lambda *_, it=it: it for name, it in functions.items()})


@pytest.fixture
def card(monkeypatch):
    def use(**functions):
        library = answering(nvmlDeviceGetHandleByIndex="handle", **functions)
        monkeypatch.setattr(nvml, "library", lambda: library)

    return use


@pytest.mark.skipif(HAS_DRIVER, reason="a driver answers on this machine")
def test_without_a_driver_every_reading_is_none_and_the_reason_is_nvmls():
    assert nvml.failure() == "LibraryNotFound"
    assert [ask() for ask in (nvml.driver_version, nvml.cuda_version, nvml.memory, nvml.processes, nvml.name)] == [
        None
    ] * 5
    assert nvml.capability() is None and nvml.power_limits_watts() == (None, None)


def test_what_nvml_counts_in_thousands_is_turned_into_units(card):
    card(
        nvmlSystemGetCudaDriverVersion=13020,
        nvmlDeviceGetPowerManagementLimit=200_000,
        nvmlDeviceGetPowerManagementDefaultLimit=285_000,
        nvmlDeviceGetCudaComputeCapability=[8, 9],
        nvmlDeviceGetMemoryInfo=SimpleNamespace(total=12, used=2, free=10, reserved=0),
    )
    assert nvml.cuda_version() == (13, 2)
    assert nvml.power_limits_watts() == (200.0, 285.0)
    assert nvml.capability() == (8, 9)
    assert nvml.memory() == nvml.Memory(total_bytes=12, used_bytes=2, free_bytes=10)


def test_a_reading_that_the_card_refuses_is_none_and_the_others_stay(card):
    card(nvmlDeviceGetName="NVIDIA GeForce RTX 4070 Ti")
    assert nvml.name() == "NVIDIA GeForce RTX 4070 Ti"
    assert nvml.memory() is None and nvml.power_limits_watts() == (None, None)


def test_compute_and_graphics_programs_are_one_list_and_hidden_memory_is_none(card):
    one = SimpleNamespace(pid=1, usedGpuMemory=100)
    two = SimpleNamespace(pid=999_999_999, usedGpuMemory=None)
    card(nvmlDeviceGetComputeRunningProcesses_v3=[one], nvmlDeviceGetGraphicsRunningProcesses_v3=[one, two])
    found = nvml.processes()
    assert [(process.pid, process.used_bytes) for process in found] == [(1, 100), (999_999_999, None)]
    assert found[1].name is None


def test_programs_that_cannot_be_listed_are_none_and_not_an_empty_list(card):
    card()
    assert nvml.processes() is None


@pytest.mark.parametrize(
    "visible, function, argument",
    [
        (None, "nvmlDeviceGetHandleByIndex", 0),
        ("", "nvmlDeviceGetHandleByIndex", 0),
        ("1,0", "nvmlDeviceGetHandleByIndex", 1),
        ("GPU-1234", "nvmlDeviceGetHandleByUUID", "GPU-1234"),
        ("MIG-1234", "nvmlDeviceGetHandleByUUID", "MIG-1234"),
    ],
)
def test_the_first_visible_card_is_read(visible, function, argument, monkeypatch):
    asked = []
    monkeypatch.setattr(nvml, "ask", lambda *words: asked.append(words))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    nvml.handle()
    assert asked == [(function, argument)]

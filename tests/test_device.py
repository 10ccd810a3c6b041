"""The card that torch computes on, and the small things beside it."""

import sys
from types import SimpleNamespace

import pytest

from course_utils.errors import CourseError
from course_utils.gpu import device, nvml
from course_utils.gpu.device import GIB


@pytest.mark.parametrize(
    "count, text",
    [(None, "n/a"), (0, "0.0 KiB"), (172_695, "168.6 KiB"), (5 * 1024**2, "5.00 MiB"), (int(11.7 * GIB), "11.70 GiB")],
)
def test_bytes_are_shown_in_binary_units(count, text):
    assert device.show_bytes(count) == text


def torch_with(cuda, monkeypatch):
    monkeypatch.setattr(device, "driver_version", lambda: "580.95.05")
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))


def test_the_card_has_torchs_memory_and_nvmls_free_memory(monkeypatch):
    properties = SimpleNamespace(name="RTX 4070 Ti", total_memory=int(11.7 * GIB))
    torch_with(SimpleNamespace(is_available=lambda: True, get_device_properties=lambda _: properties), monkeypatch)
    monkeypatch.setattr(nvml, "memory", lambda: nvml.Memory(12 * GIB, 2 * GIB, 10 * GIB))
    assert device.find_card() == device.Card("RTX 4070 Ti", int(11.7 * GIB), 10 * GIB, "580.95.05")


def test_a_card_that_torch_cannot_open_is_one_sentence(monkeypatch):
    def broken(_):
        raise RuntimeError("CUDA error: unknown error\nfor debugging …")

    torch_with(SimpleNamespace(is_available=lambda: True, get_device_properties=broken), monkeypatch)
    with pytest.raises(CourseError, match="cannot open the card: CUDA error: unknown error. Type `course doctor`"):
        device.find_card()


def test_without_a_driver_there_is_no_card_and_torch_is_not_imported(monkeypatch):
    monkeypatch.setattr(device, "driver_version", lambda: None)
    monkeypatch.setitem(sys.modules, "torch", None)  # importing it would raise
    assert device.find_card() is None


def test_a_package_that_is_not_installed_has_no_version():
    assert device.installed_version("no-such-package-anywhere") is None


def test_an_extras_missing_packages_are_named(monkeypatch):
    needs = ["numpy", 'pytest; extra == "llm"', 'no-such-package>=1; extra == "llm"']
    monkeypatch.setattr(device, "requires", lambda name: needs)
    assert device.missing_packages("llm") == ["no-such-package"]
    assert device.missing_packages("unknown") is None

"""The first look at a machine, with and without a card."""

import pytest

from course_utils.gpu import device
from course_utils.gpu.device import GIB, Card, Machine


@pytest.mark.parametrize(
    "count, text",
    [(None, "n/a"), (0, "0.0 KiB"), (172_695, "168.6 KiB"), (5 * 1024**2, "5.00 MiB"), (int(11.7 * GIB), "11.70 GiB")],
)
def test_bytes_are_shown_in_binary_units(count, text):
    assert device.show_bytes(count) == text


CARD = Card("RTX 4070 Ti", int(11.7 * GIB), int(10 * GIB), "580.95")


@pytest.mark.parametrize(
    "torch, driver, card, verdict, healthy",
    [
        (None, None, None, "torch is not installed", False),
        ("2.14.1", "580.95", CARD, "RTX 4070 Ti is ready", True),
        ("2.14.1", None, None, "No NVIDIA driver answers", True),
        ("2.14.1", "470.1", None, "(470.1) answers, but torch 2.14.1 cannot use the card", False),
    ],
)
def test_the_verdict_names_the_one_cause(torch, driver, card, verdict, healthy):
    sentence, good = device._verdict(torch, driver, card)
    assert verdict in sentence and good is healthy


def test_what_cannot_be_read_is_none_and_shown_as_not_available(monkeypatch):
    import pynvml

    def no_library():
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", no_library)
    machine = device.look()
    assert machine.driver is None and machine.card is None
    assert dict(device.describe(machine))["card memory"] == "n/a"


def test_a_machine_with_a_card_shows_total_and_free_memory():
    machine = Machine("ready", True, "3.11", "2.14.1", "580.95", CARD, 32 * GIB, 100 * GIB)
    rows = dict(device.describe(machine))
    assert (rows["card memory"], rows["card memory free"]) == ("11.70 GiB", "10.00 GiB")
    assert device.as_dict(machine)["card"]["total_bytes"] == CARD.total_bytes


def test_a_package_that_is_not_installed_has_no_version():
    assert device.installed_version("no-such-package-anywhere") is None

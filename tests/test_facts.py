"""What is read of a machine, from made-up system folders and from this one."""

import json
import sys
from pathlib import Path

import pytest
from machines import HEALTHY, change, failing, without_driver

from course_utils.gpu.doctor import facts, readings
from course_utils.gpu.doctor.work import Work

LINUX = "Linux version 6.8.0-45-generic (gcc 13.2.0)"
WSL2 = "Linux version 5.15.167.4-microsoft-standard-WSL2 (root@f9c826d3017f)"
WSL1 = "Linux version 4.4.0-19041-Microsoft (Microsoft@Microsoft.com)"


def machine(root, **files):
    """A system folder with these files; two underscores stand for a slash."""
    for name, content in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def pci(root, vendor, kind):
    device = root / "sys/bus/pci/devices/0000:01:00.0"
    device.mkdir(parents=True)
    (device / "vendor").write_text(vendor + "\n")
    (device / "class").write_text(kind + "\n")


@pytest.mark.parametrize("told, kind", [(LINUX, "linux"), (WSL2, "wsl2"), (WSL1, "wsl1")])
def test_wsl_is_told_from_linux(tmp_path, told, kind):
    assert readings.system(machine(tmp_path, proc__version=told)).kind == kind


@pytest.mark.parametrize(
    "release, name",
    [
        ("ID=ubuntu\nID_LIKE=debian\n", "ubuntu"),
        ('NAME="Linux Mint"\nID=linuxmint\nID_LIKE="ubuntu debian"\n', "ubuntu"),
        ("ID=fedora\n", "fedora"),
        ("nonsense", None),
    ],
)
def test_the_distribution_is_the_one_whose_commands_work(tmp_path, release, name):
    assert readings.system(machine(tmp_path, **{"etc__os-release": release})).distribution == name


@pytest.mark.parametrize(
    "vendor, kind, found",
    [("0x10de", "0x030000", True), ("0x10de", "0x040300", False), ("0x8086", "0x030000", False)],
    ids=["a card", "only its sound device", "an Intel card"],
)
def test_an_nvidia_card_is_found_on_the_pci_bus(tmp_path, vendor, kind, found):
    pci(tmp_path, vendor, kind)
    assert readings.system(machine(tmp_path, proc__version=LINUX)).has_nvidia_device is found


def test_without_a_pci_folder_nothing_is_known_about_the_card(tmp_path):
    found = readings.system(tmp_path)
    assert (found.has_nvidia_device, found.kernel_module, found.secure_boot) == (None, None, None)


@pytest.mark.parametrize(
    "line",
    [
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.95.05  Tue Sep 23 10:11:16 UTC 2025",
        "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release Build  (dvs-builder)",
    ],
    ids=["closed", "open"],
)
def test_the_loaded_kernel_module_has_a_version(tmp_path, line):
    assert readings.system(machine(tmp_path, proc__driver__nvidia__version=line)).kernel_module == "580.95.05"


@pytest.mark.parametrize("last, on", [(b"\x01", True), (b"\x00", False)])
def test_secure_boot_is_the_last_byte_of_its_variable(tmp_path, last, on):
    name = "sys__firmware__efi__efivars__SecureBoot-8be4df61"
    assert readings.system(machine(tmp_path, **{name: b"\x06\x00\x00\x00" + last})).secure_boot is on


def package(name, status):
    return f"Package: {name}\nStatus: {status}\nVersion: 1\n"


@pytest.mark.parametrize(
    "files, found",
    [
        ({}, False),
        ({"usr__lib__x86_64-linux-gnu__libcuda.so.580.95.05": ""}, True),
        ({"usr__lib__x86_64-linux-gnu__libcudart.so.12": ""}, False),
        ({"var__lib__dpkg__status": package("nvidia-dkms-580", "install ok installed")}, True),
        ({"var__lib__dpkg__status": package("nvidia-dkms-580", "deinstall ok config-files")}, False),
        ({"var__lib__dpkg__status": package("bash", "install ok installed")}, False),
        ({"usr__lib__wsl__lib__libcuda.so.1": ""}, False),
    ],
    ids=["nothing", "libcuda", "only the runtime", "a package", "a removed package", "another package", "Windows' own"],
)
def test_a_linux_driver_inside_wsl_is_found(tmp_path, files, found):
    assert readings.system(machine(tmp_path, proc__version=WSL2, **files)).linux_driver_in_wsl is found
    assert readings.system(machine(tmp_path, proc__version=LINUX, **files)).linux_driver_in_wsl is None


def test_this_very_environment_is_the_courses():
    found = readings.environment()
    assert found.is_the_course is True
    assert found.python == ".".join(map(str, sys.version_info[:3]))


def test_an_environment_without_the_course_is_not_the_courses(tmp_path, monkeypatch):
    monkeypatch.setattr(readings.sysconfig, "get_path", lambda name: str(tmp_path))
    assert readings.environment().is_the_course is False


@pytest.mark.parametrize(
    "program, same", [("python", True), (sys.executable, True), ("/usr/bin/python3-of-another", False)]
)
def test_the_kernel_that_jupyter_would_start_is_read(tmp_path, monkeypatch, program, same):
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    spec = json.dumps({"argv": [program, "-m", "ipykernel_launcher"]})
    machine(tmp_path, **{"kernels__python3__kernel.json": spec})
    assert readings.environment().kernel_is_this is same


def test_a_broken_kernel_file_is_no_reading(tmp_path, monkeypatch):
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    machine(tmp_path, **{"kernels__python3__kernel.json": "{"})
    assert readings.environment().kernel_is_this is None


@pytest.fixture
def hub(tmp_path, monkeypatch):
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    return tmp_path


def test_the_model_cache_is_measured_without_its_links(hub):
    (hub / "hub/models--a/blobs").mkdir(parents=True)
    (hub / "hub/models--a/blobs/x").write_bytes(b"0" * 100_000)
    (hub / "hub/models--a/link").symlink_to(hub / "hub/models--a/blobs/x")
    assert 100_000 <= readings.storage().model_cache_bytes < 101_000


def test_a_login_is_a_token_in_the_file_or_in_the_variable(hub, monkeypatch):
    assert readings.storage().hub_login is False
    (hub / "token").write_text("hf_secret")
    assert readings.storage().hub_login is True
    (hub / "token").write_text("")
    assert readings.storage().hub_login is False
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    found = readings.storage()
    assert found.hub_login is True and "hf_secret" not in repr(found)


def test_ram_and_disk_are_those_of_the_kernel():
    found = readings.storage()
    memory = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    assert found.ram_bytes == int(memory["MemTotal"].split()[0]) * 1024
    assert found.disk_free_bytes > 0


@pytest.mark.parametrize(
    "version, numbers",
    [
        ("580.95.05", (580, 95, 5)),
        ("13.0", (13, 0)),
        ("581.57 beta", (581, 57)),
        ("odd", None),
        ("", None),
        (None, None),
    ],
)
def test_versions_are_compared_as_numbers(version, numbers):
    assert facts.version_numbers(version) == numbers


def test_a_card_works_when_all_work_but_an_extras_succeeded_on_it():
    assert HEALTHY.card_works
    assert failing("NF4 layer (bitsandbytes)", "missing library").card_works
    assert not failing("matmul float16", "wrong").card_works
    assert not change(work__ended="timed out").card_works
    assert not change(work=None).card_works
    assert not without_driver().card_works and without_driver().has_nvidia


def test_the_card_is_read_before_the_work_takes_its_memory(monkeypatch):
    from course_utils.gpu.doctor import work

    order = []
    monkeypatch.setattr(readings, "card", lambda: order.append("card"))
    monkeypatch.setattr(work, "start", lambda: order.append("work"))
    monkeypatch.setattr(work, "collect", lambda child: Work("finished"))
    readings.gather()
    assert order == ["card", "work"]

"""Made-up machines in, one cause and one command out."""

from dataclasses import fields, is_dataclass, replace

import pytest
from machines import CPU_ONLY, GIB, HEALTHY, MIB, PASSED, WSL, change, failing, without_driver, without_work_on_the_card

from course_utils.gpu.doctor import limits
from course_utils.gpu.doctor.cause_setup import FIRST_DRIVER, MINIMUM_DRIVER, minimum_driver
from course_utils.gpu.doctor.cause_work import runs_on
from course_utils.gpu.doctor.causes import RULES, diagnose
from course_utils.gpu.doctor.doctor import examine, text
from course_utils.gpu.doctor.facts import Program
from course_utils.gpu.doctor.work import Speed, Work

NVIDIA = "https://www.nvidia.com/drivers"
CRASHED = {"work__ended": "killed", "work__during": "attention (SDPA)", "work__error": "SIGSEGV"}
OLD = {"driver__version": "535.183.01", "driver__cuda": (12, 2)}

# (machine, exit status, name of the cause, words in it, command)
MACHINES = {
    "a healthy card": (HEALTHY, 0, "healthy", "nothing to mend", "make lab"),
    "a healthy card in WSL2": (WSL, 0, "healthy", "nothing to mend", "make lab"),
    "Python for Windows": (change(CPU_ONLY, system__kind="windows"), 2, "native Windows", "WSL2", "wsl --install"),
    "WSL 1": (
        change(CPU_ONLY, system__kind="wsl1"),
        2,
        "WSL 1",
        "cannot reach a graphics card",
        'wsl.exe --set-version "$WSL_DISTRO_NAME" 2',
    ),
    "another environment": (
        change(environment__is_the_course=False, environment__kind="system"),
        2,
        "not the course's environment",
        "not installed in it",
        "make lab",
    ),
    "conda's base instead of the course's environment": (
        change(environment__is_the_course=False, environment__kind="conda", environment__clone_has_venv=False),
        2,
        "not the course's environment",
        "not installed in it",
        "course lab",
    ),
    "a kernel of the user's": (
        change(environment__kernel_is_this=False),
        2,
        "the kernel is another Python",
        "another Python",
        "JUPYTER_PREFER_ENV_PATH=1 make lab",
    ),
    "no torch": (change(torch=None, work=None), 2, "torch is missing", "not installed", "rm -rf .venv && make lab"),
    "torch lacks a library": (
        change(work=Work("failed", "import torch", "ImportError: libcudnn.so.9: cannot open shared object file")),
        2,
        "torch does not load",
        "libcudnn.so.9",
        "rm -rf .venv && make lab",
    ),
    "a CPU-only wheel beside a card": (
        without_work_on_the_card(work__cuda=None, work__torch="2.14.1+cpu", work__architectures=()),
        2,
        "torch without CUDA",
        "built for the CPU only",
        "rm -rf .venv && make lab",
    ),
    "a CPU-only wheel in conda": (
        without_work_on_the_card(
            work__cuda=None, work__torch="2.14.1", environment__kind="conda", environment__clone_has_venv=False
        ),
        2,
        "torch without CUDA",
        "built for the CPU only",
        "python -m pip install --force-reinstall --constraint requirements.lock torch torchvision",
    ),
    "an old driver on Ubuntu": (
        without_work_on_the_card(**OLD),
        2,
        "the driver is too old for this torch",
        "535.183.01, which runs CUDA 12.2 at most; this torch was built with CUDA 13.0 and needs driver 580",
        "sudo apt update && sudo apt install nvidia-driver-580",
    ),
    "an old driver on Fedora": (
        without_work_on_the_card(system__distribution="fedora", **OLD),
        2,
        "the driver is too old for this torch",
        "needs driver 580 or newer",
        "sudo dnf install akmod-nvidia",
    ),
    "an old driver on an unknown Linux": (
        without_work_on_the_card(system__distribution="nixos", **OLD),
        2,
        "the driver is too old for this torch",
        "needs driver 580 or newer",
        f"xdg-open {NVIDIA}",
    ),
    "an old Windows driver under WSL2": (
        without_work_on_the_card(WSL, driver__version="537.13", driver__cuda=(12, 2)),
        2,
        "the driver is too old for this torch",
        "537.13",
        f"explorer.exe {NVIDIA}",
    ),
    "a driver renewed without a restart": (
        without_driver(failure="LibRmVersionMismatch", system__kernel_module="570.10"),
        2,
        "restart after a driver update",
        "570.10",
        "sudo reboot",
    ),
    "a kernel without the driver's module": (
        without_driver(failure="DriverNotLoaded"),
        2,
        "the driver is not loaded",
        "not loaded",
        "sudo modprobe nvidia",
    ),
    "Secure Boot": (
        without_driver(failure="DriverNotLoaded", system__secure_boot=True),
        2,
        "Secure Boot refuses the driver",
        "enrol its key",
        "sudo mokutil --import /var/lib/shim-signed/mok/MOK.der",
    ),
    "a card with nouveau": (
        without_driver(system__has_nouveau=True),
        2,
        "no NVIDIA driver",
        "nouveau holds it",
        "sudo apt update && sudo apt install nvidia-driver-580",
    ),
    "a container without the card": (
        without_driver(system__is_container=True, system__kernel_module="580.95.05"),
        2,
        "container without the card",
        "580.95.05",
        "docker run --rm --gpus all ubuntu nvidia-smi",
    ),
    "a Linux driver inside WSL2": (
        without_driver(WSL, system__linux_driver_in_wsl=True),
        2,
        "Linux driver inside WSL2",
        "remove it",
        "sudo apt purge '^nvidia-(driver|dkms|kernel).*' '^libnvidia-(compute|gl).*' '^libcuda1.*'",
    ),
    "WSL2 without a driver in Windows": (
        without_driver(WSL),
        1,
        "no NVIDIA card",
        "install its driver in Windows",
        f"explorer.exe {NVIDIA}",
    ),
    "a hidden card": (
        without_work_on_the_card(system__visible_devices=""),
        2,
        "the card is hidden",
        "''",
        "unset CUDA_VISIBLE_DEVICES",
    ),
    "a card number that does not exist": (
        without_work_on_the_card(system__visible_devices="1", card=None),
        2,
        "the card is hidden",
        "'1'",
        "unset CUDA_VISIBLE_DEVICES",
    ),
    "a card off the bus": (
        without_work_on_the_card(card=None),
        2,
        "the driver finds no card",
        "fallen off the bus",
        "sudo dmesg | grep -iE 'nvrm|xid'",
    ),
    "a card before Turing": (
        failing("matmul float32", "no kernel image", change(card__capability=(6, 1), card__name="GTX 1080")),
        2,
        "the card is older than this torch",
        "GTX 1080 is sm_61; this torch holds sm_75",
        ".venv/bin/python -m pip install --force-reinstall "
        "--index-url https://download.pytorch.org/whl/cu126 torch torchvision",
    ),
    "a card newer than the wheel": (
        failing("matmul float32", "no kernel image", change(card__capability=(13, 0), card__name="RTX 6090")),
        2,
        "the card is newer than this torch",
        "RTX 6090 is sm_130",
        "git pull && make lab",
    ),
    "a laptop after sleep": (
        without_work_on_the_card(work__cuda_error="CUDA unknown error"),
        2,
        "torch cannot open the card",
        "CUDA unknown error",
        "sudo modprobe -r nvidia_uvm && sudo modprobe nvidia_uvm",
    ),
    "a full card": (
        failing("matmul float32", "OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 MiB"),
        2,
        "memory is full",
        "RTX 4070 Ti has no room",
        "nvidia-smi",
    ),
    "work that hangs": (
        change(WSL, work__ended="timed out", work__during="open the card"),
        2,
        "real work hangs",
        "“open the card” began and did not end",
        "wsl.exe --shutdown",
    ),
    "work that crashes": (change(**CRASHED), 2, "real work crashes", "“attention (SDPA)”", "sudo reboot"),
    "a wrong product": (
        failing("matmul float16", "Wrong: the result is off by 0.5 of its largest value, where 0.002 is allowed"),
        2,
        "real work fails",
        "“matmul float16” failed: Wrong: the result is off by 0.5",
        "sudo reboot",
    ),
    "wrong allocator settings": (
        failing(
            "matmul float32",
            "ValueError: Unrecognized key",
            change(storage__allocator_settings="expandable:1", work__allocator_error="Unrecognized key 'expandable'"),
        ),
        2,
        "wrong allocator settings",
        "'expandable:1'",
        "unset PYTORCH_ALLOC_CONF PYTORCH_CUDA_ALLOC_CONF",
    ),
    "no NVIDIA card": (CPU_ONLY, 1, "no NVIDIA card", "smaller models, fewer epochs", "make lab"),
    "no NVIDIA card and a CPU-only wheel": (
        change(CPU_ONLY, work__cuda=None, work__torch="2.14.1+cpu"),
        1,
        "no NVIDIA card",
        "profile cpu",
        "make lab",
    ),
    "a card with 8 GB": (change(work__total_bytes=int(7.6 * GIB)), 1, "a small card", "7.60 GiB", "make lab"),
    "a game in the background": (
        change(card__used_bytes=5 * GIB, card__programs=(Program("game", 4 * GIB, False),)),
        1,
        "other programs hold the card's memory",
        "game 4.00 GiB",
        "nvidia-smi",
    ),
    "a power cap": (
        change(work__speeds=(Speed("matmul float16", "TFLOPS", 30.0),), card__power_limit_watts=120.0),
        1,
        "power cap or busy card",
        "matmul float16 reaches 30 of the data sheet's 80.18 (37%). Power limit 120 W, by default 285 W; "
        "on the card: Xorg 400.00 MiB, firefox 200.00 MiB",
        "nvidia-smi -q -d PERFORMANCE,POWER,TEMPERATURE",
    ),
    "expandable_segments where they are not allowed": (
        change(storage__allocator_settings="expandable_segments:True", work__expandable_segments=False),
        1,
        "expandable_segments is not allowed",
        "does not allow",
        "unset PYTORCH_ALLOC_CONF PYTORCH_CUDA_ALLOC_CONF",
    ),
    "broken bitsandbytes": (
        failing("NF4 layer (bitsandbytes)", "RuntimeError: no library for CUDA 13.0"),
        1,
        "bitsandbytes does not work",
        "no library for CUDA 13.0",
        ".venv/bin/python -m pip install --force-reinstall --no-deps --constraint requirements.lock bitsandbytes",
    ),
    "a clone on a Windows disk": (
        change(WSL, storage__on_windows_disk=True),
        1,
        "the course lies on a Windows disk",
        "Linux home",
        "rsync -a --exclude .venv ./ ~/course/ && cd ~/course && make lab",
    ),
    "WSL2 with half of 16 GB": (
        change(WSL, storage__ram_bytes=int(7.7 * GIB)),
        1,
        "little RAM for WSL",
        "half of the RAM",
        r"cmd.exe /c 'notepad %UserProfile%\.wslconfig'",
    ),
    "a full disk": (
        change(storage__disk_free_bytes=3 * GIB),
        1,
        "little disk",
        "3.00 GiB of disk",
        "python -m pip cache purge",
    ),
}


@pytest.mark.parametrize("machine", MACHINES)
def test_each_machine_has_its_one_cause_and_command(machine):
    facts, status, name, words, command = MACHINES[machine]
    found = diagnose(facts)
    assert (found.status, found.name, found.command) == (status, name, command)
    assert words in found.cause and "\n" not in found.command


def test_every_rule_that_can_stop_the_course_has_a_machine_here():
    asked = {next(rule for rule in RULES if rule(facts)) for facts, status, *_ in MACHINES.values() if status == 2}
    assert asked == set(RULES)


BOTH = {
    "another environment, and an old driver": (
        without_work_on_the_card(environment__is_the_course=False, **OLD),
        "not the course's environment",
    ),
    "a CPU-only wheel, and an old driver": (without_work_on_the_card(work__cuda=None, **OLD), "torch without CUDA"),
    "a Linux driver inside WSL2 whose version is read, and too old": (
        without_work_on_the_card(WSL, system__linux_driver_in_wsl=True, **OLD),
        "Linux driver inside WSL2",
    ),
    "an old driver, and a hidden card": (
        without_work_on_the_card(system__visible_devices="-1", **OLD),
        "the driver is too old for this torch",
    ),
    "a hidden card, and torch that opens none": (
        without_work_on_the_card(system__visible_devices="-1", work__cuda_error="No CUDA GPUs are available"),
        "the card is hidden",
    ),
    "a wrong allocator variable, and work that fails for it": (
        failing("matmul float32", "ValueError", change(storage__allocator_settings="x", work__allocator_error="x")),
        "wrong allocator settings",
    ),
    "a full card, and a crash": (
        failing("matmul float32", "CUDA out of memory", change(**CRASHED)),
        "memory is full",
    ),
    "a crash, and a full disk": (change(storage__disk_free_bytes=GIB, **CRASHED), "real work crashes"),
    "a busy card, and little disk": (
        change(card__used_bytes=6 * GIB, storage__disk_free_bytes=GIB),
        "other programs hold the card's memory",
    ),
}


@pytest.mark.parametrize("machine", BOTH)
def test_of_two_causes_the_one_to_mend_first_is_named(machine):
    facts, name = BOTH[machine]
    assert diagnose(facts).name == name


def test_the_second_cause_of_a_broken_machine_is_told_as_well():
    told = diagnose(BOTH["a crash, and a full disk"][0])
    assert [one.name for one in told.limits] == ["little disk"]


@pytest.mark.parametrize(
    "facts",
    [
        change(**OLD),
        change(WSL, system__linux_driver_in_wsl=True),
        change(work__architectures=("sm_50",)),
        change(system__visible_devices="7"),
    ],
    ids=["a driver older than the table wants", "a stray library in WSL", "another architecture", "a device number"],
)
def test_a_card_that_does_its_work_is_left_in_peace(facts):
    assert diagnose(facts).status == 0


def leaves(part, path=()):
    for field in fields(part):
        value = getattr(part, field.name)
        yield (*path, field.name)
        if is_dataclass(value):
            yield from leaves(value, (*path, field.name))


OPTIONAL = {("torch",), ("card",), ("work",)}  # the other parts are always read, with fields that may be None
PARTS = {("environment",), ("system",), ("driver",), ("storage",)}


@pytest.mark.parametrize("base", [HEALTHY, WSL, CPU_ONLY, change(**CRASHED)], ids=["card", "WSL2", "CPU", "crash"])
def test_no_reading_that_is_missing_or_odd_stops_the_doctor(base):
    paths = [path for path in leaves(base) if path not in PARTS]
    assert len(paths) > 35 or base.card is None and len(paths) > 30
    for path in paths:
        part, *field = path
        whole = base if not field else getattr(base, part)
        value = getattr(whole, path[-1])
        for odd in (None, *([()] if isinstance(value, tuple) else ["", "odd"] if isinstance(value, str) else [])):
            if odd is None and path[-1] in ("checks", "speeds", "architectures"):
                continue  # these are empty, never None
            facts = change(base, **{"__".join(path): odd})
            report = examine(facts=facts)
            assert report.diagnosis.status in (0, 1, 2) and report.diagnosis.command
            assert text(report).startswith(report.diagnosis.verdict)


def test_without_any_reading_the_doctor_still_speaks():
    nothing = {
        part: replace(getattr(HEALTHY, part), **{field.name: None for field in fields(getattr(HEALTHY, part))})
        for part in ("environment", "system", "driver", "storage")
    }
    report = examine(facts=replace(HEALTHY, torch=None, card=None, work=None, **nothing))
    assert report.diagnosis.name == "torch is missing" and "n/a" in text(report)


@pytest.mark.parametrize("cuda, branch", [("13.0", 580), ("12.8", 525), ("11.8", 450), ("10.2", None), (None, None)])
def test_the_minimum_driver_goes_by_cudas_major_version(cuda, branch):
    assert minimum_driver(cuda) == branch


def test_no_cuda_version_came_with_a_driver_below_its_series_minimum():
    for (major, _), version in FIRST_DRIVER.items():
        assert int(version.split(".")[0]) >= MINIMUM_DRIVER[major]


@pytest.mark.parametrize(
    "architectures, capability, runs",
    [
        (("sm_86",), (8, 9), True),
        (("sm_90",), (8, 9), False),
        (("sm_75", "sm_120"), (12, 0), True),
        (("sm_75", "sm_120"), (13, 0), False),
        (("sm_75", "compute_120"), (13, 0), True),
        (("compute_90",), (8, 6), False),
        (("sm_90a",), (9, 0), False),
        (("sm_103",), (10, 0), False),
    ],
)
def test_binaries_run_within_a_major_version_and_ptx_on_every_later_card(architectures, capability, runs):
    assert runs_on(architectures, capability) is runs


def test_the_smallest_gpu_profile_and_the_doctor_agree():
    from course_utils.gpu.device import Card
    from course_utils.learn.profiles import by_memory

    edge = int(limits.SMALLEST_CARD_GIB * GIB)
    assert by_memory(Card("x", edge, None, "580")).profile == "gpu12"
    assert by_memory(Card("x", edge - MIB, None, "580")).profile == "cpu"


def test_memory_of_this_very_kernel_counts_as_ours():
    mine = Program("python", 5 * GIB, True)
    facts = change(card__used_bytes=6 * GIB, card__programs=(mine,))
    assert limits.taken_bytes(facts) == GIB and limits.own_bytes(facts) == 5 * GIB
    assert diagnose(facts).status == 0


def test_a_card_without_a_data_sheet_is_not_called_slow():
    facts = change(work__card="NVIDIA RTX A6000", work__speeds=(Speed("memory copy", "GB/s", 1.0),))
    assert limits.against_sheet(facts) == [("memory copy", 1.0, None, None)]
    assert diagnose(facts).status == 0


def test_the_plain_attention_kernel_is_a_limit_on_a_card():
    checks = tuple(replace(one, detail="takes math; alone work: math") for one in PASSED)
    assert diagnose(change(work__checks=checks)).name == "no fast attention kernel"

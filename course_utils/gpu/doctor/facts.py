"""Everything that the doctor knows of a machine. What could not be read is None."""

import re
from dataclasses import dataclass

from course_utils.gpu.doctor.work import Work


@dataclass(frozen=True)
class Environment:
    """The Python in use: `kind` is "venv", "conda" or "system".

    `is_the_course` tells whether the course is installed in it, `kernel_is_this` whether Jupyter's
    kernel runs it.
    """

    python: str
    kind: str | None
    is_the_course: bool | None
    kernel_is_this: bool | None
    clone_has_venv: bool | None


@dataclass(frozen=True)
class System:
    """The operating system (`kind`: linux, wsl2, wsl1, windows, macos) and the traces of NVIDIA's hardware and driver.

    `kernel_module` is the version of the loaded kernel module, `visible_devices` the variable
    CUDA_VISIBLE_DEVICES.
    """

    kind: str | None
    distribution: str | None
    is_container: bool | None
    has_nvidia_device: bool | None
    has_nouveau: bool | None
    kernel_module: str | None
    linux_driver_in_wsl: bool | None
    secure_boot: bool | None
    visible_devices: str | None


@dataclass(frozen=True)
class Driver:
    """`version` such as "580.95.05", `cuda` the newest CUDA that it runs, `failure` NVML's word for why none answers."""

    version: str | None
    cuda: tuple[int, int] | None
    failure: str | None


@dataclass(frozen=True)
class Program:
    """A program on the card; `is_this` is True for the process that asked."""

    name: str | None
    used_bytes: int | None
    is_this: bool


@dataclass(frozen=True)
class Card:
    """The card as NVML sees it, before the doctor's own work; `total_bytes` is what nvidia-smi shows."""

    name: str | None
    capability: tuple[int, int] | None
    total_bytes: int | None
    used_bytes: int | None
    programs: tuple[Program, ...] | None
    power_limit_watts: float | None
    default_power_limit_watts: float | None
    torch_bytes: int | None = None  # what torch reserved in this process, where WSL2 hides it


@dataclass(frozen=True)
class Storage:
    """RAM, disk and the model hub's cache, in bytes; `hub_login` tells that a token is there, never which."""

    ram_bytes: int | None
    ram_available_bytes: int | None
    disk_free_bytes: int | None
    on_windows_disk: bool | None
    model_cache_bytes: int | None
    hub_login: bool | None
    allocator_settings: str | None


@dataclass(frozen=True)
class Facts:
    """One machine. `torch` is the installed version, `card` None without a driver, `work` None where it was not tried."""

    environment: Environment
    system: System
    driver: Driver
    torch: str | None
    card: Card | None
    work: Work | None
    storage: Storage

    @property
    def card_works(self):
        """Whether real work ran on the card to its end; an optional package that fails does not count against it."""
        work = self.work
        return work is not None and work.device == "cuda" and work.ended == "finished" and not self.failed_checks

    @property
    def failed_checks(self):
        """The pieces of real work that failed, those of optional packages left out."""
        checks = self.work.checks if self.work else ()
        return tuple(one for one in checks if one.passed is False and not is_optional(one))

    @property
    def has_nvidia(self):
        """Whether anything here says that there is an NVIDIA card."""
        traces = (self.driver.version, self.system.has_nvidia_device, self.system.kernel_module, self.card)
        return any(traces) or self.card_works


def is_optional(check):
    """Whether a piece of work needs a package that only some lessons need."""
    return "bitsandbytes" in check.name


def version_numbers(version):
    """The numbers in a version such as "580.95.05", or None where it is none."""
    found = re.match(r"\d+(?:\.\d+)*", version or "")
    return tuple(int(part) for part in found[0].split(".")) if found else None

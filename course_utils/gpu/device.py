"""What this machine has: driver, card, memory, disk. Nothing here needs a GPU, and what cannot be read is None."""

import platform
import shutil
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version

GIB = 1024**3


@dataclass(frozen=True)
class Card:
    """The first CUDA device; `total_bytes` as torch sees it, which is less than `nvidia-smi` shows."""

    name: str
    total_bytes: int
    free_bytes: int | None
    driver: str


@dataclass(frozen=True)
class Machine:
    """What the first look at a machine found, and the one sentence to act on."""

    verdict: str
    healthy: bool
    python: str
    torch: str | None
    driver: str | None
    card: Card | None
    ram_bytes: int
    disk_free_bytes: int


def driver_version():
    """NVIDIA driver version from NVML, or None where no driver answers."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    try:
        return pynvml.nvmlSystemGetDriverVersion()
    finally:
        pynvml.nvmlShutdown()


def find_card():
    """The first CUDA card, or None.

    torch is imported only where a driver answers: on a machine without one that import is
    two seconds for nothing.
    """
    driver = driver_version()
    if driver is None:
        return None
    import torch

    if not torch.cuda.is_available():
        return None
    total = torch.cuda.get_device_properties(0).total_memory
    return Card(torch.cuda.get_device_name(0), total, _free_bytes(), driver)


def _free_bytes():
    # NVML reads this without creating a CUDA context; torch.cuda.mem_get_info would take a
    # few hundred MiB of the very memory that it reports.
    import pynvml

    try:
        pynvml.nvmlInit()
        return pynvml.nvmlDeviceGetMemoryInfo(pynvml.nvmlDeviceGetHandleByIndex(0)).free
    except pynvml.NVMLError:
        return None


def installed_version(package):
    """Version of an installed package without importing it, or None."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def look(folder="."):
    """Read this machine's facts; `folder` is where free disk is measured."""
    import psutil

    driver, card, torch_version = driver_version(), find_card(), installed_version("torch")
    verdict, healthy = _verdict(torch_version, driver, card)
    return Machine(
        verdict=verdict,
        healthy=healthy,
        python=platform.python_version(),
        torch=torch_version,
        driver=driver,
        card=card,
        ram_bytes=psutil.virtual_memory().total,
        disk_free_bytes=shutil.disk_usage(folder).free,
    )


def _verdict(torch_version, driver, card):
    if torch_version is None:
        return "torch is not installed in this environment. Run `make lab` in the course's folder.", False
    if card is not None:
        return f"{card.name} is ready: torch {torch_version} can use it.", True
    if driver is None:
        return "No NVIDIA driver answers, so the lessons run on the CPU, with smaller models and data.", True
    return f"The driver ({driver}) answers, but torch {torch_version} cannot use the card. Update the driver.", False


def show_bytes(count):
    """Bytes for reading, in GiB, MiB or KiB, or "n/a"."""
    if count is None:
        return "n/a"
    for unit, size in (("GiB", GIB), ("MiB", 1024**2)):
        if count >= size:
            return f"{count / size:.2f} {unit}"
    return f"{count / 1024:.1f} KiB"


def describe(machine):
    """The machine as (label, text) rows, ready to print."""
    card = machine.card
    return [
        ("Python", machine.python),
        ("torch", machine.torch or "n/a"),
        ("NVIDIA driver", machine.driver or "n/a"),
        ("card", card.name if card else "n/a"),
        ("card memory", show_bytes(card and card.total_bytes)),
        ("card memory free", show_bytes(card and card.free_bytes)),
        ("RAM", show_bytes(machine.ram_bytes)),
        ("disk free here", show_bytes(machine.disk_free_bytes)),
    ]


def doctor():
    """Print what this machine has and whether the course can use it."""
    show(look())


def show(machine):
    """Print the verdict, then the readings."""
    print(machine.verdict)
    for label, text in describe(machine):
        print(f"  {label:<18}{text}")


def as_dict(machine):
    """The machine for JSON: sizes in bytes, None where a reading could not be had, no path or user name."""
    return asdict(machine)

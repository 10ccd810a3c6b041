"""The card that torch computes on, and small things that every room needs to talk about a machine."""

import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version

from course_utils.errors import CourseError
from course_utils.gpu import nvml
from course_utils.gpu.nvml import driver_version

GIB = 1024**3


@dataclass(frozen=True)
class Card:
    """The first CUDA device; `total_bytes` as torch sees it, which is less than `nvidia-smi` shows."""

    name: str
    total_bytes: int
    free_bytes: int | None
    driver: str


def find_card():
    """The first CUDA card, or None.

    torch is imported only where a driver answers: on a machine without one that import is
    two seconds for nothing. Raises CourseError where there is a card that torch cannot open.
    """
    driver = driver_version()
    if driver is None:
        return None
    import torch

    if not torch.cuda.is_available():
        return None
    try:
        properties = torch.cuda.get_device_properties(0)
    except (RuntimeError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise CourseError(f"torch cannot open the card: {reason}. Type `course doctor` for the cause.") from error
    free = nvml.memory()  # without a CUDA context: torch.cuda.mem_get_info would take memory to report memory
    return Card(properties.name, properties.total_memory, free and free.free_bytes, driver)


def installed_version(package):
    """Version of an installed package without importing it, or None."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def missing_packages(extra):
    """Packages of an extra such as "llm" that are not installed, or None where the extra is unknown here."""
    try:
        needs = requires("course-utils") or []
    except PackageNotFoundError:
        return None
    names = [re.match(r"[\w.-]+", one)[0] for one in needs if re.search(rf"extra == ['\"]{extra}['\"]", one)]
    return [name for name in names if installed_version(name) is None] if names else None


def show_bytes(count):
    """Bytes for reading, in GiB, MiB or KiB, or "n/a"."""
    if count is None:
        return "n/a"
    for unit, size in (("GiB", GIB), ("MiB", 1024**2)):
        if count >= size:
            return f"{count / size:.2f} {unit}"
    return f"{count / 1024:.1f} KiB"

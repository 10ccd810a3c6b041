"""Reads the machine without torch and without a GPU: system, driver, card, environment, RAM and disk.

Every function returns None, or a field of None, for what cannot be read. `root` is "/" but in tests.
"""

import importlib.metadata
import json
import os
import platform
import re
import shutil
import sys
import sysconfig
import time
from pathlib import Path

from course_utils.gpu import nvml
from course_utils.gpu.device import installed_version
from course_utils.gpu.doctor import work
from course_utils.gpu.doctor.facts import Card, Driver, Environment, Facts, Program, Storage, System
from course_utils.gpu.memory import torch_memory

CLONE = Path(__file__).resolve().parents[2]
_LINUX_DRIVER = ("libnvidia-compute", "nvidia-driver", "nvidia-dkms", "nvidia-kernel", "libcuda1")


def gather():
    """Read this machine; the real work runs in a child process meanwhile."""
    here, torch = card(), installed_version("torch")  # before the child takes memory of the card
    child = work.start() if torch else None
    rest = {"environment": environment(), "system": system(), "driver": driver(), "storage": storage()}
    return Facts(torch=torch, card=here, work=work.collect(child) if child else None, **rest)


def environment():
    """The Python that runs here, and whether it is the one that the course was installed into."""
    conda = (Path(sys.prefix) / "conda-meta").is_dir()
    return Environment(
        python=platform.python_version(),
        kind="conda" if conda else "venv" if sys.prefix != sys.base_prefix else "system",
        is_the_course=_is_installed_here(),
        kernel_is_this=_kernel_is_this(),
        clone_has_venv=(CLONE / ".venv").is_dir(),
    )


def _is_installed_here():
    folders = [sysconfig.get_path("purelib")]
    return any(True for _ in importlib.metadata.distributions(name="course-utils", path=folders))


def _kernel_is_this():
    """Whether Jupyter's kernel "python3" runs this interpreter; inside a kernel it does."""
    if "ipykernel" in sys.modules and "IPython" in sys.modules and sys.modules["IPython"].get_ipython():
        return True
    try:
        from jupyter_core.paths import jupyter_path

        specs = [Path(folder) / "python3" / "kernel.json" for folder in jupyter_path("kernels")]
        found = next((spec for spec in specs if spec.is_file()), None)
        program = json.loads(found.read_text())["argv"][0] if found else None
    except (ImportError, OSError, ValueError, KeyError, IndexError):
        return None
    if program is None:
        return None
    # Jupyter replaces a bare "python" by its own interpreter.
    return not os.path.isabs(program) or Path(program).parent == Path(sys.executable).parent


def system(root="/"):
    """The operating system and what can be seen of NVIDIA hardware and drivers without asking a driver."""
    root = Path(root)
    kind = _kind(root)
    release = _text(root / "etc/os-release") or ""
    return System(
        kind=kind,
        distribution=_distribution(release),
        is_container=(root / ".dockerenv").exists() or (root / "run/.containerenv").exists(),
        has_nvidia_device=_has_nvidia_device(root),
        has_nouveau=(root / "sys/module/nouveau").is_dir() if kind == "linux" else None,
        kernel_module=_kernel_module(root),
        linux_driver_in_wsl=_linux_driver(root) if kind == "wsl2" else None,
        secure_boot=_secure_boot(root),
        visible_devices=os.environ.get("CUDA_VISIBLE_DEVICES"),
    )


def _kind(root):
    if sys.platform != "linux":
        return {"win32": "windows", "darwin": "macos"}.get(sys.platform, sys.platform)
    told = (_text(root / "proc/version") or "").lower()
    if "microsoft" not in told:
        return "linux"
    return "wsl2" if "wsl2" in told or "microsoft-standard" in told else "wsl1"


def _distribution(release):
    values = dict(re.findall(r'^(ID|ID_LIKE)="?([^"\n]*)"?$', release, re.MULTILINE))
    if "ubuntu" in (values.get("ID_LIKE") or "").split():
        return "ubuntu"
    return values.get("ID")


def _has_nvidia_device(root):
    """Whether a display device of NVIDIA's sits on the PCI bus; WSL2 shows none, so there it is None."""
    devices = list((root / "sys/bus/pci/devices").glob("*")) if _kind(root) == "linux" else []
    if not devices:
        return None
    facts = [(_text(one / "vendor") or "", _text(one / "class") or "") for one in devices]
    return any(vendor.strip() == "0x10de" and kind.startswith("0x03") for vendor, kind in facts)


def _kernel_module(root):
    found = re.search(r"Kernel Module.*?(\d+\.\d+(?:\.\d+)?)", _text(root / "proc/driver/nvidia/version") or "")
    return found[1] if found else None


def _linux_driver(root):
    """Whether a Linux driver was installed inside WSL, where only the one that Windows lends belongs."""
    libraries = root / "usr/lib/x86_64-linux-gnu"
    if any(found for name in ("libcuda.so*", "libnvidia-ml.so*") for found in libraries.glob(name)):
        return True
    packages = (_text(root / "var/lib/dpkg/status") or "").split("\n\n")
    installed = [one for one in packages if "\nStatus: install ok installed" in one]
    return any(one.startswith(tuple(f"Package: {name}" for name in _LINUX_DRIVER)) for one in installed)


def _secure_boot(root):
    found = next(iter((root / "sys/firmware/efi/efivars").glob("SecureBoot-*")), None)
    try:
        return found.read_bytes()[-1] == 1 if found else None
    except (OSError, IndexError):
        return None


def driver():
    """The driver's version, the newest CUDA that it runs, and NVML's word for why none answers."""
    return Driver(nvml.driver_version(), nvml.cuda_version(), nvml.failure())


def card():
    """The card as NVML sees it, or None."""
    if nvml.handle() is None:
        return None
    memory, (limit, default) = nvml.memory(), nvml.power_limits_watts()
    programs, vram = nvml.processes(), torch_memory()
    return Card(
        name=nvml.name(),
        capability=nvml.capability(),
        total_bytes=memory and memory.total_bytes,
        used_bytes=memory and memory.used_bytes,
        programs=None if programs is None else tuple(_program(one) for one in programs),
        power_limit_watts=limit,
        default_power_limit_watts=default,
        torch_bytes=vram and vram.reserved_bytes,
    )


def _program(process):
    return Program(process.name, process.used_bytes, process.pid == os.getpid())


def storage():
    """RAM, disk, where the clone lies, and the model hub's cache and login; a token's value is never read."""
    import psutil

    memory = psutil.virtual_memory()
    hub = Path(os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface")
    cache = Path(os.environ.get("HF_HUB_CACHE") or hub / "hub").expanduser()
    token = Path(os.environ.get("HF_TOKEN_PATH") or hub / "token").expanduser()
    return Storage(
        ram_bytes=memory.total,
        ram_available_bytes=memory.available,
        disk_free_bytes=_disk_free(),
        on_windows_disk=bool(re.match(r"/mnt/[a-z](/|$)", str(CLONE))),
        model_cache_bytes=folder_bytes(cache),
        hub_login=bool(os.environ.get("HF_TOKEN") or os.environ.get("HUGGING_FACE_HUB_TOKEN") or _has_content(token)),
        allocator_settings=os.environ.get("PYTORCH_ALLOC_CONF") or os.environ.get("PYTORCH_CUDA_ALLOC_CONF"),
    )


def _disk_free():
    try:
        return shutil.disk_usage(CLONE).free
    except OSError:
        return None


def folder_bytes(folder, limit_seconds=1.0):
    """Bytes of the files under a folder, links not followed; 0 without a folder, None where it takes too long."""
    total, end = 0, time.monotonic() + limit_seconds
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_size
            except OSError:
                continue  # gone meanwhile
        if time.monotonic() > end:
            return None
    return total


def _has_content(path):
    try:
        return path.stat().st_size > 0
    except OSError:
        return False


def _text(path):
    try:
        return path.read_text(errors="replace")
    except OSError:
        return None

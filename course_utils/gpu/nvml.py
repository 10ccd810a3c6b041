"""What NVIDIA's management library (NVML) tells about the card: no CUDA context is made, and what cannot be read is None."""

import os
import sys
from dataclasses import dataclass
from functools import cache

MEMORY_V2 = 0x02000028  # pynvml.nvmlMemory_v2


@dataclass(frozen=True)
class Process:
    """A program that holds memory of the card; `used_bytes` is None under WSL2 and WDDM, which hide it."""

    pid: int
    name: str | None
    used_bytes: int | None


@dataclass(frozen=True)
class Memory:
    """The whole card's memory; `used_bytes` is all that is not free.

    It contains `reserved_bytes`, the driver's own, which `nvidia-smi` leaves out.
    """

    total_bytes: int
    used_bytes: int
    free_bytes: int
    reserved_bytes: int = 0


@cache
def library():
    """The module pynvml, initialised, or None where no driver answers."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    return pynvml


def ask(function, *arguments):
    """The answer of one NVML function, such as `ask("nvmlDeviceGetTemperature", handle, 0)`, or None."""
    nvml = library()
    if nvml is None or None in arguments:
        return None
    try:
        return getattr(nvml, function)(*arguments)
    except (nvml.NVMLError, UnicodeDecodeError):
        return None


def handle():
    """NVML's handle of torch's first card, or None.

    torch and NVML may count cards differently, so a card that torch has opened already is found
    by its UUID; before that the first entry of CUDA_VISIBLE_DEVICES counts.
    """
    torch = sys.modules.get("torch")
    is_initialized = getattr(getattr(torch, "cuda", None), "is_initialized", None)  # absent while torch is imported
    if is_initialized is not None and is_initialized():
        uuid = torch.cuda.get_device_properties(0).uuid
        return ask("nvmlDeviceGetHandleByUUID", f"GPU-{uuid}") or ask("nvmlDeviceGetHandleByUUID", f"MIG-{uuid}")
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")[0].strip()
    if first.startswith(("GPU-", "MIG-")):
        return ask("nvmlDeviceGetHandleByUUID", first)
    return ask("nvmlDeviceGetHandleByIndex", int(first) if first.isdecimal() else 0)


def failure():
    """NVML's own name for why no driver answers, such as "DriverNotLoaded", or None where one answers."""
    import pynvml

    if library() is not None:
        return None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return type(error).__name__.removeprefix("NVMLError_")
    return None


def driver_version():
    """Version of the driver, such as "580.95.05", or None where no driver answers."""
    return ask("nvmlSystemGetDriverVersion")


def cuda_version():
    """The newest CUDA version that the driver runs, as (major, minor), or None."""
    number = ask("nvmlSystemGetCudaDriverVersion")
    return None if number is None else (number // 1000, number % 1000 // 10)


def memory():
    """The card's `Memory`, or None."""
    card = handle()
    found = ask("nvmlDeviceGetMemoryInfo", card, MEMORY_V2)  # drivers since 510; older ones know only version 1
    if found is not None:
        return Memory(found.total, found.total - found.free, found.free, found.reserved)
    found = ask("nvmlDeviceGetMemoryInfo", card)
    return None if found is None else Memory(found.total, found.used, found.free)


def name():
    """The card's name as the driver reports it, such as "NVIDIA GeForce RTX 4070 Ti", or None."""
    return ask("nvmlDeviceGetName", handle())


def capability():
    """The card's compute capability, such as (8, 9), or None."""
    found = ask("nvmlDeviceGetCudaComputeCapability", handle())
    return None if found is None else tuple(found)


def power_limits_watts():
    """The power limit now and the one the card was made for, each None where it cannot be read."""
    milliwatts = [ask(f"nvmlDeviceGetPowerManagement{kind}Limit", handle()) for kind in ("", "Default")]
    return tuple(None if one is None else one / 1000 for one in milliwatts)


def processes():
    """The programs on the card, compute and graphics, or None where they cannot be listed."""
    card = handle()
    # Version 3 by name: where a driver before 510 lacks it, the name without a version raises no NVMLError.
    lists = [ask(f"nvmlDeviceGet{kind}RunningProcesses_v3", card) for kind in ("Compute", "Graphics")]
    if lists == [None, None]:
        return None
    found = {one.pid: one for several in lists for one in several or ()}
    return tuple(Process(pid, _name(pid), one.usedGpuMemory) for pid, one in sorted(found.items()))


def _name(pid):
    import psutil

    try:
        return psutil.Process(pid).name()
    except psutil.Error:
        return None

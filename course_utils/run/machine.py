"""What this machine gives to a run: cores, memory, GPUs."""

import os

from course_utils.gpu import memory, nvml


def usable_cores():
    """Cores that this process may use, which in a container can be fewer than the machine has."""
    return len(os.sched_getaffinity(0))


def usable_memory_bytes():
    """RAM that notebooks can take together, within this process's control groups."""
    return memory.available_ram_bytes()


def gpus():
    """Names of the GPUs as CUDA_VISIBLE_DEVICES takes them; those that the variable allows where it is set."""
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if nvml.driver_version() is None:
        return ()
    if allowed is not None:
        return tuple(name.strip() for name in allowed.split(",") if name.strip())
    handles = [nvml.ask("nvmlDeviceGetHandleByIndex", number) for number in range(nvml.ask("nvmlDeviceGetCount") or 0)]
    return tuple(filter(None, (nvml.ask("nvmlDeviceGetUUID", handle) for handle in handles)))


def gpu_facts():
    """The first GPU's name and the newest CUDA version its driver runs, or "no GPU"."""
    if nvml.driver_version() is None:
        return "no GPU"
    return f"{nvml.name()}, CUDA {'.'.join(map(str, nvml.cuda_version() or ('n/a',)))}"

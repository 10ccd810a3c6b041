"""Real work on the device, in a process of its own: `python -m course_utils.gpu.doctor.probe`.

It prints one JSON object a line, one before and one after each piece of work, so that the reader
knows what a crash or a hang interrupted, and how many pieces there are. Without a usable card the
same work runs on the CPU.
"""

import json
import os
import warnings

from course_utils.gpu import memory, nvml
from course_utils.gpu.doctor.checks import CHECKS, Device, Missing, Wrong
from course_utils.gpu.doctor.speed import copy_gb_per_s, matmul_tflops, seconds_per_run

MIB = 1024**2
FLOAT32 = {True: "matmul float32, TF32 off", False: "matmul float32"}  # a CPU has no TF32


def main():
    """Print everything that was found; the last line is {"kind": "end"}."""
    before = nvml.memory()
    say("start", name="import torch")
    torch, setup = open_torch()
    say("torch", **setup)
    on = Device(torch, setup["device"])
    measures = list(speeds(on))
    say("count", steps=1 + on.is_card + len(CHECKS) + len(measures))
    if on.is_card:
        say("start", name="open the card")
        say("card", **describe_card(torch))
    for name, work in CHECKS.items():
        say("start", name=name)
        say("check", name=name, **attempt(work, on))
    for name, unit, measure in measures:
        say("start", name=name)
        say("speed", name=name, unit=unit, value=measured(measure))
    if on.is_card:
        say("memory", **card_memory(torch, before and before.free_bytes))
    say("end")


def say(kind, **facts):
    print(json.dumps({"kind": kind, **facts}), flush=True)


def open_torch():
    """The module torch, and what it says about itself: its CUDA build, and why it cannot use a card."""
    import torch

    torch.manual_seed(0)
    torch.backends.cudnn.allow_tf32 = False  # the convolution is compared with float64
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        usable = torch.cuda.is_available()
    return torch, {
        "version": torch.__version__,
        "cuda": torch.version.cuda,
        "architectures": torch.cuda.get_arch_list(),
        "device": "cuda" if usable else "cpu",
        "cuda_error": first_line(told[0].message) if told and not usable else None,
        "allocator_error": allocator_error(torch),
    }


def allocator_error(torch):
    """What torch's own parser says against the variable that sets its allocator, or None."""
    value = os.environ.get("PYTORCH_ALLOC_CONF") or os.environ.get("PYTORCH_CUDA_ALLOC_CONF")
    parse = getattr(torch._C, "_accelerator_setAllocatorSettings", None)
    if not value or parse is None:
        return None
    try:
        parse(value)
    except (ValueError, RuntimeError) as error:
        return first_line(error)
    return None


def describe_card(torch):
    card = torch.cuda.get_device_properties(0)
    return {"name": card.name, "capability": [card.major, card.minor], "total_bytes": card.total_memory}


def attempt(work, on):
    """One check's outcome: `passed` is None where it could not be tried."""
    try:
        run, words = work(on)
        return {"passed": True, "milliseconds": 1000 * seconds_per_run(run, on.name, 0.02), "detail": words}
    except Missing as reason:
        return {"passed": None, "milliseconds": None, "detail": str(reason)}
    except (Wrong, RuntimeError, ImportError, AttributeError, OSError, ValueError, TypeError) as error:
        return {"passed": False, "milliseconds": None, "detail": f"{type(error).__name__}: {first_line(error)}"}


def speeds(on):
    """(name, unit, function) of each speed to measure on this device."""
    yield "memory copy", "GB/s", lambda: copy_gb_per_s(on.name)
    yield FLOAT32[on.is_card], "TFLOPS", lambda: matmul_tflops(on.name)
    if on.is_card:
        yield "matmul float32, TF32 on", "TFLOPS", lambda: matmul_tflops(on.name, tf32=True)
        yield "matmul float16", "TFLOPS", lambda: matmul_tflops(on.name, "float16")
    yield "matmul bfloat16", "TFLOPS", lambda: matmul_tflops(on.name, "bfloat16")


def measured(measure):
    """The speed, or None where the card has no room for it."""
    try:
        return measure()
    except RuntimeError:  # out of memory: the checks have told already what does not work
        return None


def card_memory(torch, free_before):
    """The context's size and what is left for tensors, in bytes, after all kernels above were loaded."""
    torch._C._cuda_clearCublasWorkspaces()
    torch.cuda.empty_cache()
    free, reserved, mine = torch.cuda.mem_get_info()[0], torch.cuda.memory_reserved(), memory.process_bytes()
    if mine is not None:
        context = mine - reserved
    elif free_before is not None and (after := nvml.memory()) is not None:
        context = free_before - after.free_bytes - reserved  # both by NVML: torch's figure may be another under WSL2
    else:
        context = None
    return {
        "context_bytes": context if context is None or context > 0 else None,
        "plan_bytes": free + reserved,
        "expandable_segments": expandable_segments(torch),
    }


def expandable_segments(torch):
    """Whether this driver lets torch's allocator grow its segments: tried, since the platform alone does not tell."""
    parse = getattr(torch._C, "_accelerator_setAllocatorSettings", None)
    if parse is None:
        return None
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            parse("expandable_segments:True")
            torch.empty(32 * MIB, dtype=torch.uint8, device="cuda")
            torch.cuda.synchronize()
        except (RuntimeError, ValueError):
            return False
    return not any("expandable_segments" in str(one.message) for one in told)


def first_line(error):
    """The first line of a message, at most 300 characters."""
    return (str(error).strip().splitlines() or [""])[0][:300]


if __name__ == "__main__":
    main()

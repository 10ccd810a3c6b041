"""What can be wrong between torch and a card that a driver answers for, and in the real work itself."""

import re

from course_utils.gpu.doctor import commands
from course_utils.gpu.doctor.finding import Finding

# PyTorch's builds for CUDA 12.6 also hold kernels for the cards before Turing: torch.cuda lists what each build holds.
OLDER_CARDS = "https://download.pytorch.org/whl/cu126"
OLDEST_CARD = (5, 0)


def hidden_card(facts):
    value = facts.system.visible_devices
    if value is None or facts.driver.version is None or facts.card_works:
        return None
    if value.strip() in ("", "NoDevFiles") or value.strip().startswith("-") or facts.card is None:
        cause = f"The variable CUDA_VISIBLE_DEVICES is {value!r}, which hides every card. Remove it, then start again."
        return Finding("the card is hidden", cause, "unset CUDA_VISIBLE_DEVICES")
    return None


def driver_without_card(facts):
    if facts.driver.version and facts.card is None and not facts.card_works:
        cause = f"Driver {facts.driver.version} answers and finds no card: it may have fallen off the bus. See its log."
        return Finding("the driver finds no card", cause, "sudo dmesg | grep -iE 'nvrm|xid'")
    return None


def other_architecture(facts):
    built = facts.work.architectures if facts.work else ()
    capability = facts.card and facts.card.capability or facts.work and facts.work.capability
    if not built or not capability or facts.card_works or runs_on(built, capability):
        return None
    card = f"{_name(facts)} is sm_{capability[0]}{capability[1]}; this torch holds {', '.join(built)}"
    if capability > max(_numbers(built)):
        return Finding("the card is newer than this torch", f"{card}: take a newer one.", "git pull && make lab")
    if capability < OLDEST_CARD:
        cause = f"{card}, and no build of it reaches back that far. The course runs on the CPU."
        return Finding("the card is too old for torch", cause, "COURSE_PROFILE=cpu make lab")
    cause = f"{card}. The build for CUDA 12.6 holds older ones too."
    return Finding("the card is older than this torch", cause, commands.reinstall_torch(facts, OLDER_CARDS))


def runs_on(architectures, capability):
    """Whether code built for these architectures runs on a card of this compute capability.

    A binary (sm_86) runs on the same major version from its minor version up, PTX (compute_86) on
    every later card: CUDA C++ Programming Guide, "Binary compatibility" and "PTX compatibility".
    """
    binaries, ptx = _numbers(architectures, "sm"), _numbers(architectures, "compute")
    same_major = any(major == capability[0] and minor <= capability[1] for major, minor in binaries)
    return same_major or any(one <= capability for one in ptx)


def _numbers(architectures, kind="sm|compute"):
    found = (re.fullmatch(rf"(?:{kind})_(\d+)(\d)", one) for one in architectures)
    return [(int(one[1]), int(one[2])) for one in found if one]


def card_not_opened(facts):
    work = facts.work
    if not work or work.device != "cpu" or work.cuda is None or facts.driver.version is None:
        return None
    told = f" torch says: {work.cuda_error}" if work.cuda_error else ""
    cause = f"Driver {facts.driver.version} fits, but torch cannot open {_name(facts)}.{told}"
    reload = "sudo modprobe -r nvidia_uvm && sudo modprobe nvidia_uvm"  # what a laptop needs after sleep
    return Finding(
        "torch cannot open the card", cause, reload if facts.system.kind == "linux" else commands.restart(facts)
    )


def card_is_full(facts):
    told = [one.detail for one in facts.failed_checks] + [facts.work and facts.work.error or ""]
    if not any("out of memory" in one.lower() or "OutOfMemory" in one for one in told):
        return None
    where = _name(facts) if facts.work.device == "cuda" else "RAM"
    cause = f"{where} has no room for even the smallest work: close what holds it (other notebooks' kernels, games, browsers)."
    command = commands.who_holds_the_card(facts) if facts.work.device == "cuda" else "free -h"
    return Finding("memory is full", cause, command)


def work_hangs(facts):
    if facts.work and facts.work.ended == "timed out":
        cause = f"“{facts.work.during}” began and did not end; the driver waits for the card."
        return Finding("real work hangs", cause, commands.restart(facts))
    return None


def work_crashes(facts):
    if facts.work and facts.work.ended in ("killed", "failed"):
        cause = f"“{facts.work.during}” ended the process: {facts.work.error or 'no message'}."
        return Finding("real work crashes", cause, _mend(facts))
    return None


def work_fails(facts):
    if facts.failed_checks:
        first = facts.failed_checks[0]
        cause = f"“{first.name}” failed: {first.detail}."
        return Finding("real work fails", cause, _mend(facts))
    return None


def _mend(facts):
    on_card = facts.work.device == "cuda"
    return commands.restart(facts) if on_card else commands.reinstall_torch(facts)


def _name(facts):
    return (facts.card and facts.card.name) or (facts.work and facts.work.card) or "the card"

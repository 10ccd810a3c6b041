"""From facts to a diagnosis: the rules in the order in which people get stuck. The first that holds is the one to mend.

What runs is not broken: a rule about the driver or the card holds only where real work on the card
did not succeed, so that an unusual machine that works is left in peace.
"""

from dataclasses import dataclass

from course_utils.gpu.doctor import cause_setup as setup
from course_utils.gpu.doctor import cause_work as work
from course_utils.gpu.doctor import commands
from course_utils.gpu.doctor.finding import Finding
from course_utils.gpu.doctor.limits import LIMITS

HEALTHY, LIMITED, BROKEN = 0, 1, 2

# A rule stands after those that would explain it: a Linux driver inside WSL makes the driver's version
# that is read there worthless, and a card that is hidden is not one that torch cannot open.
RULES = (
    setup.native_windows,
    setup.first_wsl,
    setup.other_environment,
    setup.other_kernel,
    setup.no_torch,
    setup.allocator_variable,
    setup.torch_does_not_load,
    setup.cpu_wheel,
    setup.linux_driver_in_wsl,
    setup.old_driver,
    setup.driver_not_restarted,
    setup.container_without_card,
    setup.driver_not_loaded,
    setup.no_driver,
    work.hidden_card,
    work.driver_without_card,
    work.other_architecture,
    work.card_not_opened,
    work.card_is_full,
    work.work_hangs,
    work.work_crashes,
    work.work_fails,
)


@dataclass(frozen=True)
class Diagnosis:
    """`status` is the exit status: 0 healthy, 1 works with limits, 2 broken; `limits` is what else was found."""

    status: int
    name: str
    verdict: str
    cause: str
    command: str
    limits: tuple[Finding, ...]


def diagnose(facts):
    """The one cause to mend first, else the first limit, else a clean bill."""
    broken = next(filter(None, (rule(facts) for rule in RULES)), None)
    limits = tuple(filter(None, (rule(facts) for rule in LIMITS)))
    if broken:
        # What a machine lacks on top of a broken card is told once it works.
        limits = tuple(one for one in limits if one.name != "no NVIDIA card")
        return Diagnosis(BROKEN, broken.name, f"Broken: {broken.name}.", broken.cause, broken.command, limits)
    if limits:
        first, *others = limits
        verdict = f"Works, with limits: {', '.join(one.name for one in limits)}."
        return Diagnosis(LIMITED, first.name, verdict, first.cause, first.command, tuple(others))
    verdict = f"Healthy: {facts.work.card or 'the card'} did all the work it was given, with torch {facts.work.torch}."
    return Diagnosis(HEALTHY, "healthy", verdict, "nothing to mend", commands.lab(facts), ())

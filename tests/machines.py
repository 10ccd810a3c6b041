"""Made-up machines for the doctor's tests: a healthy one, and `change` to break it."""

from dataclasses import replace

from course_utils.gpu.doctor.checks import CHECKS
from course_utils.gpu.doctor.facts import Card, Driver, Environment, Facts, Program, Storage, System
from course_utils.gpu.doctor.work import Check, Speed, Work

GIB = 1024**3
MIB = 1024**2
ARCHITECTURES = ("sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120")
PASSED = tuple(Check(name, True, 1.0, "takes flash" if "SDPA" in name else "error 1e-04") for name in CHECKS)

HEALTHY = Facts(
    environment=Environment("3.12.3", "venv", True, True, True),
    system=System("linux", "ubuntu", False, True, False, "580.95.05", None, False, None),
    driver=Driver("580.95.05", (13, 0), None),
    torch="2.14.1",
    card=Card(
        "NVIDIA GeForce RTX 4070 Ti",
        (8, 9),
        12_282 * MIB,
        900 * MIB,
        (Program("Xorg", 400 * MIB, False), Program("firefox", 200 * MIB, False)),
        285.0,
        285.0,
    ),
    work=Work(
        ended="finished",
        device="cuda",
        torch="2.14.1+cu130",
        cuda="13.0",
        architectures=ARCHITECTURES,
        card="NVIDIA GeForce RTX 4070 Ti",
        capability=(8, 9),
        total_bytes=int(11.70 * GIB),
        context_bytes=300 * MIB,
        plan_bytes=int(10.5 * GIB),
        expandable_segments=True,
        checks=PASSED,
        speeds=(
            Speed("memory copy", "GB/s", 450.0),
            Speed("matmul float32, TF32 off", "TFLOPS", 34.0),
            Speed("matmul float32, TF32 on", "TFLOPS", 36.0),
            Speed("matmul float16", "TFLOPS", 70.0),
            Speed("matmul bfloat16", "TFLOPS", 70.0),
        ),
    ),
    storage=Storage(32 * GIB, 24 * GIB, 200 * GIB, False, 5 * GIB, True, None),
)


def change(facts=HEALTHY, **changes):
    """The same machine with other facts: `change(driver__version="535.1", torch=None)`."""
    for name, value in changes.items():
        part, _, field = name.partition("__")
        facts = replace(facts, **{part: replace(getattr(facts, part), **{field: value}) if field else value})
    return facts


def without_work_on_the_card(facts=HEALTHY, **changes):
    """The same machine where torch took the CPU."""
    speeds = (Speed("memory copy", "GB/s", 20.0),)
    nothing = {"card": None, "capability": None, "total_bytes": None, "context_bytes": None, "plan_bytes": None}
    work = replace(facts.work, device="cpu", speeds=speeds, expandable_segments=None, **nothing)
    return change(replace(facts, work=work), **changes)


def without_driver(facts=HEALTHY, failure="LibraryNotFound", **changes):
    """The same machine where no driver answers."""
    gone = {"driver": Driver(None, None, failure), "card": None, "system__kernel_module": None}
    return change(without_work_on_the_card(facts), **(gone | changes))


def failing(check_name, detail, facts=HEALTHY):
    """The same machine where one piece of real work fails."""
    checks = tuple(
        replace(one, passed=False, milliseconds=None, detail=detail) if one.name == check_name else one
        for one in facts.work.checks
    )
    return change(facts, work__checks=checks)


WSL = change(
    system=System("wsl2", "ubuntu", False, None, None, None, False, None, None),
    driver=Driver("581.57", (13, 0), None),
    card__programs=(),
)
CPU_ONLY = without_driver(system__has_nvidia_device=False)

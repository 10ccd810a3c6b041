"""The doctor's details: what was read, as (label, text) rows under small headings."""

from course_utils.gpu.device import show_bytes
from course_utils.gpu.doctor import limits
from course_utils.gpu.doctor.cause_setup import FIRST_DRIVER, minimum_driver
from course_utils.gpu.doctor.facts import version_numbers

SPILLS_SINCE, SWITCH_SINCE = (536, 40), (546, 1)  # NVIDIA, "System Memory Fallback for Stable Diffusion" (answer 5490)


def sections(facts):
    """(heading, rows) in the order in which they are shown; a section that has nothing to say is left out."""
    where = {"cuda": "on the card", "cpu": "on the CPU"}.get(facts.work and facts.work.device, "not done")
    found = [
        ("This Python", python_rows(facts)),
        ("Driver and card", card_rows(facts)),
        (f"Real work, {where}", work_rows(facts)),
        (f"Speed, {where}", speed_rows(facts)),
        ("Card memory", memory_rows(facts)),
        ("RAM, disk, models", storage_rows(facts)),
    ]
    return [(heading, rows) for heading, rows in found if rows]


def python_rows(facts):
    place, work = facts.environment, facts.work
    built = f"built with CUDA {work.cuda}" if work and work.cuda else "built for the CPU only" if work else "n/a"
    return [
        ("Python", f"{na(place.python)}, {na(place.kind)}"),
        ("the course's environment", yes_no(place.is_the_course)),
        ("Jupyter runs this Python", yes_no(place.kernel_is_this)),
        ("torch", f"{(work and work.torch) or facts.torch}, {built}" if facts.torch else "not installed"),
        ("torch's architectures", " ".join(work.architectures) if work and work.architectures else "n/a"),
    ]


def card_rows(facts):
    need, cuda = minimum_driver(facts.work and facts.work.cuda), facts.driver.cuda
    name = (facts.card and facts.card.name) or (facts.work and facts.work.card)
    capability = (facts.card and facts.card.capability) or (facts.work and facts.work.capability)
    rows = [
        ("system", system_name(facts)),
        ("NVIDIA driver", f"{facts.driver.version}" if facts.driver.version else f"none ({na(facts.driver.failure)})"),
        ("driver runs CUDA up to", f"{cuda[0]}.{cuda[1]}" if cuda else "n/a"),
        ("this torch needs driver", f"{need} or newer{first_driver(facts)}" if need else "n/a"),
        ("card", na(name)),
    ]
    if name:
        rows += [
            ("compute capability", f"{capability[0]}.{capability[1]}" if capability else "n/a"),
            ("power", limits.power(facts)),
            ("an overfull card", spill(facts)),
            ("expandable_segments", allowed(facts.work and facts.work.expandable_segments)),
        ]
    if facts.storage.allocator_settings:
        rows.append(("allocator settings", facts.storage.allocator_settings))
    return rows


def first_driver(facts):
    """In which driver this torch's CUDA version first came, in words."""
    numbers = version_numbers(facts.work and facts.work.cuda)
    first = FIRST_DRIVER.get(numbers[:2]) if numbers else None
    return f" (CUDA {numbers[0]}.{numbers[1]} came with {first})" if first else ""


def system_name(facts):
    names = {"wsl2": "WSL2", "wsl1": "WSL 1", "linux": "Linux", "windows": "Windows", "macos": "macOS"}
    parts = [names.get(facts.system.kind, na(facts.system.kind)), facts.system.distribution]
    return ", ".join([*filter(None, parts), *(["in a container"] if facts.system.is_container else [])])


def spill(facts):
    """What happens to what no longer fits on the card: Windows drivers move it to RAM, and can be told not to."""
    if facts.system.kind not in ("wsl2", "windows"):
        return "fails with “out of memory”: this system does not spill into RAM"
    version = version_numbers(facts.driver.version)
    if version is None:
        return "n/a"
    # Three numbers are a Linux driver's version; those of two branches began before the change and ended after it.
    if len(version) == 3 and version[0] in (535, 545):
        return "n/a: this driver's version does not tell whether it spills into RAM"
    if version < SPILLS_SINCE:
        return "fails with “out of memory”: Windows drivers spill into RAM only since 536.40"
    if version < SWITCH_SINCE:
        return "spills into RAM without a word (since 536.40), and this driver has no switch (546.01 or newer has)"
    return (
        "spills into RAM without a word, unless NVIDIA Control Panel > Manage 3D settings > "
        "CUDA - Sysmem Fallback Policy is “Prefer No Sysmem Fallback” (not readable from here)"
    )


def work_rows(facts):
    words = {True: "pass", False: "FAIL", None: "-"}
    rows = []
    for check in facts.work.checks if facts.work else ():
        took = f"{check.milliseconds:9.2f} ms" if check.milliseconds is not None else " " * 12
        rows.append((check.name, f"{words[check.passed]} {took}  {check.detail}"))
    if facts.work and facts.work.ended != "finished":
        rows.append((na(facts.work.during), f"{facts.work.ended}: {na(facts.work.error)}"))
    return rows


def speed_rows(facts):
    rows = []
    for one in facts.work.speeds if facts.work else ():
        rows.append((one.name, f"{one.value:9.3g} {one.unit}" if one.value else "n/a"))
    compared = limits.against_sheet(facts)
    for place, (_, _, sheet, share) in enumerate(compared):
        if share:
            rows[place] = (rows[place][0], f"{rows[place][1]}   {share:.0%} of the data sheet's {sheet:.4g}")
    if compared and not any(share for *_, share in compared):
        rows.append(("data sheet", "this card is not in the course's table"))
    return rows


def memory_rows(facts):
    card, work = facts.card, facts.work
    if card is None and (work is None or work.total_bytes is None):
        return []
    free = None if card is None or None in (card.total_bytes, card.used_bytes) else card.total_bytes - card.used_bytes
    taken = limits.taken_bytes(facts)
    return [
        ("on the box (nvidia-smi)", show_bytes(card and card.total_bytes)),
        ("visible to torch", show_bytes(work and work.total_bytes)),
        ("free now", show_bytes(free)),
        ("taken by others", show_bytes(taken) + (f": {limits.holders(facts)}" if taken else "")),
        ("CUDA context, measured", show_bytes(work and work.context_bytes)),
        ("plan with", show_bytes(plan_bytes(facts))),
    ]


def plan_bytes(facts):
    """What this process can fill with tensors: the free memory beside one context, and what it holds already; or None."""
    plan = facts.work and facts.work.plan_bytes
    return None if plan is None else plan + limits.own_bytes(facts)


def storage_rows(facts):
    store = facts.storage
    cap = " (WSL's share: half of the RAM unless .wslconfig says otherwise)" if facts.system.kind == "wsl2" else ""
    rows = [
        ("RAM", f"{show_bytes(store.ram_bytes)}, {show_bytes(store.ram_available_bytes)} available{cap}"),
        ("disk free", show_bytes(store.disk_free_bytes)),
        ("model cache", "empty" if store.model_cache_bytes == 0 else show_bytes(store.model_cache_bytes)),
        (
            "login for gated models",
            {True: "a token is here", False: "none: hf auth login", None: "n/a"}[store.hub_login],
        ),
    ]
    return rows + ([("on a Windows disk", yes_no(store.on_windows_disk))] if facts.system.kind == "wsl2" else [])


def na(value):
    return "n/a" if value is None else value


def yes_no(value):
    return {True: "yes", False: "NO", None: "n/a"}[value]


def allowed(value):
    return {True: "allowed", False: "not allowed here", None: "n/a"}[value]

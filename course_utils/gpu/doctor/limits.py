"""What works less well than it could: the machine is usable, and one command makes it better."""

from course_utils.gpu import datasheet
from course_utils.gpu.device import GIB, show_bytes
from course_utils.gpu.doctor import commands
from course_utils.gpu.doctor.finding import Finding

SMALLEST_CARD_GIB = 11.0  # what the smallest GPU profile needs, as torch counts it
TAKEN_SHARE = 0.2  # of the card, by other programs
SLOW_SHARE = 0.6  # of the data sheet; copies and large products reach 80 to 95 % on a healthy card
RAM_GIB = 8
WSL_RAM_GIB = 12
DISK_GIB = 10


def card_missing(facts):
    if facts.card_works:
        return None
    why = "No NVIDIA driver answers here" if facts.driver.version is None else "The card did no work here"
    cause = (
        f"{why}, so the course runs on the CPU: every lesson, the same steps and real data, with "
        "smaller models, fewer epochs and smaller pictures (profile cpu)."
    )
    if facts.system.kind != "wsl2":
        return Finding("no NVIDIA card", cause, commands.lab(facts))
    cause += " If this PC has an NVIDIA card, install its driver in Windows."
    return Finding("no NVIDIA card", cause, commands.install_driver(facts, None))


def untested_system(facts):
    if facts.system.kind in ("linux", "wsl2", "wsl1", "windows", None):
        return None
    cause = f"The course was tested on Linux and WSL2 only, not on {facts.system.kind}."
    return Finding("an untested system", cause, commands.lab(facts))


def small_card(facts):
    total = facts.work and facts.work.total_bytes
    if total and total < SMALLEST_CARD_GIB * GIB:
        cause = (
            f"{facts.work.card or 'The card'} has {show_bytes(total)}; the smallest GPU profile needs "
            f"{SMALLEST_CARD_GIB:.0f} GiB, so lessons take their CPU sizes."
        )
        return Finding("a small card", cause, commands.lab(facts))
    return None


def taken_memory(facts):
    taken, total = taken_bytes(facts), facts.card and facts.card.total_bytes
    if taken is None or not total or taken < TAKEN_SHARE * total:
        return None
    cause = f"Other programs hold {show_bytes(taken)} of the card's {show_bytes(total)}: {holders(facts)}. Close what you can."
    return Finding("other programs hold the card's memory", cause, commands.who_holds_the_card(facts))


def taken_bytes(facts):
    """What programs other than this one hold of the card, or None; the driver's own share is in it."""
    if facts.card is None or facts.card.used_bytes is None:
        return None
    return max(0, facts.card.used_bytes - own_bytes(facts))


def own_bytes(facts):
    """What this very process holds of the card: as the driver tells, or torch's share where WSL2 hides it."""
    told = sum(one.used_bytes or 0 for one in (facts.card and facts.card.programs) or () if one.is_this)
    return told or (facts.card and facts.card.torch_bytes) or 0


def holders(facts):
    """The other programs on the card with what each holds, largest first, in words."""
    if facts.system.kind in ("wsl2", "windows"):
        return "Windows does not tell which"
    others = [one for one in (facts.card and facts.card.programs) or () if not one.is_this]
    others.sort(key=lambda one: -(one.used_bytes or 0))
    return ", ".join(f"{one.name or 'unnamed'} {show_bytes(one.used_bytes)}" for one in others) or "none is listed"


def slow_card(facts):
    slow = [row for row in against_sheet(facts) if row[3] is not None and row[3] < SLOW_SHARE]
    if not slow:
        return None
    name, reached, published, share = min(slow, key=lambda row: row[3])
    cause = f"{name} reaches {reached:.4g} of the data sheet's {published:.4g} ({share:.0%}). {power(facts)}; on the card: {holders(facts)}."
    command = "nvidia-smi -q -d PERFORMANCE,POWER,TEMPERATURE"
    return Finding("power cap or busy card", cause, command)


def power(facts):
    """The power limit now and by default, in words."""
    now, default = facts.card and facts.card.power_limit_watts, facts.card and facts.card.default_power_limit_watts
    show = ["n/a" if one is None else f"{one:.0f} W" for one in (now, default)]
    return f"Power limit {show[0]}, by default {show[1]}"


def against_sheet(facts):
    """(name, achieved, published, share) of each speed on the card; published and share are None where no sheet tells."""
    if facts.work is None or facts.work.device != "cuda":
        return []
    sheet = datasheet.find(facts.work.card, facts.work.total_bytes)
    published = (
        {}
        if sheet is None
        else {
            "memory copy": sheet.bandwidth_gb_per_s,
            "matmul float32, TF32 off": sheet.fp32_tflops,
            "matmul float32, TF32 on": sheet.tf32_tflops,
            "matmul float16": sheet.fp16_tflops,
            "matmul bfloat16": sheet.fp16_tflops,
        }
    )
    rows = [(one.name, one.value, published.get(one.name)) for one in facts.work.speeds]
    return [(name, value, sheet, value / sheet if value and sheet else None) for name, value, sheet in rows]


def plain_attention(facts):
    attention = next((one for one in (facts.work.checks if facts.work else ()) if "SDPA" in one.name), None)
    if attention and attention.passed and facts.work.device == "cuda" and "takes math" in attention.detail:
        cause = (
            "torch takes the plain attention kernel, which keeps a whole T×T matrix: long contexts need more memory."
        )
        return Finding("no fast attention kernel", cause, commands.reinstall_torch(facts))
    return None


def broken_extra(facts):
    for check in facts.work.checks if facts.work else ():
        if check.passed is False and "bitsandbytes" in check.name:
            cause = f"bitsandbytes is installed and does not work ({check.detail}): 4-bit lessons will not run."
            python = ".venv/bin/python" if facts.environment.clone_has_venv else "python"
            command = f"{python} -m pip install --force-reinstall --no-deps --constraint requirements.lock bitsandbytes"
            return Finding("bitsandbytes does not work", cause, command)
    return None


def unsupported_segments(facts):
    wanted = (facts.storage.allocator_settings or "").replace(" ", "").lower()
    if "expandable_segments:true" in wanted and facts.work and facts.work.expandable_segments is False:
        cause = "The allocator is told to use expandable_segments, which this driver does not allow."
        return Finding("expandable_segments is not allowed", cause, commands.FORGET_ALLOCATOR_SETTINGS)
    return None


def little_ram(facts):
    ram, in_wsl = facts.storage.ram_bytes, facts.system.kind == "wsl2"
    if ram is None or ram >= (WSL_RAM_GIB if in_wsl else RAM_GIB) * GIB * 0.95:  # firmware keeps a part
        return None
    if in_wsl:
        cause = f"WSL gives Linux {show_bytes(ram)}, by default half of the RAM: set memory= under [wsl2] to more."
        return Finding("little RAM for WSL", cause, r"cmd.exe /c 'notepad %UserProfile%\.wslconfig'")
    cause = (
        f"This machine has {show_bytes(ram)} of RAM; {RAM_GIB} GiB let every lesson run. Close other programs first."
    )
    return Finding("little RAM", cause, "free -h")


def little_disk(facts):
    free = facts.storage.disk_free_bytes
    if free is not None and free < DISK_GIB * GIB:
        cause = f"{show_bytes(free)} of disk are free; the models of later lessons need {DISK_GIB} GiB. Empty pip's cache first."
        return Finding("little disk", cause, "python -m pip cache purge")
    return None


def on_windows_disk(facts):
    if facts.system.kind == "wsl2" and facts.storage.on_windows_disk:
        cause = "The course lies on a Windows disk (/mnt/…), where WSL2 reads files many times slower. Copy it to your Linux home."
        command = "rsync -a --exclude .venv ./ ~/course/ && cd ~/course && make lab"
        return Finding("the course lies on a Windows disk", cause, command)
    return None


LIMITS = (
    card_missing,
    untested_system,
    small_card,
    taken_memory,
    slow_card,
    unsupported_segments,
    plain_attention,
    broken_extra,
    on_windows_disk,
    little_ram,
    little_disk,
)

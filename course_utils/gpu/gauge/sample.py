"""One reading of the machine for the gauge, in numbers and in words; what cannot be read is None, shown "n/a"."""

import time
from dataclasses import dataclass

from course_utils.gpu import cap, memory, nvml
from course_utils.gpu.device import GIB


@dataclass(frozen=True)
class Sensors:
    """What the driver says about the card besides its memory."""

    name: str | None
    utilisation_percent: int | None
    temperature_celsius: int | None
    power_watts: float | None
    power_limit_watts: float | None


@dataclass(frozen=True)
class Host:
    """The computer around the card; `cpu_percent` is of all cores together."""

    ram_total_bytes: int
    ram_available_bytes: int
    cpu_percent: float | None
    cores: int


@dataclass(frozen=True)
class Part:
    """A share of the memory in use: whose it is, and its bytes."""

    name: str
    bytes: int


@dataclass(frozen=True)
class Sample:
    """The memory that the bar shows (the card's, else RAM) at `seconds` of the monotonic clock, and the rest.

    `parts` fill what is in use, this kernel's first. `sensors` is None where there is no card.
    `budget_bytes` is what this kernel may hold; None where that is simply what is free.
    """

    seconds: float
    total_bytes: int
    free_bytes: int
    parts: tuple[Part, ...]
    budget_bytes: int | None
    sensors: Sensors | None
    host: Host

    @property
    def used_bytes(self):
        """Total less free."""
        return self.total_bytes - self.free_bytes

    @property
    def busy_percent(self):
        """Utilisation of what computes: the card, else the CPU."""
        return self.sensors.utilisation_percent if self.sensors else self.host.cpu_percent


def make(seconds, reading, sensors, host, budget_bytes):
    """The `Sample` of these readings; `sensors` is None on a machine without a card."""
    if reading.card_total_bytes is None:
        total, free = host.ram_total_bytes, host.ram_available_bytes
        parts = _ram_parts(total - free, reading.rss_bytes)
    else:
        total, free = reading.card_total_bytes, reading.card_free_bytes
        parts = _card_parts(total - free, reading)
    return Sample(seconds, total, free, parts, budget_bytes, sensors, host)


def _ram_parts(used, resident):
    # Linux counts a program's mapped files as available too, so the rest can come out below nothing.
    return (Part("this kernel", resident), Part("other programs", max(0, used - resident)))


def _card_parts(used, reading):
    if reading.process_bytes is not None:
        driver = max(0, used - reading.process_bytes - reading.others_bytes)
        parts = [("this kernel", reading.process_bytes), ("other programs", reading.others_bytes), ("driver", driver)]
        return tuple(Part(name, count) for name, count in parts if count or name != "driver")
    if reading.reserved_bytes is not None:  # WSL2 hides who holds what, but torch knows its own share
        rest = max(0, used - reading.reserved_bytes)
        return (Part("torch in this kernel", reading.reserved_bytes), Part("CUDA context and other programs", rest))
    return (Part("all programs", used),)


def read(cpu_interval_seconds=None):
    """Read this machine now.

    The CPU's load is that since this thread's last call, or over the interval given, which is
    waited for; the first call of a thread without an interval says 0.
    """
    reading = memory.read()
    on_card = reading.card_total_bytes is not None
    return make(
        time.monotonic(),
        reading,
        read_sensors() if on_card else None,
        read_host(cpu_interval_seconds),
        _budget(on_card),
    )


def _budget(on_card):
    return cap.budget_bytes() if on_card or cap.current() else None


def read_sensors():
    """The card's `Sensors`; power in watts, as the board draws it."""
    card = nvml.handle()
    rates = nvml.ask("nvmlDeviceGetUtilizationRates", card)
    return Sensors(
        name=nvml.name(),
        utilisation_percent=None if rates is None else rates.gpu,
        temperature_celsius=nvml.ask("nvmlDeviceGetTemperature", card, 0),  # sensor 0 is the GPU itself
        power_watts=_watts(nvml.ask("nvmlDeviceGetPowerUsage", card)),
        power_limit_watts=_watts(nvml.ask("nvmlDeviceGetEnforcedPowerLimit", card)),
    )


def _watts(milliwatts):
    return None if milliwatts is None else milliwatts / 1000


def read_host(cpu_interval_seconds=None):
    """The `Host` now."""
    import psutil

    ram = psutil.virtual_memory()
    return Host(ram.total, ram.available, psutil.cpu_percent(cpu_interval_seconds), psutil.cpu_count())


def line(sample):
    """The sample in one line of text."""
    name = (sample.sensors.name or "card") if sample.sensors else "RAM"
    held = [f"{part.name} {_gib(part.bytes)}" for part in sample.parts if part.name != "all programs"]
    facts = [f"{label} {text}" for label, text in facts_of(sample)]
    budget = [] if sample.budget_bytes is None else [f"budget {_gib(sample.budget_bytes)}"]
    return ", ".join([f"{name} {_used(sample)} used", *held, *budget, *facts])


def facts_of(sample):
    """What the gauge shows beside memory, as (label, text) pairs with units."""
    cpu = ("CPU", _number(sample.host.cpu_percent, f"% of {sample.host.cores} cores"))
    if sample.sensors is None:
        return [cpu]
    card, host = sample.sensors, sample.host
    ram_used = host.ram_total_bytes - host.ram_available_bytes
    return [
        ("utilisation", _number(card.utilisation_percent, "%")),
        ("temperature", _number(card.temperature_celsius, "°C")),
        ("power", _power(card)),
        ("RAM", f"{ram_used / GIB:.2f} of {_gib(host.ram_total_bytes)}"),
        cpu,
    ]


def page(samples):
    """What the page draws, as JSON types: the newest of these samples in words and shares, and 60 s of history."""
    now = samples[-1]
    return {
        "title": (now.sensors.name or "card") if now.sensors else "RAM (no NVIDIA GPU answers)",
        "used": f"{_used(now)} used",
        "line": line(now),
        "total": round(now.total_bytes / GIB, 2),
        "filled": round(now.used_bytes / GIB, 2),
        "parts": [_share(part.name, part.bytes, now) for part in (*now.parts, Part("free", now.free_bytes))],
        "budget": None if now.budget_bytes is None else _share("budget", now.budget_bytes, now),
        "facts": facts_of(now),
        "charts": _charts(samples),
    }


def _charts(samples):
    now = samples[-1]
    used = [one.used_bytes / GIB for one in samples]
    return [
        {
            "label": "memory used",
            "range": f"{min(used):.2f} to {max(used):.2f} GiB",
            "points": [[_age(one, now), *_shares(one)] for one in samples],
        },
        {
            "label": "GPU utilisation" if now.sensors else "CPU load",
            "range": _range([one.busy_percent for one in samples]),
            "points": [
                [_age(one, now), None if one.busy_percent is None else one.busy_percent / 100] for one in samples
            ],
        },
    ]


def _shares(sample):
    kernel_bytes = sample.parts[0].bytes
    return [round(count / sample.total_bytes, 4) for count in (sample.used_bytes, kernel_bytes)]


def _age(sample, now):
    return round(sample.seconds - now.seconds, 2)  # below zero: seconds before now


def _range(percents):
    known = [one for one in percents if one is not None]
    return f"{min(known):.0f} to {max(known):.0f} %" if known else "n/a"


def _share(name, count, sample):
    return {"name": name, "text": _gib(count), "share": round(min(1, count / sample.total_bytes), 4)}


def _used(sample):
    return f"{sample.used_bytes / GIB:.2f} of {_gib(sample.total_bytes)}"


def _gib(count):
    return f"{count / GIB:.2f} GiB"  # one unit throughout: a figure that changes it every second is hard to read


def _number(value, unit):
    return "n/a" if value is None else f"{value:.0f} {unit}"


def _power(card):
    if card.power_watts is None or card.power_limit_watts is None:
        return _number(card.power_watts, "W")
    return f"{card.power_watts:.0f} of {card.power_limit_watts:.0f} W"

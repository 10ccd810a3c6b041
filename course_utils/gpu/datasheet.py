"""What NVIDIA publishes about its consumer cards, to hold a measured speed against.

Kept are the four figures that the data sheets give (CUDA cores, boost clock, width of the memory
bus, rate per pin); bandwidth and TFLOPS follow from them. Sources: NVIDIA's product pages and the
architecture white papers of GA102, Ada and Blackwell; Wikipedia, "List of Nvidia graphics
processing units", for what those leave out (memory rates, the cards of 2024 and later).

A laptop card's clock depends on the power that its maker allows, so it has a bandwidth and no
TFLOPS here. Where one name was sold with two kinds of memory, the commoner one is kept.
"""

from dataclasses import dataclass

GB = 10**9  # data sheets count in powers of ten
AMPERE, ADA, BLACKWELL = (8, 6), (8, 9), (12, 0)


@dataclass(frozen=True)
class Sheet:
    """One row of the table; `boost_mhz` is None for a laptop card, `memory_gb` as sold."""

    name: str
    memory_gb: int
    capability: tuple[int, int]
    cores: int
    boost_mhz: int | None
    bus_bits: int
    gbit_per_pin: float

    @property
    def bandwidth_gb_per_s(self):
        """Memory bandwidth in GB/s (10⁹ bytes): pins × Gbit/s per pin ÷ 8."""
        return self.bus_bits * self.gbit_per_pin / 8

    @property
    def fp32_tflops(self):
        """Single-precision TFLOPS without tensor cores: two operations a core and cycle, or None."""
        return None if self.boost_mhz is None else 2 * self.cores * self.boost_mhz / 1e6

    @property
    def fp16_tflops(self):
        """Dense fp16 or bf16 TFLOPS on tensor cores with fp32 sums, as torch computes them, or None.

        On the GeForce cards of these three series it is twice the fp32 figure; the white papers
        print that product (71 for the 3090, 165.2 for the 4090, 209.5 for the 5090).
        """
        return None if self.fp32_tflops is None else 2 * self.fp32_tflops

    @property
    def tf32_tflops(self):
        """Dense TF32 TFLOPS on tensor cores: on these cards the same as fp32 without them, or None."""
        return self.fp32_tflops


def _rows(capability, *rows):
    return [Sheet(f"NVIDIA GeForce RTX {name}", memory, capability, *rest) for name, memory, *rest in rows]


SHEETS = (
    *_rows(
        AMPERE,
        ("3050", 6, 2304, 1470, 96, 14),
        ("3050", 8, 2560, 1777, 128, 14),
        ("3060", 8, 3584, 1777, 128, 15),
        ("3060", 12, 3584, 1777, 192, 15),
        ("3060 Ti", 8, 4864, 1665, 256, 14),  # also sold with GDDR6X at 19
        ("3070", 8, 5888, 1725, 256, 14),
        ("3070 Ti", 8, 6144, 1770, 256, 19),
        ("3080", 10, 8704, 1710, 320, 19),
        ("3080", 12, 8960, 1710, 384, 19),
        ("3080 Ti", 12, 10240, 1665, 384, 19),
        ("3090", 24, 10496, 1695, 384, 19.5),
        ("3090 Ti", 24, 10752, 1860, 384, 21),
    ),
    *_rows(
        ADA,
        ("4060", 8, 3072, 2460, 128, 17),
        ("4060 Ti", 8, 4352, 2535, 128, 18),
        ("4060 Ti", 16, 4352, 2535, 128, 18),
        ("4070", 12, 5888, 2475, 192, 21),  # since 2024 also sold with GDDR6 at 20
        ("4070 SUPER", 12, 7168, 2475, 192, 21),
        ("4070 Ti", 12, 7680, 2610, 192, 21),
        ("4070 Ti SUPER", 16, 8448, 2610, 256, 21),
        ("4080", 16, 9728, 2505, 256, 22.4),
        ("4080 SUPER", 16, 10240, 2550, 256, 23),
        ("4090", 24, 16384, 2520, 384, 21),
        ("4090 D", 24, 14592, 2520, 384, 21),
        ("4050 Laptop GPU", 6, 2560, None, 96, 16),
        ("4060 Laptop GPU", 8, 3072, None, 128, 16),
        ("4070 Laptop GPU", 8, 4608, None, 128, 16),
        ("4080 Laptop GPU", 12, 7424, None, 192, 18),
        ("4090 Laptop GPU", 16, 9728, None, 256, 18),
    ),
    *_rows(
        BLACKWELL,
        ("5050", 8, 2560, 2572, 128, 20),
        ("5060", 8, 3840, 2497, 128, 28),
        ("5060 Ti", 8, 4608, 2572, 128, 28),
        ("5060 Ti", 16, 4608, 2572, 128, 28),
        ("5070", 12, 6144, 2512, 192, 28),
        ("5070 Ti", 16, 8960, 2452, 256, 28),
        ("5080", 16, 10752, 2617, 256, 30),
        ("5090", 32, 21760, 2407, 512, 28),
        ("5060 Laptop GPU", 8, 3328, None, 128, 24),
        ("5070 Laptop GPU", 8, 4608, None, 128, 24),
        ("5070 Ti Laptop GPU", 12, 5888, None, 192, 28),
        ("5080 Laptop GPU", 16, 7680, None, 256, 28),
        ("5090 Laptop GPU", 24, 10496, None, 256, 28),
    ),
)


def find(name, total_bytes=None):
    """The data sheet of the card that the driver calls `name`, or None where it is not in the table.

    `total_bytes` (as nvidia-smi or torch shows it) tells cards apart that share a name, such as the
    RTX 3060 with 8 and with 12 GB; without it such a name finds nothing.
    """
    wanted = "" if name is None else " ".join(name.lower().split())
    named = [sheet for sheet in SHEETS if sheet.name.lower() == wanted]
    if len(named) == 1 or not named:
        return named[0] if named else None
    if total_bytes is None:
        return None
    near = min(named, key=lambda sheet: abs(sheet.memory_gb * 2**30 - total_bytes))
    return near if abs(near.memory_gb * 2**30 - total_bytes) < 2**30 else None

"""One way to make a cell fit, and the arithmetic that all of them share."""

import math
from dataclasses import dataclass

from course_utils.gpu.device import show_bytes


@dataclass(frozen=True)
class Remedy:
    """One way out: what to do, how, and an estimate of what it saves at the moment of failure and at the optimiser's step.

    `cost` orders remedies: 0 changes neither result nor speed. `enough` is None where nobody knows
    how much is missing.
    """

    title: str
    how: str
    saves_bytes: int
    arithmetic: str
    cost: int
    price: str
    saves_in_step_bytes: int = 0
    enough: bool | None = None


def missing(found):
    """What is missing now, and what will be missing when the optimiser makes its state, in bytes; None where unknown."""
    if found.asked_bytes is None or found.free_bytes is None:
        return None, 0
    now = found.asked_bytes - found.free_bytes
    # Where the sum would have been enough, no single piece was: the whole request is missing.
    now = now if now > 0 else found.asked_bytes
    if not found.trains:
        return now, 0
    # By then the activations are gone, so only what they leave free counts.
    space = found.free_bytes + (found.activations_bytes or 0)
    return now, max(0, found.gradients_to_come_bytes + found.optimiser_to_come_bytes - space)


def asks_for_activation(found):
    """Whether the request was for an activation: not so where the optimiser asked, or numpy."""
    return bool(found.asked_bytes) and not found.in_step and found.array_dtype is None


def peak_bytes(found):
    """Activations, with what was asked for on top where that was for an activation too."""
    return (found.activations_bytes or 0) + (found.asked_bytes if asks_for_activation(found) else 0)


def peak_words(found):
    """The same as words."""
    activations = f"{show_bytes(found.activations_bytes or 0)} of activations"
    return f"({activations} + {show_bytes(found.asked_bytes)} asked)" if asks_for_activation(found) else activations


def parts(found):
    """Into how many parts, 2 to 16, to split a batch: one part takes half of the room, for the rest of the cell asks too."""
    now, _ = missing(found)
    if not now:
        return 2
    keep = peak_bytes(found) - now
    return 16 if keep <= 0 else min(16, 2 ** max(1, math.ceil(math.log2(2 * peak_bytes(found) / keep))))

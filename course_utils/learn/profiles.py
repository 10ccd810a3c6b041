"""Profiles: how much a lesson may ask of the machine it runs on."""

import os
from dataclasses import dataclass
from difflib import get_close_matches

from course_utils.errors import CourseError
from course_utils.gpu.device import GIB, show_bytes

PROFILES = ("smoke", "cpu", "gpu12", "gpu16", "gpu24")

# Thresholds lie below the nominal size because a driver keeps part of the card:
# an RTX 4070 Ti sold as 12 GB shows torch 11.70 GiB.
_BY_MEMORY = (("gpu24", 22.0), ("gpu16", 14.5), ("gpu12", 11.0))


@dataclass(frozen=True)
class Choice:
    """A profile and the sentence that says why it was taken."""

    profile: str
    reason: str


def require(profile, given_by=""):
    """Return the profile as given; `given_by` says who gave it, where that is not plain to see.

    Raises CourseError naming the allowed ones where it is none of them.
    """
    if profile in PROFILES:
        return profile
    near = get_close_matches(str(profile), PROFILES, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    by = f", which {given_by} asks for" if given_by else ""
    raise CourseError(f"There is no profile {profile!r}{by}; it must be auto or one of {', '.join(PROFILES)}.{hint}")


def choose(explicit, find_card):
    """The profile of a run: the parameter, else `COURSE_PROFILE`, else by the card's total memory.

    `find_card` is called only for the last. Total, not free, memory decides: a second open
    notebook must not change what this one computes.
    """
    if explicit != "auto":
        return Choice(require(explicit), "set by the PROFILE parameter")
    variable = os.environ.get("COURSE_PROFILE") or "auto"
    if variable != "auto":
        return Choice(require(variable, "the variable COURSE_PROFILE"), "set by the variable COURSE_PROFILE")
    return by_memory(find_card())


def by_memory(card):
    """The profile for a `Card`, or for None."""
    if card is None:
        return Choice("cpu", "no CUDA card was found here")
    for profile, minimum_gib in _BY_MEMORY:
        if card.total_bytes >= minimum_gib * GIB:
            return Choice(profile, f"{card.name} has {show_bytes(card.total_bytes)}")
    return Choice("cpu", f"{card.name} has {show_bytes(card.total_bytes)}, and the smallest GPU profile needs 11 GiB")


def pick(profile, sizes):
    """The entry of `sizes` for this profile, else for the nearest smaller profile given.

    Raises CourseError where an unknown profile is named or none is small enough.
    """
    for name in sizes:
        require(name)
    for name in reversed(PROFILES[: PROFILES.index(profile) + 1]):
        if name in sizes:
            return sizes[name]
    raise CourseError(f"pick() got sizes for {', '.join(sizes)} and none for {profile!r} or smaller: add smoke=….")

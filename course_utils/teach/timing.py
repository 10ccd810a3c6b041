"""A plan for a class of 90 minutes, from the minutes that a lesson and its exercises take a learner alone."""

from dataclasses import dataclass

CLASS_MINUTES = 90
OPENING_MINUTES = CLOSING_MINUTES = 5
EXERCISES_SHARE = 0.5


@dataclass(frozen=True)
class Part:
    """One line of the plan; `start` counts minutes from the beginning of the class."""

    start: int
    minutes: int
    title: str
    exercise: str | None = None


@dataclass(frozen=True)
class Timing:
    """The parts add up to the class; `home` are titles of sections, and ids of exercises, left for afterwards."""

    parts: tuple[Part, ...]
    home: tuple[str, ...]


def plan(sections):
    """A `Timing` for sections given as (title, words, exercises), in order, the recap last.

    Exercises take their own minutes, in order, up to half of the class. What is left goes to the sections by their
    length; one that would get no two minutes is read at home, unless it is the first or an exercise is in it.
    """
    chosen = _fitting([one for _, _, exercises in sections for one in exercises])
    taught = CLASS_MINUTES - OPENING_MINUTES - CLOSING_MINUTES - sum(one.minutes for one in chosen)
    kept = [number == 0 or _holds(section, chosen) for number, section in enumerate(sections)]
    minutes = _shares([words for _, words, _ in sections], taught, kept)
    lines = [(OPENING_MINUTES, "Goals, and what you will build", None)]
    for (title, _, exercises), share in zip(sections, minutes, strict=True):
        lines += [(share, title, None)] if share else []
        lines += [(one.minutes, title, one.id) for one in exercises if one in chosen]
    lines.append((CLOSING_MINUTES, "Questions, and what to do at home", None))
    away = [title for (title, _, _), share in zip(sections, minutes, strict=True) if not share]
    late = [one.id for _, _, exercises in sections for one in exercises if one not in chosen]
    return Timing(_timed(lines), (*away, *late))


def _fitting(exercises):
    chosen, left = [], int(CLASS_MINUTES * EXERCISES_SHARE)
    for one in exercises:
        if one.minutes <= left:
            chosen.append(one)
            left -= one.minutes
    return chosen


def _holds(section, chosen):
    return any(one in chosen for one in section[2])


def _shares(words, total, kept):
    """Whole minutes that add up to `total`: two for each that is kept, the rest by words; the shortest others go."""
    taken = set(range(len(words)))
    while True:
        rest, whole = total - 2 * sum(kept), sum(words[place] for place in taken) or 1
        exact = {place: 2 * kept[place] + rest * words[place] / whole for place in taken}
        short = [place for place in taken if exact[place] < 2]
        if not short:
            break
        taken.remove(min(short, key=exact.get))
    shares = _rounded(exact, total)
    return [shares.get(place, 0) for place in range(len(words))]


def _rounded(exact, total):
    """Each rounded down, and what is missing given to the largest remainders."""
    floors = {place: int(value) for place, value in exact.items()}
    order = sorted(exact, key=lambda place: floors[place] - exact[place])
    for place in order[: total - sum(floors.values())]:
        floors[place] += 1
    return floors


def _timed(lines):
    parts, start = [], 0
    for minutes, title, exercise in lines:
        parts.append(Part(start, minutes, title, exercise))
        start += minutes
    return tuple(parts)

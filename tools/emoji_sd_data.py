"""What Emoji-SD is trained on: named emoji of three vendors at 32×32, with captions and a fixed held-out part.

The pictures come from the same three packages as Emoji-10 (`build_emoji32.py`). Of emoji that mean the same (genders,
directions) one is kept. A tenth of the names, and a tenth of the name × vendor pairs of the others, are never trained.
"""

import hashlib
from dataclasses import dataclass

import build_emoji32 as packages
import numpy as np

SIDE = 32
HELD_OUT = 0.1
MOST_FLAGS = 60  # of 258, which differ by stripes that 32 pixels hardly show
LEFT_OUT = ("middle finger", "keycap", "input ", "squared ", "negative squared", "circled ideograph", "skin tone")
CATEGORIES = {
    "Smileys & Emotion": "face",
    "People & Body": "person",
    "Animals & Nature": "nature",
    "Food & Drink": "food",
    "Travel & Places": "place",
    "Activities": "activity",
    "Objects": "object",
    "Symbols": "symbol",
    "Flags": "flag",
}


@dataclass(frozen=True, eq=False)
class Named:
    """A name, its category, and its pictures: vendors×32×32×3 uint8, in the order of `vendors()`."""

    name: str
    category: str
    pictures: object
    held_out: bool
    vendors_held_out: tuple[str, ...]


def vendors():
    """The three style words."""
    return tuple(one.vendor for one in packages.PACKAGES)


def load(folder):
    """Every name that all three vendors draw, in Unicode's order, from the packages in `folder` (downloaded if absent)."""
    shelves = [packages.Shelf(one, *packages.files_of(one, folder)) for one in packages.PACKAGES]
    return [_named(entry, pictures) for entry, pictures in _kept(shelves)]


def _kept(shelves):
    seen, flags = set(), 0
    for entry in sorted(shelves[0].emoji, key=lambda one: one["sort_order"]):
        category, name = CATEGORIES.get(entry["category"]), _name(entry)
        meaning = packages.meaning(entry["unified"])
        if category is None or meaning in seen or any(word in name for word in LEFT_OUT):
            continue
        if category == "flag" and (flags := flags + (_share(name, "flag") < 0.3)) > MOST_FLAGS:
            continue
        if category == "flag" and _share(name, "flag") >= 0.3:
            continue
        pictures = [shelf.picture(entry["image"].removesuffix(".png")) for shelf in shelves]
        if all(picture is not None for picture in pictures):
            seen.add(meaning)
            yield entry, np.stack([halved(one) for one in pictures])


def _name(entry):
    return entry["name"].lower().replace("_", " ").replace("-", " ").strip()


def _named(entry, pictures):
    name = _name(entry)
    missing = () if _share(name, "name") < HELD_OUT else _pairs(name)
    return Named(name, CATEGORIES[entry["category"]], pictures, _share(name, "name") < HELD_OUT, missing)


def _pairs(name):
    return tuple(one for one in vendors() if _share(f"{name}, {one}", "pair") < HELD_OUT)


def _share(text, purpose):
    """A number from 0 to 1 that depends on the text alone, so that one emoji more or less moves no other."""
    return int.from_bytes(hashlib.sha256(f"{purpose} {text}".encode()).digest()[:6], "big") / 2**48


def halved(picture):
    """64×64 to 32×32 by the mean of 2×2 pixels, uint8."""
    return (picture.reshape(SIDE, 2, SIDE, 2, 3).mean(axis=(1, 3)) + 0.5).astype(np.uint8)


def training_rows(names):
    """(name, vendor, picture) of everything that may be trained on."""
    return [
        (one, vendor, one.pictures[place])
        for one in names
        if not one.held_out
        for place, vendor in enumerate(vendors())
        if vendor not in one.vendors_held_out
    ]


def caption(named, vendor, rng):
    """A caption as a person might write it; now and then empty, which guidance without a classifier needs."""
    words = f"{named.category}: {named.name}" if rng.random() < 0.45 else named.name
    drawn = rng.random()
    if drawn < 0.10:
        return ""
    if drawn < 0.20:
        return f"{vendor} style"
    if drawn < 0.30:
        return _fewer(words, rng)
    return f"{words}, {vendor} style" if drawn < 0.85 else words


def caption_with_gaps(named, vendor, rng):
    """A caption in which some words may be missing or made up.

    So the model learns to fall back on the category, and on the words that it knows, where it does not know one.
    """
    drawn = rng.random()
    if drawn < 0.15:
        return f"{named.category}, {vendor} style"
    if drawn < 0.35:
        words = " ".join(_made_up(rng) if rng.random() < 0.5 else word for word in named.name.split())
        return f"{named.category}: {words}, {vendor} style"
    return caption(named, vendor, rng)


def _made_up(rng):
    """A word that nobody knows, of two to four syllables."""
    return "".join(rng.choice("bdfgklmnprstvz") + rng.choice("aeiou") for _ in range(rng.randint(2, 4)))


def _fewer(words, rng):
    kept = [word for word in words.split() if rng.random() > 0.3]
    return " ".join(kept) or words


def captions(names):
    """Texts from which the tokenizer learns its pieces: of training names only, each in every style."""
    return [f"{one.category}: {one.name}, {vendor} style" for one, vendor, _ in training_rows(names)]

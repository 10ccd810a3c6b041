"""Rebuild the bundled emoji pictures, ten classes of named pictures of three vendors, from three npm packages.

    python tools/build_emoji32.py                      write course_utils/learn/bundled/emoji10.zip
    python tools/build_emoji32.py --check              compare the committed file with a rebuild
    python tools/build_emoji32.py --packages FOLDER    take the .tgz files from there (152 MB), do not download

Each picture is 64×64, laid on white, its colours rounded to multiples of 4 (white stays 255), which no eye sees and
which saves a quarter of the file; `assets.load("emoji10-32")` halves it by averaging 2×2 pixels.

The split goes by emoji. Of those that mean the same (genders, directions) one is kept; those that any vendor draws
alike, also mirrored, form a family (the flags of Norway and of Bouvet Island, most of the laughing faces); all vendors'
pictures of a family lie on one side. A large family (LARGEST_IN_TEST) is in the training part, so that the test part
does not hold one face eighteen times. Unicode's subgroups decide on the class, less NO_MEMBERS.

Apple's and Facebook's pictures have packages of the same family and are not free: this tool never reads them.
"""

import csv
import hashlib
import io
import json
import sys
import tarfile
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from PIL import Image

from course_utils.learn import rebuild

SIDE = 64
STEP = 4  # of the colours
LARGEST_CLASS = 90  # emoji, so that flags and people do not drown the plants
TEST_SHARE = 0.2
LARGEST_IN_TEST = 2  # emoji in a family
NOT_MEANING = ("1F468", "1F469", "1F9D1", "2640", "2642", "200D", "FE0F", "27A1")  # genders, joiner, style, direction
ALIKE = 11.0  # mean difference of 16×16 pixels, of 255, below which two pictures of a vendor count as alike


@dataclass(frozen=True)
class Package:
    """An npm package with one vendor's pictures; `member` gives the path of an emoji's picture."""

    vendor: str
    requirement: str
    filename: str
    sha256: str
    member: str


PACKAGES = (
    Package(
        "google",
        "emoji-datasource-google@16.0.0",
        "emoji-datasource-google-16.0.0.tgz",
        "fb5fd131b362aab7a55542d2a147a79708cce0a8b1c1bbacd470172708b5c438",
        "package/img/google/64/{}.png",
    ),
    Package(
        "twitter",
        "emoji-datasource-twitter@16.0.0",
        "emoji-datasource-twitter-16.0.0.tgz",
        "f64a530c63bca463bd8317fdc4615ce63a53a0c65018e4ce2d848aaba7a28877",
        "package/img/twitter/64/{}.png",
    ),
    Package(
        "fluent",
        "@lobehub/fluent-emoji-3d@1.1.0",
        "lobehub-fluent-emoji-3d-1.1.0.tgz",
        "c1bb7eee7de090205a232518a9ab4adb3df458bfbe8a1f78232991194c8b2e58",
        "package/assets/{}.webp",
    ),
)
CLASSES = {  # Unicode's subgroups of each class
    "animal": "animal-mammal animal-bird animal-marine animal-bug animal-reptile animal-amphibian cat-face monkey-face",
    "building": "place-building place-religious",
    "clothing": "clothing",
    "face": "face-smiling face-affection face-tongue face-hand face-neutral-skeptical face-sleepy face-unwell face-hat "
    "face-glasses face-concerned",
    "flag": "country-flag flag",
    "food": "food-prepared food-fruit food-vegetable food-asian food-sweet drink",
    "hand": "hand-fingers-open hand-fingers-partial hand-single-finger hand-fingers-closed hands hand-prop",
    "person": "person person-role person-activity person-sport person-gesture",
    "plant": "plant-other plant-flower",
    "vehicle": "transport-ground transport-air transport-water",
}
NO_MEMBERS = {  # emoji of those subgroups, by Unicode's name, that show something else
    "animal": ("coral", "feather", "microbe", "paw prints", "pig nose", "spider web", "spiral shell", "wing"),
    "building": ("brick", "building construction", "rock", "wood"),
    "clothing": ("folding hand fan", "gem stone", "hair pick", "lipstick"),
    "person": ("horse racing", "man rowing boat", "rowboat", "woman rowing boat"),
    "plant": ("empty nest", "nest with eggs", "rosette"),
    "vehicle": (
        *("anchor", "bus stop", "construction sign", "fuel pump", "horizontal traffic light", "motorway"),
        *("octagonal sign", "oil drum", "parachute", "police cars revolving light", "railway track", "ring buoy"),
        *("seat", "station", "vertical traffic light", "wheel"),
    ),
}


@dataclass(frozen=True, eq=False)
class Emoji:
    """An emoji's name, class and pictures, vendors×64×64×3 uint8. Emoji of one `group` mean the same."""

    name: str
    class_name: str
    group: str
    pictures: object


def main(arguments=None):
    """Build or check the bundled file; returns the exit status: 0, 1 where a check fails, 2 for bad input."""
    return rebuild.run(rebuild.options(arguments, __doc__, "emoji10.zip"), build, content)


def build(folder):
    """The bytes of the bundled file."""
    shelves = [Shelf(one, *files_of(one, folder)) for one in PACKAGES]
    in_test = dict(split(chosen(emoji_of(shelves))))
    return pack([(one, in_test[one]) for one in shuffled(in_test, "order of the file")])


@dataclass(frozen=True)
class Shelf:
    """A package's pictures, in memory, as {path: bytes}, and its list of emoji, None where it has none."""

    package: Package
    files: dict
    emoji: list | None

    def picture(self, code):
        """The emoji's picture, or None where this vendor has none."""
        data = self.files.get(self.package.member.format(code))
        return None if data is None else flattened(Image.open(io.BytesIO(data)))


def files_of(package, folder):
    """A package's pictures and its list of emoji, as `Shelf` has them."""
    path = rebuild.npm_package(package.requirement, package.filename, package.sha256, folder)
    pictures = package.member.partition("{}")[0]
    with tarfile.open(path) as archive:
        wanted = [one for one in archive if one.name.startswith(pictures) or one.name == "package/emoji.json"]
        files = {one.name: archive.extractfile(one).read() for one in wanted}
    listed = files.pop("package/emoji.json", None)
    return files, listed and json.loads(listed)


def flattened(picture):
    """The picture at 64×64 on white, in rounded colours, as an array."""
    picture = picture.convert("RGBA").resize((SIDE, SIDE), Image.LANCZOS)
    ground = Image.new("RGBA", picture.size, "white")
    ground.alpha_composite(picture)
    colours = np.asarray(ground.convert("RGB")).astype(int)
    return np.minimum((colours + STEP // 2) // STEP * STEP, 255).astype(np.uint8)


def emoji_of(shelves):
    """Every emoji of the ten classes that all three vendors draw, in Unicode's order."""
    of_subgroup = {one: name for name, subgroups in CLASSES.items() for one in subgroups.split()}
    for entry in sorted(shelves[0].emoji, key=lambda one: one["sort_order"]):
        class_name, name = of_subgroup.get(entry["subcategory"]), entry["name"].lower()
        if class_name is None or name in NO_MEMBERS.get(class_name, ()):
            continue
        pictures = [shelf.picture(entry["image"].removesuffix(".png")) for shelf in shelves]
        if all(picture is not None for picture in pictures):
            yield Emoji(name, class_name, meaning(entry["unified"]), np.stack(pictures))


def meaning(unified):
    """The code points that carry the meaning: a man and a woman who run have the same."""
    return "-".join(one for one in unified.split("-") if one not in NOT_MEANING) or "adult"


def chosen(emoji):
    """{class: emoji}: the first of each group, at most LARGEST_CLASS.

    Which are kept follows from a hash of each, so that another emoji more or less does not move the others.
    """
    by_class = defaultdict(dict)
    for one in emoji:
        by_class[one.class_name].setdefault(one.group, one)
    return {name: shuffled(by_class[name].values(), "choice")[:LARGEST_CLASS] for name in CLASSES}


def split(by_class):
    """Pairs (emoji, is in the test part), class after class."""
    for emoji in by_class.values():
        wanted, taken = round(TEST_SHARE * len(emoji)), 0
        for family in families(emoji):
            in_test = len(family) <= min(LARGEST_IN_TEST, wanted - taken)
            taken += len(family) * in_test
            yield from ((one, in_test) for one in family)


def families(emoji):
    """Lists of emoji, together those of which any vendor draws two alike; in the order of `emoji`."""
    near, label = distances(emoji) < ALIKE, np.arange(len(emoji))
    for first, second in np.argwhere(near):
        label[label == label[second]] = label[first]
    return [[emoji[number] for number in np.flatnonzero(label == one)] for one in dict.fromkeys(label.tolist())]


def distances(emoji):
    """How different any two emoji are, N×N, the second also mirrored."""
    cell = SIDE // 16
    pictures = np.stack([one.pictures for one in emoji])
    small = pictures.reshape(len(emoji), len(PACKAGES), 16, cell, 16, cell, 3).mean(axis=(3, 5))
    return np.array([np.minimum(unlikeness(small, one), unlikeness(small, one[:, :, ::-1])) for one in small])


def unlikeness(several, one):
    """Mean difference of one emoji's pictures to those of several, of the vendor that draws them most alike."""
    return np.abs(several - one).mean(axis=(2, 3, 4)).min(axis=1)


def shuffled(emoji, purpose):
    """The emoji in an arbitrary order that is the same everywhere; another for each purpose."""
    return sorted(emoji, key=lambda one: hashlib.sha256(f"{purpose} {one.group}".encode()).digest())


def pack(pairs):
    """The zip archive: index.csv and one lossless WebP a picture, the same bytes for the same pictures."""
    rows, files = [], {}
    for emoji, in_test in pairs:
        for package, picture in zip(PACKAGES, emoji.pictures, strict=True):
            name = f"{len(files):04d}.webp"
            files[name] = webp(picture)
            rows.append((name, emoji.class_name, emoji.name, package.vendor, "test" if in_test else "train"))
    index = io.StringIO()
    csv.writer(index, lineterminator="\n").writerows([("file", "class", "name", "vendor", "part"), *rows])
    return rebuild.zipped({"index.csv": index.getvalue().encode(), **files})  # WebP is packed already


def webp(picture):
    """The picture as lossless WebP."""
    data = io.BytesIO()
    Image.fromarray(picture).save(data, "WEBP", lossless=True, quality=75, method=4)
    return data.getvalue()


def content(data):
    """What the archive holds: the index, and each picture's pixels, whatever the encoder made of them."""
    files = rebuild.zip_content(data)
    pixels = {name: Image.open(io.BytesIO(one)).tobytes() for name, one in files.items() if name != "index.csv"}
    return {**files, **pixels}


if __name__ == "__main__":
    sys.exit(main())

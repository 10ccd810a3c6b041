"""The settings of a picture as text inside its PNG file, in the form that Automatic1111's web UI made common.

The prompt's lines, "Negative prompt: …", and one line "Steps: 20, Sampler: DDIM, CFG scale: 7.5, Seed: 1,
Size: 512x512, Model: name"; a value that could be taken apart wrongly stands there as a JSON string.
"""

import io
import json
import math
import os
import re
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from course_utils.errors import CourseError
from course_utils.learn.paths import write_atomically

CHUNK = "parameters"  # the PNG's text chunk
NEGATIVE = "Negative prompt:"
NEEDED = ("Steps", "Sampler", "CFG scale", "Seed", "Size")
# A key begins after a comma and ends at a colon; its value is a JSON string, or ends at the next comma.
_PAIR = re.compile(r'([^\s:,"][^:,"]*):\s*("(?:[^"\\]|\\.)*"|[^,]*)(?:,|$)')
EXAMPLE = "Steps: 20, Sampler: DDIM, CFG scale: 7.5, Seed: 1, Size: 512x512"
WHOLE, NUMBER = r"-?[0-9]{1,20}", r"-?[0-9]+(\.[0-9]*)?([eE][-+]?[0-9]{1,2})?"
ORDINARY_SCHEDULES = ("", "Automatic", "Uniform")


@dataclass(frozen=True)
class Settings:
    """All that a picture is made from: `width` and `height` in pixels, `scale` of the guidance, `sampler` by its name.

    `model` is a name for the reader; nothing is loaded by it.
    """

    prompt: str
    negative: str = ""
    steps: int = 20
    scale: float = 7.5
    seed: int = 0
    width: int = 512
    height: int = 512
    sampler: str = "DDIM"
    model: str = ""


def to_text(settings):
    """The settings as text, which `from_text` gives back.

    Raises CourseError where a line of a prompt starts with "Negative prompt:", or holds what no file can hold.
    """
    _refuse_what_the_form_cannot_hold(settings)
    values = {
        "Steps": settings.steps,
        "Sampler": settings.sampler,
        "CFG scale": int(settings.scale) if settings.scale == int(settings.scale) else settings.scale,
        "Seed": settings.seed,
        "Size": f"{settings.width}x{settings.height}",
    } | ({"Model": settings.model} if settings.model else {})
    negative = [f"{NEGATIVE} {settings.negative}"] if settings.negative else []
    last = ", ".join(f"{key}: {_quoted(str(value))}" for key, value in values.items())
    return "\n".join([*([settings.prompt] if settings.prompt else []), *negative, last])


def from_text(text):
    """The `Settings` that a text gives; keys that they have no place for are passed over, line ends become newlines.

    Raises CourseError where the line of settings is missing, lacks a key or has a number that cannot be read.
    """
    lines = text.replace("\r\n", "\n").split("\n")
    end = max((number for number, line in enumerate(lines) if line.lstrip().startswith("Steps:")), default=0)
    found = _pairs(lines[end])
    if missing := [key for key in NEEDED if key not in found]:
        raise CourseError(f'The text has no {", ".join(missing)}. It should end with a line such as "{EXAMPLE}".')
    prompt, negative = _prompts(lines[:end])
    size = _value(found, "Size", r"([0-9]{1,6})x([0-9]{1,6})", "512x768")
    return Settings(
        prompt=prompt,
        negative=negative,
        steps=int(_value(found, "Steps", WHOLE, "20")[0]),
        scale=float(_value(found, "CFG scale", NUMBER, "7.5")[0]),
        seed=int(_value(found, "Seed", WHOLE, "1")[0]),
        width=int(size[1]),
        height=int(size[2]),
        sampler=_sampler(found),
        model=found.get("Model", ""),
    )


def save(picture, path, settings):
    """Write a PIL picture as a PNG file that carries its settings; the file is there whole, or as it was before.

    Raises CourseError where the name does not end in .png, the settings cannot be written, or the disk refuses.
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise CourseError(f"{path.name!r} does not end in .png, and only a PNG file keeps the settings. Add .png.")
    content = _png(picture, settings)
    try:
        write_atomically(path, content)
    except OSError as error:
        raise _refused(path, error) from None


def save_numbered(picture, folder, settings):
    """Save a picture as `save` does under the next free number of a folder, such as 0003_seed7.png; gives its path.

    No file is ever replaced. Raises CourseError where the folder cannot be made or written.
    """
    folder, content = Path(folder), _png(picture, settings)
    draft = folder / f".{uuid.uuid4().hex}.png"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(draft, content)
        return _numbered(draft, folder, settings.seed)
    except OSError as error:
        raise _refused(folder, error) from None
    finally:
        with suppress(OSError):
            draft.unlink()


def _png(picture, settings):
    from PIL.PngImagePlugin import PngInfo

    chunks, buffer = PngInfo(), io.BytesIO()
    chunks.add_text(CHUNK, to_text(settings))
    picture.save(buffer, format="PNG", pnginfo=chunks)
    return buffer.getvalue()


def _refused(path, error):
    words = error.strerror or error
    return CourseError(f"{path} cannot be written: {words}. Name a folder that you can write to, on a disk with space.")


def read(path):
    """The `Settings` that a PNG file carries, whichever program wrote them in this form.

    Raises CourseError where there is no such file, it is no PNG or damaged, or it carries no settings.
    """
    path = Path(path)
    if not path.is_file():
        raise CourseError(f"There is no picture {path}. Check the name and the folder.")
    text = _chunk(path)
    if text is None:
        raise CourseError(
            f'{path.name} carries no settings: it has no text chunk "{CHUNK}". Editors and chat programs drop it: '
            "take the file as it was first saved."
        )
    try:
        return from_text(text)
    except CourseError as error:
        raise CourseError(f"{path.name}: {error}") from None


def _numbered(draft, folder, seed):
    """Give the draft its name; where another program took the number meanwhile, the next one."""
    number = max((int(one.name[:4]) for one in folder.glob("[0-9][0-9][0-9][0-9]_*")), default=0)
    while True:
        number += 1
        path = folder / f"{number:04}_seed{seed}.png"
        with suppress(FileExistsError):
            _name(draft, path)
            return path


def _name(draft, path):
    try:
        os.link(draft, path)  # unlike a rename, it fails where the name is taken
    except FileExistsError:
        raise
    except OSError:  # a disk without hard links, such as a USB stick's
        path.touch(exist_ok=False)
        draft.replace(path)


def _chunk(path):
    """The text chunk of a PNG file, or None where it has none."""
    from PIL import Image

    try:
        with Image.open(path) as picture:
            kind = picture.format
            # `text` reads to the file's end: a chunk may stand behind the pixels, and a cut file shows only there.
            text = picture.text.get(CHUNK) if kind == "PNG" else None
    except Exception as error:  # Pillow's decoders raise many kinds: OSError, SyntaxError, ValueError, struct.error …
        raise CourseError(f"{path.name} is no picture, or damaged: {error}. Take another copy of the file.") from None
    if kind != "PNG":
        raise CourseError(f"{path.name} is a {kind} file, whatever its name says. Only a PNG file keeps the settings.")
    return text


def _refuse_what_the_form_cannot_hold(settings):
    prompts = f"{settings.prompt}\n{settings.negative}"
    if any(line.lstrip().startswith(NEGATIVE) for line in prompts.split("\n")):
        raise CourseError(
            f'A line of the prompt starts with "{NEGATIVE}", which in a picture\'s settings begins the negative prompt. '
            "Put those words into the negative prompt, or before them another word."
        )
    if "\0" in prompts or any("\ud800" <= letter <= "\udfff" for letter in prompts + settings.model):
        raise CourseError("The settings have a letter that no text file can hold (NUL, or half of one). Delete it.")
    if not math.isfinite(settings.scale):
        raise CourseError(f"The guidance scale is {settings.scale}, which no picture has. Give a number such as 7.5.")


def _quoted(text):
    """A value as it stands: as a JSON string where a comma, a colon or a quote would take it apart wrongly."""
    plain = text == text.strip() and text.isprintable() and not set(',:"') & set(text)
    return text if plain else json.dumps(text, ensure_ascii=False)


def _pairs(line):
    """The keys and values of a line of settings; of a key that comes twice the first, as extensions append theirs."""
    found = {}
    for key, value in _PAIR.findall(line):
        found.setdefault(key.strip(), _unquoted(value.strip()))
    return found


def _unquoted(value):
    try:
        return str(json.loads(value)) if value.startswith('"') else value
    except ValueError:
        return value


def _prompts(lines):
    """Prompt and negative prompt from the lines before the settings."""
    start = next((number for number, line in enumerate(lines) if line.lstrip().startswith(NEGATIVE)), len(lines))
    after = "\n".join(lines[start:]).lstrip().removeprefix(NEGATIVE).removeprefix(" ")
    return "\n".join(lines[:start]), after


def _value(found, key, form, example):
    """The match of a value with the form that it must have."""
    if match := re.fullmatch(form, found[key]):
        return match
    raise CourseError(
        f"{key} is {found[key]!r}, which cannot be read; it should be such as {example}. "
        "Correct the text, or take another picture."
    )


def _sampler(found):
    """The sampler's name; newer files keep the second half of it, such as Karras, under a key of its own."""
    schedule = found.get("Schedule type", "")
    ordinary = schedule in ORDINARY_SCHEDULES or found["Sampler"].endswith(f" {schedule}")
    return found["Sampler"] if ordinary else f"{found['Sampler']} {schedule}"

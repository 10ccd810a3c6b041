"""The journal of a grading: each mark as soon as it is there, so that a killed grading loses none.

One signed line a mark. A mark depends on the exercise, the round and the code alone, so it is found again by these.
"""

import fcntl
import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from course_utils.errors import CourseError
from course_utils.teach import marks
from course_utils.teach.key import signature

_SYNC_SECONDS = 0.5


@dataclass
class Journal:
    """An open journal; `found` are the marks of an earlier grading that was cut off, by (exercise, run_sha256)."""

    path: Path
    key: object
    round: int
    file: object
    found: dict = field(default_factory=dict)
    synced: float = 0.0

    def add(self, exercise_id, mark):
        """Append a mark; it outlives a kill at once, and the machine within half a second.

        Raises CourseError where the disk is full.
        """
        row = {"round": self.round, "exercise": exercise_id, "mark": marks.as_data(mark)}
        text = json.dumps(row, separators=(",", ":"), sort_keys=True)
        try:
            self._write(f"{signature(self.key, text.encode())} {text}\n".encode())
        except OSError as error:
            raise CourseError(
                f"{self.path} cannot be written: {error.strerror}. Mend that and repeat the command; it goes on from here."
            ) from None

    def _write(self, line):
        self.file.write(line)
        self.file.flush()
        if time.monotonic() - self.synced > _SYNC_SECONDS:
            os.fsync(self.file.fileno())
            self.synced = time.monotonic()

    def close(self):
        """Let another grading have it; one that holds nothing goes."""
        if not self.file.closed and not os.fstat(self.file.fileno()).st_size:
            self.path.unlink(missing_ok=True)
        with suppress(OSError):  # on a full disk; that was said when the mark was added
            self.file.close()

    def remove(self):
        """Take it away: its marks are in the results."""
        self.path.unlink(missing_ok=True)
        self.file.close()


def open_journal(path, key, round):
    """The `Journal` at this path, which nobody else may use until it is closed.

    Raises CourseError where another grading uses it, or where it cannot be written.
    """
    try:
        file = open(path, "a+b")  # noqa: SIM115 - the journal is closed by its owner
    except OSError as error:
        raise CourseError(f"{path} cannot be written: {error.strerror or error}. Choose another --out.") from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise CourseError(f"Another `course grade` is writing {path}. Wait for it, or choose another --out.") from None
    file.seek(0)
    data = file.read()
    if data and not data.endswith(b"\n"):  # a line that a kill cut off
        file.write(b"\n")
    return Journal(path, key, round, file, dict(_marks(data, key, round)))


def _marks(data, key, round):
    for line in data.splitlines():
        said, _, text = line.partition(b" ")
        if said.decode("ascii", "replace") != signature(key, text):
            continue  # cut off, or of another release
        row = json.loads(text)
        if row["round"] == round:
            mark = marks.from_data(row["mark"])
            yield (row["exercise"], mark.run_sha256), mark

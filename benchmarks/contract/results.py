"""The result file of the GPU contract: one record a row, written anew after each."""

import json
import re
import subprocess
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.util import find_spec

from course_utils.learn.measured import KIND
from course_utils.learn.paths import project_dir, write_atomically

# What must agree before a second run on the same day goes on with the first one's file.
SAME = ("device", "tiny", "card", "card_total_bytes", "driver", "torch", "cuda", "commit")


@dataclass(frozen=True)
class Record:
    """What became of one row. `status` is "measured", "skipped", "out of memory" or "failed"; the last three say why.

    Sizes are in bytes and None where they could not be read. `seconds` belong to the timed part
    alone and `rate` to the same part, in `rate_unit`; `wall_seconds` to the whole row.
    """

    name: str
    what: str
    status: str
    reason: str | None
    device: str
    tiny: bool
    settings: dict
    seconds: float | None = None
    rate: float | None = None
    rate_unit: str | None = None
    details: dict = field(default_factory=dict)
    predicted_bytes: int | None = None  # until there is a planner
    allocated_bytes: int | None = None
    reserved_bytes: int | None = None
    process_bytes: int | None = None
    context_bytes: int | None = None
    context_source: str | None = None
    rss_bytes: int | None = None
    wall_seconds: float | None = None
    versions: dict = field(default_factory=dict)


def without_measuring(row, status, reason, device, tiny):
    """The `Record` of a row that gave no reading."""
    return Record(row.name, row.what, status, reason, device, tiny, settings(row, tiny))


def settings(row, tiny):
    """What the row's work is called with."""
    return row.settings | (row.tiny if tiny else {})


def why_not(row, records, found=find_spec):
    """Why a row is not even started, or None; `records` are those so far, by name."""
    missing = [name for name in row.packages if found(name) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    before = records.get(row.after)
    if before and before["status"] == "out of memory":
        return f"{row.after} needs less and ran out of memory already"
    return None


def heading(machine, tiny):
    """What stands at the top of the file: `machine` as the child saw it, date, commit."""
    moment = datetime.now(UTC).isoformat(timespec="seconds")
    return {"kind": KIND, "date": moment, "commit": _commit(), "tiny": tiny} | machine


def _commit():
    command = ["git", "describe", "--always", "--dirty", "--abbrev=7", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=project_dir(), check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def path_of(folder, head):
    """`<card>-<date>.json` in the folder."""
    card = re.sub(r"[^a-z0-9]+", "-", (head["card"] or head["device"]).lower()).strip("-")
    return folder / f"{'tiny-' if head['tiny'] else ''}{card}-{head['date'][:10]}.json"


def earlier(path, head):
    """Records by name of the same day, machine, versions, commit and cap; empty where there are none."""
    if not path.is_file():
        return {}
    old = json.loads(path.read_text(encoding="utf-8"))
    if any(old.get(name) != head[name] for name in SAME) or _size(old) != _size(head):
        return {}
    return {record["name"]: record for record in old["rows"]}


def _size(head):
    return (head.get("cap") or {}).get("nominal_gb")


def add(records, record):
    """Put a record in; one that was only skipped does not take the place of an earlier reading."""
    if record.status != "skipped" or record.name not in records:
        records[record.name] = asdict(record)


def write(path, head, records, order):
    """Write the file by rename, its rows in the order of `order`, a list of names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = sorted(records.values(), key=lambda record: order.index(record["name"]))
    write_atomically(path, json.dumps(head | {"rows": rows}, indent=1) + "\n")

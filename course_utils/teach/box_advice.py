"""Why a machine can have no sandbox, and what to type."""

import sys
from pathlib import Path

from course_utils.teach import box_command

_SETTINGS = (
    ("kernel.apparmor_restrict_unprivileged_userns", "1", "0"),
    ("kernel.unprivileged_userns_clone", "0", "1"),
    ("user.max_user_namespaces", "0", "10000"),
)
_ELSEWHERE = "README says how to grade in a virtual machine or a container instead."


def missing():
    """What this machine lacks from the start, as sentences; None where it is worth a try."""
    if sys.platform != "linux":
        return f"Grading needs Linux: the sandbox is made of its namespaces, and this is {sys.platform}. {_ELSEWHERE}"
    if box_command.bubblewrap() is None:
        return (
            "Grading needs the program bwrap, and it is not installed. Type `sudo apt install bubblewrap` "
            "(Debian, Ubuntu) or `sudo dnf install bubblewrap` (Fedora)."
        )
    return None


def advice(problem, root=Path("/proc/sys")):
    """The same after a trial that failed with this sentence: the setting that forbids it, where one is known to."""
    for name, forbids, allows in _SETTINGS:
        file = root / name.replace(".", "/")
        if file.exists() and file.read_text().strip() == forbids:
            return (
                f"{problem} This machine forbids it by the setting {name} = {forbids}. "
                f"Type `sudo sysctl -w {name}={allows}` and try again. {_ELSEWHERE}"
            )
    return f"{problem} Inside a container, it needs the right to make namespaces. {_ELSEWHERE}"

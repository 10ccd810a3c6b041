"""Where students get the course from, when the instructor does not say: the address that this clone came from."""

import re
import subprocess
from importlib import metadata

from course_utils.learn.paths import project_dir

_SHORT = re.compile(r"(?:ssh://)?git@([\w.-]+)[:/](.+)")  # an address for those who have a key; students have none
_PUBLIC = re.compile(r"https://[\w./~:+-]+")  # without a name and a password


def requirement(extra, folder=None):
    """The course at this clone's commit, as pip takes it; the bare version where the clone has no public address."""
    name = f"course-utils{f'[{extra}]' if extra else ''}"
    found, commit = place(folder)
    return f"{name} @ git+{found}@{commit}" if found and commit else f"{name}=={metadata.version('course-utils')}"


def place(folder=None):
    """The https address of the clone's remote and its commit, each "" where there is none."""
    return address(_git(folder, "remote", "get-url", "origin")), _git(folder, "rev-parse", "HEAD")


def address(origin):
    """The https address of a git remote, "" where it has none."""
    short = _SHORT.fullmatch(origin)
    text = f"https://{short[1]}/{short[2]}" if short else origin
    return text if _PUBLIC.fullmatch(text) else ""


def _git(folder, *arguments):
    command = ["git", "-C", str(folder or project_dir()), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""

"""How a worker is held so that nothing it started outlives it.

Where the kernel allows it, each worker is the first process of a PID namespace: when it ends,
Linux kills everything in there, also daemons and children with a session of their own.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True)
class Containment:
    """A kind of containment: the command that goes before the worker's, and what it guarantees, in a sentence.

    `patience_seconds` is how long that command may take to end after SIGTERM before it gets SIGKILL.
    """

    kind: str
    prefix: tuple[str, ...]
    guarantee: str
    patience_seconds: float


@cache
def best():
    """The strongest containment that this machine allows, found by trying it once."""
    unshare = shutil.which("unshare")
    if unshare is None:
        return watchdog("the program unshare is missing")
    namespace = Containment(
        "namespace",
        (unshare, *_identity(), "--pid", "--fork", "--kill-child", "--mount-proc"),
        "Each notebook ran in its own PID namespace: nothing that it started can outlive it.",
        patience_seconds=0.2,  # unshare ignores SIGTERM while it waits, and SIGKILL is safe: --kill-child
    )
    refusal = _refusal(namespace)
    return watchdog(refusal) if refusal else namespace


def watchdog(reason):
    """The fallback: a small process that adopts the worker's orphans and kills all when the worker or the runner ends."""
    return Containment(
        "watchdog",
        (sys.executable, "-P", "-m", "course_utils.run.guard"),
        f"The guarantee is weaker than usual, because {reason}: a watchdog stops what a notebook leaves behind, "
        "but not if the watchdog itself is killed.",
        patience_seconds=6.0,  # killed in mid-sweep it would leave the rest of the tree alive
    )


def _identity():
    # Only root may make a PID namespace directly; others need a user namespace around it.
    return () if os.geteuid() == 0 else ("--user", "--map-current-user")


def _refusal(namespace):
    try:
        tried = subprocess.run([*namespace.prefix, "true"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"unshare does not work here ({error})"
    lines = tried.stderr.strip().splitlines() or ["no reason given"]
    return f"this machine forbids PID namespaces ({lines[-1]})" if tried.returncode else None

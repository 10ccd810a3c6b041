"""The bubblewrap command that makes the sandbox, and what is visible inside: a system to read, and a few of our modules."""

import os
import shutil
import sys
from pathlib import Path

import course_utils

_PACKAGE = Path(course_utils.__file__).resolve().parent
_INSIDE = "/box/course_utils"
# What runs an attempt and carries values, and what these import. Nothing here knows an answer.
MODULES = (
    *("learn/attempt.py", "learn/compare.py", "learn/compare_arrays.py", "learn/exercise.py", "learn/guard.py"),
    *("learn/kinds.py", "learn/outcome.py", "learn/patterns.py", "learn/tolerance.py"),
    *("learn/wire.py", "learn/wire_limits.py", "learn/wire_reader.py"),
    *("teach/box/confine.py", "teach/box/syscalls.py", "teach/box/template.py", "teach/box/work.py"),
)
_EMPTY = ("__init__.py", "learn/__init__.py", "teach/__init__.py", "teach/box/__init__.py")
_SYSTEM = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_FILES = ("/etc/ld.so.cache", "/etc/alternatives", "/sys/devices/system/cpu", "/nix/store")
_FRESH = (
    *("--proc", "/proc", "--dev", "/dev", "--perms", "1777", "--tmpfs", "/tmp"),
    *("--remount-ro", "/dev", "--remount-ro", "/"),
)
_SCRATCH = ("/tmp", "/dev/shm")
_ONE_THREAD = (
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"),
    *("NUMEXPR_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"),
)
_VARIABLES = {
    **dict.fromkeys(_ONE_THREAD, "1"),
    **{"HOME": "/tmp", "TMPDIR": "/tmp", "MPLCONFIGDIR": "/tmp", "MPLBACKEND": "agg", "USER": "nobody"},
    **{"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "TZ": "UTC", "CUDA_VISIBLE_DEVICES": ""},
    "JE_ARROW_MALLOC_CONF": "background_thread:false",  # pandas imports Arrow, and a fork wants a single thread
    **{"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUTF8": "1"},
}
# The prefixes come before any import: `outcome` tells a library's line from a learner's by them.
_START = """
import json, sys
sys.path.insert(0, "/box")
sys.prefix, sys.exec_prefix = json.loads(sys.argv[2])["prefixes"]
from course_utils.teach.box.template import main
main()
"""


def bubblewrap():
    """The path of bubblewrap's program, None where it is not installed."""
    return shutil.which("bwrap")


def command(*arguments):
    """The command line that starts the template with these arguments."""
    variables = [part for name, value in _VARIABLES.items() for part in ("--setenv", name, value)]
    return [
        *(bubblewrap(), *_namespaces(), "--die-with-parent", "--new-session", "--clearenv", *variables),
        *("--ro-bind", "/usr", "/usr", *_system(), *_python(), *_ours()),
        *_FRESH,
        *("--chdir", "/tmp", _executable(), "-s", "-S", "-P", "-c", _START, *arguments),
    ]


def leaves_root():
    """Whether the template has to become another user: inside a user namespace root would still be the system's root."""
    return os.geteuid() == 0


def package_folders():
    """The folders of installed packages that this Python uses, in its order."""
    found = [Path(entry) for entry in sys.path if Path(entry).name in ("site-packages", "dist-packages")]
    return [str(folder) for folder in dict.fromkeys(found) if folder.is_dir()]


def inside(path):
    """Where a path of this machine lies in the sandbox: what a job's own scratch folders would hide lies elsewhere."""
    return f"/box/outside{path}" if any(Path(path).is_relative_to(folder) for folder in _SCRATCH) else str(path)


def _namespaces():
    kinds = ["--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    return kinds if leaves_root() else ["--unshare-user", *kinds, "--cap-drop", "ALL"]


def _system():
    """The folders beside /usr, which most systems have as links into it, and single files."""
    for folder in filter(os.path.lexists, _SYSTEM):
        if os.path.islink(folder):
            yield from ("--symlink", os.readlink(folder), folder)
        else:
            yield from ("--ro-bind", folder, folder)
    for file in _FILES:
        yield from ("--ro-bind-try", file, file)


def _python():
    """This Python and its packages, without the course where it lies among them."""
    folders = [folder for folder in dict.fromkeys((sys.base_prefix, sys.base_exec_prefix)) if not _in_usr(folder)]
    for folder in folders:
        yield from _bound(folder, inside(folder))
    if any(_PACKAGE.is_relative_to(folder) for folder in ("/usr", *folders)):
        yield from ("--tmpfs", inside(_PACKAGE.parent if (_PACKAGE.parent / "notebooks").is_dir() else _PACKAGE))
    for folder in package_folders():
        yield from _bound(folder, inside(folder))
        if os.path.isdir(f"{folder}/course_utils"):
            yield from ("--tmpfs", inside(f"{folder}/course_utils"))


def _ours():
    for name in MODULES:
        yield from _bound(_PACKAGE / name, f"{_INSIDE}/{name}")
    for name in _EMPTY:
        yield from _bound(_PACKAGE / "learn/__init__.py", f"{_INSIDE}/{name}")


def _bound(source, target):
    """A read-only bind whose parent folders all may enter: bubblewrap itself would make them for one user."""
    for parent in [*Path(target).parents][-2::-1]:
        yield from ("--dir", str(parent))
    yield from ("--ro-bind", str(source), str(target))


def _in_usr(folder):
    return Path(folder).is_relative_to("/usr")


def _executable():
    return inside(os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable))

"""Make the course's virtual environment: `python3 tools/make_venv.py .venv`, or `… lock` to renew the lock.

Written so that Python 3.3 and later can read it, since an old Python must get a sentence and
not a syntax error.
"""

import json
import os
import shutil
import subprocess
import sys

MINIMUM = (3, 11)
NEEDED_GIB = 10.0  # .venv is 6.3 GiB on Linux x86-64; pip holds the downloads beside it while it unpacks
LOCK = "requirements.lock"
CPU_WHEELS = "https://download.pytorch.org/whl/cpu"  # PyTorch's own index of builds without CUDA


def main(target):
    complaint = what_is_missing(os.getcwd())
    if complaint:
        sys.exit("course: " + complaint)
    if target == "lock":
        renew_lock()
    else:
        make(target)


def what_is_missing(folder):
    """The one sentence on why an environment cannot be made here, or None."""
    if sys.version_info < MINIMUM:
        found = "%d.%d" % sys.version_info[:2]
        return "Python %s is too old, 3.11 or newer is needed. Install it, then type: make PYTHON=python3.11" % found
    try:
        import ensurepip  # noqa: F401 - Debian's python3 has venv without it
        import venv  # noqa: F401
    except ImportError:
        return "Python's venv module is missing. Type: sudo apt install python3-venv"
    free_gib = shutil.disk_usage(folder).free / 1024.0**3
    if free_gib < NEEDED_GIB:
        return "%.1f GiB are free in %s, %.0f are needed. Make room, then try again." % (free_gib, folder, NEEDED_GIB)
    return None


def make(target):
    """Install the locked versions and the project itself, and stamp the folder when all of it is there."""
    print("Making %s (6.3 GiB on disk; some minutes, most of them download)" % target)
    run([sys.executable, "-m", "venv", target])
    pip = [os.path.join(target, "bin", "python"), "-m", "pip"]
    run(pip + ["install", "--quiet", "--constraint", LOCK, "--editable", ".[dev]"] + wheels())
    run(pip + ["check"])
    with open(os.path.join(target, "installed"), "w") as stamp:
        stamp.write("made by make\n")


def wheels():
    """Extra pip arguments: TORCH=cpu takes PyTorch's smaller build without CUDA."""
    return ["--extra-index-url", CPU_WHEELS] if os.environ.get("TORCH") == "cpu" else []


def renew_lock():
    """Resolve pyproject.toml afresh and write every version to the lock; nothing is installed."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--report", "-"]
    report = json.loads(subprocess.check_output(command + ["--editable", ".[dev]"]).decode())
    found = [item["metadata"] for item in report["install"]]
    lines = sorted("%(name)s==%(version)s" % one for one in found if one["name"] != "course-utils")
    with open(LOCK + ".part", "w") as file:
        file.write("# Versions that were tested together; `make lock` renews them.\n" + "\n".join(lines) + "\n")
    os.replace(LOCK + ".part", LOCK)


def run(command):
    status = subprocess.call(command)
    if status:
        sys.exit("course: `%s` failed (status %d); its own message is above." % (" ".join(command), status))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else ".venv")

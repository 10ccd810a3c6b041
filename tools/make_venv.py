"""Make the course's virtual environment.

`python3 tools/make_venv.py .venv` installs what JupyterLab and the first lessons need, `… .venv llm` adds
an extra, `… .venv everything` all of them and the developer's tools, `… lock` renews the lock.

Written so that Python 3.3 and later can read it, since an old Python must get a sentence and
not a syntax error.
"""

import json
import os
import re
import shutil
import subprocess
import sys

MINIMUM = (3, 11)
# .venv is 6.2 GiB on Linux x86-64, 7.2 with all extras; pip holds the downloads beside it while it unpacks.
NEEDED_GIB, EVERYTHING_GIB = 10.0, 11.0
ADDED_GIB = 1.0  # an extra, or a renewed lock
LOCK = "requirements.lock"
CPU_WHEELS = "https://download.pytorch.org/whl/cpu"  # PyTorch's own index of builds without CUDA


def main(target, extra=""):
    needed_gib = EVERYTHING_GIB if extra == "everything" else NEEDED_GIB
    if os.path.exists(os.path.join(target, "installed")):
        needed_gib = ADDED_GIB
    complaint = what_is_missing(os.getcwd(), needed_gib) or what_is_wrong(extra, extras())
    if complaint:
        sys.exit("course: " + complaint)
    if target == "lock":
        renew_lock()
    else:
        make(target, extra)


def what_is_missing(folder, needed_gib=NEEDED_GIB):
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
    if free_gib < needed_gib:
        return "%.1f GiB are free in %s, %.0f are needed. Make room, then try again." % (free_gib, folder, needed_gib)
    return None


def extras():
    """Names of the extras in pyproject.toml, read without tomllib: an old Python must come this far."""
    with open("pyproject.toml") as file:
        section = file.read().split("[project.optional-dependencies]")[1].split("\n[")[0]
    return re.findall(r"^(\w+) = \[", section, re.MULTILINE)


def what_is_wrong(extra, known):
    """The one sentence on a wrong extra, or None."""
    if extra in ("", "everything") or extra in known:
        return None
    return "There is no extra '%s'. Type one of: %s" % (extra, ", ".join("make extra NAME=" + one for one in known))


def make(target, extra):
    """Install the locked versions and the project itself, and stamp the folder when all of it is there."""
    pip = [os.path.join(target, "bin", "python"), "-m", "pip"]
    if not os.path.exists(pip[0]):
        print("Making %s (about 6 GiB on disk; some minutes, most of them download)" % target)
        run([sys.executable, "-m", "venv", target])
    run(pip + ["install", "--quiet", "--no-compile", "--constraint", LOCK, "--editable", project(extra)] + wheels())
    run(pip + ["check"])
    compile_all(pip[0])
    for name in ("installed", extra) if extra else ("installed",):
        with open(os.path.join(target, name), "w") as stamp:
            stamp.write("made by make\n")


def compile_all(python):
    """Keep the bytecode of every package: on all cores once, not on one core at the first import or, where
    PYTHONDONTWRITEBYTECODE is set, at every one (17 s against 6 for peft and transformers)."""
    code = "import compileall, sysconfig; compileall.compile_dir(sysconfig.get_path('purelib'), quiet=2, workers=0)"
    subprocess.call([python, "-c", code])  # a package may hold a file that is no Python; nobody imports it


def project(extra):
    """The project as pip's argument, with an extra or with all of them."""
    names = ",".join(extras()) if extra == "everything" else extra
    return ".[%s]" % names if names else "."


def wheels():
    """Extra pip arguments: TORCH=cpu takes PyTorch's smaller build without CUDA."""
    return ["--extra-index-url", CPU_WHEELS] if os.environ.get("TORCH") == "cpu" else []


def renew_lock():
    """Resolve pyproject.toml afresh and write every version to the lock; nothing is installed."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--report", "-"]
    report = json.loads(subprocess.check_output(command + ["--editable", project("everything")]).decode())
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
    if sys.argv[1:] and sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    main(*sys.argv[1:3] or [".venv"])

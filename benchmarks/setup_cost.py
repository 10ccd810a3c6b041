"""How long a newcomer waits for the first result: `python benchmarks/setup_cost.py`.

Downloads what `make lab` installs into an empty folder, unpacks it into a new environment,
starts JupyterLab there and runs week 00 up to its first result. Writes results/setup_cost.json
with the bytes, the seconds, and what they come to on a line of 50 Mbit/s. `--everything` adds the bytes of what
`make test` installs.
"""

import argparse
import json
import os
import runpy
import subprocess
import sys
import tempfile
import time
import tomllib
from datetime import UTC, datetime
from pathlib import Path

from course_utils.learn.paths import project_dir, write_atomically

RESULT = project_dir() / "benchmarks" / "results" / "setup_cost.json"
LINE_BITS_PER_S = 50e6
FIRST_RESULT = """
import time, nbformat
from nbclient import NotebookClient
notebook = nbformat.read("notebooks/week00_your_card.ipynb", 4)
last = next(i for i, cell in enumerate(notebook.cells) if "billion operations" in cell.source)
notebook.cells = notebook.cells[: last + 1]
NotebookClient(notebook, resources={"metadata": {"path": "notebooks"}}).execute()
print(notebook.cells[-1].outputs[0]["text"])
"""


def main():
    """Measure in an empty folder, which is removed afterwards; what was not measured now stays in the result."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--everything", action="store_true", help="what `make test` installs: bytes, no seconds")
    known = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.is_file() else {}
    with tempfile.TemporaryDirectory() as folder:
        measured = {"everything": everything(Path(folder))} if parser.parse_args().everything else core(Path(folder))
    result = json.dumps(known | measured, indent=1)
    print(result)
    write_atomically(RESULT, result + "\n")


def core(folder):
    """What `make lab` takes, and what comes before the first result."""
    wheels, python = folder / "wheels", folder / "venv" / "bin" / "python"
    download(wheels, requirements())
    measured = {"date": datetime.now(UTC).date().isoformat(), "cores": os.cpu_count(), "python": sys.version.split()[0]}
    measured |= sizes(wheels)
    measured["install_seconds"] = seconds(lambda: install(wheels, python))
    measured["first_result_seconds"] = seconds(lambda: run([python, "-c", FIRST_RESULT]))
    measured["lab_start_seconds"] = seconds(lambda: start_lab(python))
    measured["disk_bytes"] = disk_bytes(python.parents[1])
    measured["download_seconds_at_50_mbit"] = 8 * measured["download_bytes"] / LINE_BITS_PER_S
    measured["total_minutes"] = sum(value for name, value in measured.items() if "seconds" in name) / 60
    return measured


def everything(folder):
    """What `make course` and `make test` take: all extras and the developer's tools, too."""
    wheels, python = folder / "wheels", folder / "venv" / "bin" / "python"
    download(wheels, requirements(extras=True))
    install(wheels, python)
    return sizes(wheels) | {"disk_bytes": disk_bytes(python.parents[1])}


def requirements(extras=False):
    """What the project names: of the core, or with all extras."""
    project = tomllib.loads((project_dir() / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    more = project["optional-dependencies"].values() if extras else ()
    return [*project["dependencies"], *(one for extra in more for one in extra)]


def download(folder, names):
    """Every package that these need, in the versions of the lock."""
    run([sys.executable, "-m", "pip", "download", "-q", "-d", folder, "--constraint", "requirements.lock", *names])


def sizes(wheels):
    """How many packages a folder holds, and their bytes."""
    found = [wheel.stat().st_size for wheel in wheels.iterdir()]
    return {"wheels": len(found), "download_bytes": sum(found)}


def install(wheels, python):
    """What tools/make_venv.py does, with the downloads already there."""
    run([sys.executable, "-m", "venv", python.parents[1]])
    pip = [python, "-m", "pip", "install", "-q", "--no-compile"]
    run([*pip, "--no-deps", *wheels.glob("*.whl"), *wheels.glob("*.tar.gz")])
    run([*pip, "--no-deps", "--editable", "."])
    make_venv = runpy.run_path(str(project_dir() / "tools" / "make_venv.py"))
    make_venv["compile_all"](python)


def start_lab(python):
    """Start JupyterLab and stop it when its address is printed."""
    command = [python, "-m", "jupyter", "lab", "--no-browser", "--allow-root", "--ServerApp.port=0"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=project_dir() / "notebooks")
    for line in server.stderr:
        if "http://" in line:
            break
    server.terminate()
    server.wait()


def disk_bytes(folder):
    """Bytes of all files below a folder."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def seconds(work):
    """How long a piece of work takes."""
    start = time.perf_counter()
    work()
    return round(time.perf_counter() - start, 1)


def run(command):
    """Run a command in the project's folder and stop where it fails."""
    subprocess.run([str(part) for part in command], cwd=project_dir(), check=True, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    main()

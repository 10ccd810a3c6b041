"""How long a newcomer waits for the first result: `python benchmarks/setup_cost.py`.

Downloads what `make lab` installs into an empty folder, unpacks it into a new environment,
starts JupyterLab there and runs week 00 up to its first result. Writes results/setup_cost.json
with the bytes, the seconds, and what they come to on a line of 50 Mbit/s.
"""

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
    """Measure each phase in an empty folder, which is removed afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        wheels, python = Path(folder) / "wheels", Path(folder) / "venv" / "bin" / "python"
        download(wheels)
        sizes = [wheel.stat().st_size for wheel in wheels.iterdir()]
        measured = {"wheels": len(sizes), "download_bytes": sum(sizes)}
        measured["install_seconds"] = seconds(lambda: install(wheels, python))
        measured["first_result_seconds"] = seconds(lambda: run([python, "-c", FIRST_RESULT]))
        measured["lab_start_seconds"] = seconds(lambda: start_lab(python))
        measured["disk_bytes"] = disk_bytes(python.parents[1])
    measured["download_seconds_at_50_mbit"] = 8 * measured["download_bytes"] / LINE_BITS_PER_S
    measured["total_minutes"] = sum(value for name, value in measured.items() if "seconds" in name) / 60
    about = {"date": datetime.now(UTC).date().isoformat(), "cores": os.cpu_count(), "python": sys.version.split()[0]}
    result = json.dumps(about | measured, indent=1)
    print(result)
    write_atomically(project_dir() / "benchmarks" / "results" / "setup_cost.json", result + "\n")


def download(folder):
    """Every wheel of the core, in the versions of the lock."""
    core = tomllib.loads((project_dir() / "pyproject.toml").read_text())["project"]["dependencies"]
    run([sys.executable, "-m", "pip", "download", "-q", "-d", folder, "--constraint", "requirements.lock", *core])


def install(wheels, python):
    """What tools/make_venv.py does, with the downloads already there."""
    run([sys.executable, "-m", "venv", python.parents[1]])
    pip = [python, "-m", "pip", "install", "-q", "--no-compile"]
    run([*pip, "--no-index", *wheels.glob("*.whl"), *wheels.glob("*.tar.gz")])
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

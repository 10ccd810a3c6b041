"""The process that runs one notebook: `python -m course_utils.run.worker FOLDER`.

It loads what it needs and waits for the word "go" on stdin; then `FOLDER/job.json` says what to run.
It keeps `FOLDER/cell.json` at the cell that runs and `FOLDER/copy.ipynb` as far as it got, and leaves
`FOLDER/result.json` and the kernel's peak memory in `FOLDER/peak.json`. Its stdin is a lifeline: the
word "stop", or the end of the stream because the runner died, ends it.
"""

import json
import os
import resource
import shutil
import signal
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

from course_utils.run.notebook import place

BEGIN = b"go\n"
_START_SECONDS = 120  # a kernel's start on a loaded machine; the runner holds the real deadline
_KILL_SECONDS = 0.5  # a process can outlast SIGKILL for as long as a driver holds it


@dataclass
class Progress:
    """The notebook as far as it got, and its copy on disk."""

    folder: Path
    manager: object = None
    notebook: object = None
    index: int | None = None
    peak_bytes: int | None = None
    where: dict = field(default_factory=lambda: {"cell": None, "prompt": None, "source": None})
    lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, notebook):
        """Remember the notebook that papermill fills."""
        self.notebook = notebook
        self.save()

    def enter(self, cell, cell_index):
        """Note, before a code cell runs, which it is."""
        with self.lock:
            self.index, self.where = cell_index, place(self.notebook.cells, cell_index)
            self.peak_bytes = max(filter(None, (self.peak_bytes, _peak_of(self.manager))), default=None)
            _replace(self.folder / "cell.json", json.dumps({**self.where, "peak_bytes": self.peak_bytes}))

    def save(self, **_):
        """Write the copy whole: a kill leaves the version before."""
        import nbformat

        with self.lock:
            _replace(self.folder / "copy.ipynb", nbformat.writes(self.notebook))


def main(folder):
    """Run the job in `folder` to its end; the exit status says nothing, `result.json` does."""
    _load()
    if os.read(0, len(BEGIN)) != BEGIN:  # the runner needs no worker any more, or died
        shutil.rmtree(folder, ignore_errors=True)
        return
    job = json.loads((folder / "job.json").read_text())
    os.environ.update(job["environment"])
    progress = Progress(folder)
    threading.Thread(target=_hold_lifeline, args=(progress,), daemon=True).start()
    result = _execute(job, progress)
    _finish(progress, result["status"])
    _note_peak(folder)
    _replace(folder / "result.json", json.dumps(result))


def _hold_lifeline(progress):
    word = os.read(0, 16)
    try:
        if word:  # the runner asks for an end, and still wants the copy
            _save_if_possible(progress)
            _kill_kernel(progress.manager)
            _note_peak(progress.folder)
        else:
            _kill_kernel(progress.manager)
            progress.lock.acquire(timeout=1)  # and keep it: the other thread must not write into the folder again
            shutil.rmtree(progress.folder, ignore_errors=True)
    finally:
        os._exit(1)


def _kill_kernel(manager):
    kernel = manager and manager.provisioner and manager.provisioner.process
    if kernel:
        kernel.kill()
        kernel.wait(_KILL_SECONDS)


def _note_peak(folder):
    """Bytes that the largest of this process's ended children held at most: the kernel, or a child that it waited for.

    The runner cannot ask Linux for this: there a child's figure includes what the runner itself holds.
    """
    _replace(folder / "peak.json", str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024))


def _peak_of(manager):
    """Bytes of RAM that the kernel held at most so far, or None."""
    process = getattr(manager.provisioner, "process", None)
    try:
        text = Path(f"/proc/{process.pid}/status").read_text() if process else ""
        return int(text.partition("VmHWM:")[2].split()[0]) * 1024
    except (OSError, IndexError):
        return None


def _save_if_possible(progress):
    try:
        progress.save()
    except Exception:  # the other thread may be changing it at this moment; the last copy stays
        return


def _execute(job, progress):
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    manager = progress.manager = _kernel_manager(progress.folder)
    try:
        _papermill(job, progress, manager)
        return _silent_stop(progress)
    except PapermillExecutionError as error:
        return _result("failed", progress, error.ename, error.evalue)
    except DeadKernelError:
        return _dead(progress, manager.provisioner)
    except OSError as error:  # a cell's own OSError arrives as PapermillExecutionError
        return _result("unwritable", progress, type(error).__name__, error.strerror or str(error))
    except Exception as error:
        return _result("crashed", progress, type(error).__name__, str(error))


def _load():
    # jsonschema loads the first two if they are there, to check IRIs and URIs that notebooks do not
    # have; one builds a grammar on import, a second on a laptop. papermill loads the third, and
    # numpy with it, for notebooks that lie in Hadoop. The kernel is another process, and has them all.
    sys.modules.update(dict.fromkeys(("rfc3987_syntax", "rfc3986_validator", "pyarrow")))
    import jupyter_client  # noqa: F401
    import papermill  # noqa: F401


def _kernel_manager(folder):
    """A kernel of this very Python, whose channels are Unix sockets in `folder`: no two kernels can meet."""
    from jupyter_client import AsyncKernelManager

    return AsyncKernelManager(kernel_name="python3", transport="ipc", connection_file=str(folder / "k.json"))


def _papermill(job, progress, manager):
    from papermill import execute_notebook

    execute_notebook(
        job["notebook"].replace("{", "{{").replace("}", "}}"),  # papermill formats paths
        None,  # its own writing is not atomic and saves twice a cell
        parameters=job["parameters"],
        kernel_name="python3",
        language="python",
        cwd=job["home"],
        progress_bar=False,
        start_timeout=_START_SECONDS,
        km=manager,
        iopub_timeout=60,  # the default 4 s fails on a loaded machine
        on_notebook_start=progress.begin,
        on_cell_execute=progress.enter,
        on_cell_executed=progress.save,
    )


def _result(status, progress, name, message):
    return {"status": status, "error": {**progress.where, "name": name, "message": message}}


def _silent_stop(progress):
    """`sys.exit()` ends a notebook early, and papermill takes it for success."""
    if progress.notebook.metadata.papermill.get("exception"):
        return _result("failed", progress, "SystemExit", "the cell ended the notebook before its last cell")
    return {"status": "passed", "error": None}


def _dead(progress, provisioner):
    code = provisioner.process.poll() if provisioner and provisioner.process else None
    name = signal.Signals(-code).name if code is not None and code < 0 else None
    return _result("crashed", progress, "DeadKernelError", _cause(code, name)) | {"signal": name}


def _cause(code, name):
    if code is None:
        return "the kernel died"
    if name is None:
        return f"the kernel exited by itself with status {code}"
    hint = ", often a sign of too little memory" if name == "SIGKILL" else ""
    return f"the kernel was killed by {name}{hint}"


def _finish(progress, status):
    from jupyter_core.utils import run_sync

    if progress.notebook is not None:
        _tidy(progress, status)
        _save_if_possible(progress)
    if progress.manager.has_kernel:
        run_sync(progress.manager.shutdown_kernel)()


def _tidy(progress, status):
    """Undo what papermill adds to a failed notebook: two cells that shift the others, and "completed" where none ran."""
    from papermill.execute import remove_error_markers

    cells = remove_error_markers(progress.notebook).cells
    if status != "passed" and progress.index is not None:
        for cell in cells[progress.index :]:
            cell.metadata.papermill["status"] = "pending"
        cells[progress.index].metadata.papermill["status"] = "failed"


def _replace(path, text):
    # Not paths.write_atomically: its fsync guards against a power cut, which after every cell
    # costs more than the cell.
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    os._exit(0)  # the lifeline's thread still waits on stdin

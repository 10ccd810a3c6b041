"""A course folder of nbgrader's, and its autograder run in a box: it runs a submission with the user's own rights.

The box keeps an attack from harming this machine. It has no network, its own processes, a read-only system, an empty
home, and of the disk it may write to the course's folder alone. It gives no attack fewer points.
"""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from course_utils.learn.paths import project_dir

ASSIGNMENT = "lab"
INSIDE = "/tmp/course"
CELL_SECONDS = 15
_CONFIG = f"""
c = get_config()
c.CourseDirectory.course_id = "course"
c.CourseDirectory.root = "{INSIDE}"
c.Execute.timeout = {CELL_SECONDS}
c.Execute.interrupt_on_timeout = True
c.ClearSolutions.enforce_metadata = False
c.BaseConverter.max_tries = 1
"""
_HIDDEN = ("/root", "/home", "/tmp", "/var/tmp", "/run")
_LIMITS = ("prlimit", "--fsize=200000000", "--nofile=1024", "--core=0")


@dataclass(frozen=True)
class NbgraderCourse:
    """A folder that nbgrader knows as a course with one assignment."""

    folder: Path

    def assign(self, notebook):
        """Let nbgrader make its own release of this notebook (plain data)."""
        source = self.folder / "source" / ASSIGNMENT
        source.mkdir(parents=True)
        (self.folder / "nbgrader_config.py").write_text(_CONFIG)
        (source / f"{ASSIGNMENT}.ipynb").write_text(json.dumps(notebook))
        done = self.run("generate_assignment", ASSIGNMENT, "--create", seconds=120)
        if done is None or not (self.folder / "release" / ASSIGNMENT / f"{ASSIGNMENT}.ipynb").exists():
            raise SystemExit("nbgrader could not make its assignment:\n" + (done or "out of time")[-2000:])

    def submit(self, student, notebook):
        """Hand in a notebook, given as plain data or as bytes."""
        folder = self.folder / "submitted" / student / ASSIGNMENT
        folder.mkdir(parents=True)
        data = notebook if isinstance(notebook, bytes) else json.dumps(notebook).encode()
        (folder / f"{ASSIGNMENT}.ipynb").write_bytes(data)

    def autograde(self, student=None, seconds=None):
        """Grade one student, or all; what nbgrader said, None where it took longer than `seconds`."""
        whom = ("--student", student) if student else ()
        return self.run("autograde", ASSIGNMENT, *whom, seconds=seconds)

    def run(self, *words, seconds):
        """What `nbgrader` said in the box, None where it took longer than `seconds`."""
        command = [*_LIMITS, *self._box(), str(Path(sys.executable).with_name("nbgrader")), *words]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            return process.communicate(timeout=seconds)[0].decode(errors="replace")
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # the box dies with its first process
            process.communicate()
            return None

    def _box(self):
        hidden = [word for top in _HIDDEN for word in ("--tmpfs", top)]
        variables = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": "/tmp", "COURSE_PROFILE": "smoke"}
        variables |= {"COURSE_OFFLINE": "1", "OMP_NUM_THREADS": "1", "LANG": "C.UTF-8"}
        setenv = [word for pair in variables.items() for word in ("--setenv", *pair)]
        kept = [word for path in _prefixes() for word in ("--ro-bind", path, path)]
        return [
            *("bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--clearenv", "--ro-bind", "/", "/"),
            *(*hidden, *kept, "--proc", "/proc", "--dev", "/dev", "--bind", str(self.folder), INSIDE),
            *(*setenv, "--chdir", INSIDE),
        ]

    def points(self):
        """Points by student and exercise, as {student: {grade cell: points}}, 0 where nbgrader stored none."""
        query = (
            "select assignment.student_id, cell.name, grade.auto_score, grade.manual_score from grade "
            "join submitted_notebook as notebook on grade.notebook_id = notebook.id "
            "join submitted_assignment as assignment on notebook.assignment_id = assignment.id "
            "join base_cell as cell on grade.cell_id = cell.id"
        )
        found = {}
        with sqlite3.connect(f"file:{self.folder / 'gradebook.db'}?mode=ro", uri=True) as book:
            for student, cell, automatic, manual in book.execute(query):
                found.setdefault(student, {})[cell] = automatic or manual or 0.0
        return found


def _prefixes():
    """What lies in a hidden folder and is needed: Python, its packages and the course."""
    found = {sys.prefix, sys.base_prefix, str(project_dir())}
    return sorted(path for path in found if path.startswith(_HIDDEN))

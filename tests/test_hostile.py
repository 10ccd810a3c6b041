"""Every hostile submission of tests/hostile, graded at the same time as honest ones.

None may score above an honest wrong answer, show a hidden input, change a file or a neighbour's grade, or leave a
process.
"""

import ast
import csv
import hashlib
import os
import re
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from hostile import archives, notebooks, school
from hostile.canaries import canaries
from hostile.scene import Scene

from course_utils.learn.attempt import cases_of
from course_utils.learn.catalog import find_exercise
from course_utils.teach import sandbox
from course_utils.teach.cases import prepare
from course_utils.teach.key import read_key

REFUSAL = sandbox.refusal()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(REFUSAL) and not os.environ.get("CI"), reason=str(REFUSAL)),
]
# `course grade` with less patience, since a dozen attacks use up all there is.
GRADE = """
import functools
from course_utils.teach import sandbox
sandbox.Limits = functools.partial(sandbox.Limits, seconds=3.0, cpu_seconds=3)
from course_utils.cli import main
main()
"""
HONEST = ("aa_right", "honest_right", "zz_right")  # before, among and after the others
PLACES = ("/", "/tmp", "/dev/shm", "/var/tmp", "/run", os.getcwd())
LEAVINGS = ("hostile", "canary", "filled", "book.json", "weights.pt", "grades.", "sitecustomize.py")
BUILDERS = {build.__name__: build for build in (*notebooks.BUILDERS, *archives.BUILDERS)}


@dataclass(frozen=True)
class Graded:
    """A graded class: rows of `grades.csv` by student, all that was written or printed by its name, and what it left."""

    rows: dict
    said: dict
    changed: tuple
    processes: list
    key: object
    status: int


def grade_a_class(folder, hand_in_attacks):
    """Grade honest students and attackers together, two attempts at a time, by the real command."""
    submissions, out, guard, home = (folder / name for name in ("submissions", "out", "guard", "home"))
    for one in (submissions, out, guard, home):
        one.mkdir()
    secret = guard / "canary.txt"
    secret.write_text("CANARY of the instructor's\n")
    key_path, notebook = school.release(guard)
    wrong = school.filled(notebook, school.wrong_texts())
    for name in HONEST:
        school.hand_in(submissions, name, school.filled(notebook, school.right_texts()))
    school.hand_in(submissions, "honest_wrong", wrong)
    hand_in_attacks(Scene(submissions, wrong, "honest_right", secret))
    before = _state(folder, out)
    words = [str(submissions), "--key", str(key_path), "--out", str(out / "grades.csv")]
    words += ["--feedback", str(out / "feedback"), "--jobs", "2"]
    done, processes = _watched([sys.executable, "-c", GRADE, "grade", *words], {**os.environ, "HOME": str(home)})
    with open(out / "grades.csv", newline="", encoding="utf-8-sig") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    said = {str(path.relative_to(out)): path.read_text() for path in sorted(out.rglob("*")) if path.is_file()}
    changed = tuple(sorted({path for path, _ in before ^ _state(folder, out)}))
    return Graded(rows, said | {"terminal": done.stdout}, changed, processes, read_key(key_path), done.returncode)


def _state(folder, out):
    """(path, digest or kind) of each file below `folder` apart from `out`, and of what attacks leave elsewhere."""
    found = set()
    for where, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if Path(where, name) != out]
        found |= {(os.path.join(where, name), _digest(os.path.join(where, name))) for name in [*folders, *files]}
    return found | {
        (os.path.join(place, name), "left")
        for place in PLACES
        for name in os.listdir(place)
        if name.startswith(LEAVINGS)
    }


def _digest(path):
    if not stat.S_ISREG(os.lstat(path).st_mode):
        return str(os.lstat(path).st_mode)
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _watched(command, environment):
    """The finished process, and all processes that ever hung below it."""
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )
    seen, root = set(), psutil.Process(process.pid)
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(process.stdout.read)
        while process.poll() is None:
            try:
                seen.update(root.children(recursive=True))
            except psutil.Error:
                break
            time.sleep(0.1)
        output = reading.result()
    process.wait()
    return subprocess.CompletedProcess(command, process.returncode, output), list(seen)


@pytest.fixture(scope="module")
def attempts(tmp_path_factory):
    """All hostile attempts in one class."""

    def hand_in(scene):
        for name in school.ATTEMPTS:
            school.hand_in(scene.submissions, name, school.filled(scene.notebook, school.attack_texts(name)))

    return grade_a_class(tmp_path_factory.mktemp("attempts"), hand_in)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """All hostile notebooks, archives and names in one class."""

    def hand_in(scene):
        for build in BUILDERS.values():
            build(scene)

    return grade_a_class(tmp_path_factory.mktemp("files"), hand_in)


@pytest.fixture(scope="module", params=["attempts", "files"])
def graded(request):
    return request.getfixturevalue(request.param)


def points(row):
    """A row's points, 0 where it was not graded."""
    return float(row["total"] or 0)


@pytest.mark.parametrize("name", school.ATTEMPTS)
def test_a_hostile_attempt_scores_no_more_than_an_honest_wrong_one(attempts, name):
    assert points(attempts.rows[name]) <= points(attempts.rows["honest_wrong"]) == 0


def test_no_hostile_file_scores_more_than_an_honest_wrong_one(files):
    best = {name: points(row) for name, row in files.rows.items() if name not in HONEST}
    assert best["honest_wrong"] == 0
    assert {name: score for name, score in best.items() if score > 0} == {}


def test_the_grading_itself_succeeds(graded):
    assert graded.status == 0, graded.said["terminal"]
    assert "Traceback" not in graded.said["terminal"]


def test_honest_students_get_what_they_earned(graded):
    full = sum(one.points for one in graded.key.exercises)
    assert {name: points(graded.rows[name]) for name in HONEST} == dict.fromkeys(HONEST, full)


def test_no_hidden_input_leaves(graded):
    for exercise in (find_exercise(id) for id in school.ATTACKED):
        texts = canaries(prepare(graded.key, exercise, 1).hidden_cases, cases_of(exercise))
        for name, said in graded.said.items():
            assert [text for text in texts if text in said] == [], name


def test_the_canaries_know_an_input_again(graded):
    exercise = find_exercise("week03.softmax_gradient")
    hidden = prepare(graded.key, exercise, 1).hidden_cases
    z = max((case.args[0] for case in hidden), key=lambda z: z.numel())
    texts = canaries(hidden, cases_of(exercise))
    for told in (repr(z.tolist()), str(z), z.numpy().tobytes().hex(), str(z.numpy().astype("f4").tolist())):
        assert any(text in told for text in texts), told
    public = [case.args[0].tolist() for case in cases_of(exercise)]
    assert not any(text in repr(public) for text in texts)


def test_no_exit_status_and_no_signal_is_shown(attempts):
    for name in ("exit_status", "chosen_signal"):
        page = attempts.said[f"feedback/{name}.html"]
        assert "cases agree" in page
        assert not re.search(r"status \d|signal \d|SIG[A-Z]", page)


def test_no_template_code_of_a_submission_is_carried_out(attempts):
    assert "{{ 7 * 191 }}" in attempts.said["feedback/template_code.html"]
    assert not any(str(7 * 191) in said for name, said in attempts.said.items() if name.endswith("template_code.html"))


def test_no_secret_of_the_instructor_leaves(graded):
    secret = graded.key.secret
    for name, said in graded.said.items():
        assert "CANARY of the instructor" not in said, name
        assert secret.hex() not in said, name


def test_nothing_outside_the_box_changes(graded):
    assert graded.changed == ()


def test_no_process_is_left(graded):
    assert graded.processes, "no process was seen at all"
    _, left = psutil.wait_procs(graded.processes, timeout=5)
    assert left == []


def test_nothing_of_a_submission_runs_in_a_browser(graded):
    for name, said in graded.said.items():
        if name.endswith(".html"):
            assert "<script>alert" not in said and "<img src=x" not in said, name
            assert not any(code in said for code in "\x1b\x07\x00\u202e"), name


def test_no_terminal_is_painted(graded):
    assert not any(code in graded.said["terminal"] for code in ("\x1b[2J", "\x1b[31m", "\x07", "\u202e"))


def test_no_cell_of_the_grades_is_a_formula(files):
    cells = [
        cell for row in files.rows.values() for name, cell in row.items() if name in ("id", "name", "email", "problem")
    ]
    assert [cell for cell in cells if cell.lstrip().startswith(("=", "+", "-", "@"))] == []
    assert any("HYPERLINK" in cell for cell in cells)


def test_every_student_has_a_page_of_feedback(graded):
    pages = [name for name in graded.said if name.startswith("feedback/")]
    assert len(pages) == len(graded.rows)


def test_no_attempt_sees_the_machine_or_a_neighbour():
    with sandbox.open_sandbox(("torch",), 2, sandbox.Limits(seconds=3.0, cpu_seconds=3)) as box:
        names = [name for name, text in school.ATTEMPTS.items() if "CANARY" in text]
        with ThreadPoolExecutor(2) as pool:  # each twice, so that it may meet itself
            answers = list(pool.map(lambda name: (name, box.run(_job(name))), [*names, *names]))
    assert len(names) > 10
    for name, answer in answers:
        texts = [text for one in answer.outcomes for text in (one.error_text, one.problem, one.printed)]
        assert not any("CANARY" in text for text in texts), (name, texts)


def _job(name):
    exercise = find_exercise(school.attacked_by(name))
    code, cases = school.ATTEMPTS[name], tuple(cases_of(exercise))
    return sandbox.Job(exercise=exercise, code=code, name=school.name_of(exercise.id), cases=cases)


def test_every_attack_says_what_it_tries_and_must_get():
    texts = [ast.get_docstring(ast.parse(text)) for text in school.ATTEMPTS.values()]
    texts += [build.__doc__ for build in BUILDERS.values()]
    assert len(texts) >= 36
    assert all(text and "must" in text for text in texts)
    assert len(set(texts)) == len(texts)

"""Grading a class: marks, what students may read of it, grading again, and a grading that is killed."""

import csv
import functools
import json
import os
import random
import signal
import subprocess
import sys
import time
import tokenize
import types
from contextlib import contextmanager
from dataclasses import replace

import class_maker
import pytest

from course_utils.errors import CourseError
from course_utils.learn.attempt import cases_of, outcomes
from course_utils.learn.catalog import exercises_of
from course_utils.learn.exercise import Case, exercise
from course_utils.learn.outcome import Outcome
from course_utils.teach import classroom, feedback, grade_show, marks, results, running, sandbox
from course_utils.teach.cases import DRAWS, OTHER_CASE, kinds, prepare
from course_utils.teach.grade import Options, grade
from course_utils.teach.key import case_seed, write_key
from course_utils.teach.likeness import likeness
from course_utils.teach.program import Program, Programs
from course_utils.teach.sandbox import Answer

WEEK = exercises_of("week03")
WHOLE = class_maker.make_key(deadline="2026-12-24T18:00:00+01:00")
KEY = replace(WHOLE, exercises=tuple(one for one in WHOLE.exercises if one.id == "week03.output_size"))
SIZE = WEEK["week03.output_size"]
RIGHT = "def my_output_size(n, k, p, s):\n    return (n + 2 * p - k) // s + 1"
WRONG = "def my_output_size(n, k, p, s):\n    return (n + 2 * p - k) // s"


class FakeBox:
    """Runs attempts in this process; for tests of everything but the sandbox."""

    def __init__(self):
        self.jobs = []

    def run(self, job):
        self.jobs.append(job)
        module = types.ModuleType("attempt")
        try:
            exec(job.code, vars(module))
            attempt = vars(module)[job.name]
        except Exception as error:
            said = Outcome(
                error=type(error).__name__, error_kinds=(type(error).__name__,), error_text=str(error), own=True
            )
            return Answer((said,) * len(job.cases), "", 0.0, None)
        return Answer(tuple(outcomes(job.exercise, attempt, job.cases, None)), "", 0.0, None)


@pytest.fixture
def box(monkeypatch):
    made = FakeBox()

    @contextmanager
    def opened(modules=(), jobs=1, limits=None):
        yield made

    monkeypatch.setattr(sandbox, "open_sandbox", opened)
    monkeypatch.setattr(sandbox, "refusal", lambda: None)
    return made


@pytest.fixture
def room(tmp_path):
    """A key, a folder for submissions, and a function that writes them."""
    write_key(tmp_path / "x.key", KEY)
    return tmp_path


def hand_in(room, **texts):
    for student, text in texts.items():
        class_maker.write(room / "in", student, class_maker.filled(KEY, {} if text is ... else {SIZE.id: text}))


def graded(room, **options):
    places = {"key": room / "x.key", "submissions": room / "in", "out": room / "g.csv", "feedback": room / "fb"}
    return grade(Options(**places | {"jobs": 1} | options))


def mark_of(done, student, id=SIZE.id):
    return next(one for one in done.results.records if one.id == student).marks[id]


def table(room):
    with open(room / "g.csv") as file:
        return {row["id"]: row for row in csv.DictReader(file)}


def page(room, student):
    return (room / "fb" / f"{student}.html").read_text()


def test_right_wrong_stub_and_missing_get_what_they_earn(box, room):
    hand_in(room, right=RIGHT, wrong=WRONG, stub=..., gone=None, broken="def my_output_size(:")
    done = graded(room)
    said = {student: (mark_of(done, student).status, row["total"]) for student, row in table(room).items()}
    assert said == {
        **{"right": ("passed", "1"), "wrong": ("not yet", "0"), "stub": ("not attempted", "0")},
        **{"gone": ("missing", "0"), "broken": ("not yet", "0")},
    }
    assert mark_of(done, "wrong").mistake == SIZE.mistakes[0].message
    assert "the window also stands at the very start" in page(room, "wrong")
    assert "SyntaxError" in page(room, "broken")


def test_every_student_meets_the_same_hidden_cases_and_a_new_round_draws_others(box, room):
    hand_in(room, ana=WRONG, ben=WRONG + "  # mine")
    graded(room)
    first = [job.cases for job in box.jobs]
    assert len(first) == 4 and first[0] is first[2]
    graded(room, new_round=True)
    assert box.jobs[4].cases != first[0]
    assert json.loads((room / "g.results.json").read_text())["round"] == 2
    assert box.jobs[5].cases == first[1], "the public cases stay"


def test_the_hidden_cases_are_drawn_from_the_secret():
    one, again = prepare(KEY, SIZE, 1), prepare(KEY, SIZE, 1)
    assert one.hidden_cases == again.hidden_cases
    others = [prepare(replace(KEY, secret=b"t" * 32), SIZE, 1), prepare(KEY, SIZE, 2)]
    assert all(other.hidden_cases != one.hidden_cases for other in others)


def test_cases_that_no_seed_changes_count_once_and_earn_nothing():
    prepared = prepare(KEY, SIZE, 1)
    fixed = [case.args for case in cases_of(SIZE)[:3]]
    given = [case.args for case in prepared.hidden_cases]
    assert [args for args in given if args in fixed] == fixed
    drawn = {case.args for draw in range(DRAWS) for case in cases_of(SIZE, [case_seed(KEY, SIZE.id, 1), draw])[3:]}
    assert set(given) == {*fixed, *drawn}
    assert prepared.earned_by_constant >= 3


def test_a_table_of_the_public_cases_earns_nothing(box, room):
    public = {case.args: SIZE.reference(*case.args) for case in cases_of(SIZE)}
    hand_in(room, ana=f"def my_output_size(*args):\n    return {public!r}.get(args)")
    mark = mark_of(graded(room), "ana")
    assert (mark.points, mark.status) == (0, "not yet")
    assert 3 <= mark.right < mark.cases


def drawn_notes():
    @exercise("week03.other", points=1, minutes=1, difficulty=1, needs=(), hints=())
    def other(x):
        return x

    @other.cases
    def _(rng):
        x = int(rng.integers(10**6))
        yield Case((x,), note=f"the number {x}")
        yield Case((x,), note="an ordinary number")
        yield Case((x,), note="an even number" if x % 2 == 0 else "an odd number")
        yield Case((x,))

    return other


def test_a_note_that_depends_on_what_was_drawn_is_not_said():
    other = drawn_notes()
    assert kinds(other, cases_of(other, 5)) == (OTHER_CASE, "an ordinary number", OTHER_CASE, OTHER_CASE)


SPY = """
seen = []
def my_output_size(n, k, p, s):
    seen.append((n, k, p, s))
    print(seen)
    if s == 2 and p == 1:
        raise ValueError(str(seen))
    return type("SECRET_%d_%d" % (k, s), (), {})
"""


SLY = """
seen = []
def my_output_size(n, k, p, s):
    seen.append((n, k, p, s))
    print(seen)
    if n == 64:
        raise ValueError(str(seen))
    return (n + 2 * p - k) // s + 1
"""


def test_nothing_of_a_hidden_case_is_written_anywhere(box, room, capsys):
    key = replace(KEY, secret=b"t" * 32)
    write_key(room / "t.key", key)
    hand_in(room, spy=SPY, sly=SLY)
    done = graded(room, key=room / "t.key")
    grade_show.finished(done, Options(room / "x.key", room / "in", room / "g.csv", room / "fb"))
    written = "".join(path.read_text() for path in [*room.glob("g.*"), *(room / "fb").iterdir()])
    written += "".join(capsys.readouterr())
    public = {case.args for case in cases_of(SIZE)}
    hidden = [case.args for case in prepare(key, SIZE, 1).hidden_cases if case.args not in public]
    assert prepare(key, SIZE, 1).hidden_cases[len(public) - 1].args in hidden, "else an answer to it cannot show"
    assert str(next(iter(cases_of(SIZE))).args) in written, "else this test cannot fail"
    for args in hidden:
        assert str(args) not in written
        assert f"window {args[1]}, padding 2, steps of {args[3]}" not in written


def test_hidden_and_public_cases_run_apart(box, room):
    hand_in(room, wrong=WRONG)
    graded(room)
    hidden, public = box.jobs
    assert [case.args for case in public.cases] == [case.args for case in cases_of(SIZE)]
    assert public.exercise is hidden.exercise is SIZE


def test_a_stopped_attempt_keeps_its_sentence_but_no_number_that_it_chose():
    prepared = prepare(KEY, SIZE, 1)
    right = [Outcome(SIZE.reference(*case.args)) for case in prepared.hidden_cases]
    for said, kept in (
        ("It ended the process with exit status 77.", "It ended the process."),
        ("It crashed: signal 11 (SIGSEGV).", "It crashed."),
        ("It took more than 1 GiB of memory and was stopped.", "It took more than 1 GiB of memory and was stopped."),
    ):
        mark = marks.hidden_mark(prepared, Answer(tuple(right[:2]), said, 1.0, None), 1)
        assert (mark.status, mark.stopped, mark.right, mark.points) == ("stopped", kept, 2, 0)
    assert marks.hidden_mark(prepared, Answer((), "", 0.0, None), 1).status == "stopped"
    assert marks.hidden_mark(prepared, Answer(tuple(right), "", 0.0, None), 1).status == "passed"


def test_the_same_code_runs_once(box, room):
    hand_in(room, ana=RIGHT, ben=RIGHT, cy=RIGHT + "\n")
    done = graded(room)
    assert (done.ran, len(box.jobs)) == (2, 2)
    assert [mark_of(done, student).status for student in ("ana", "ben", "cy")] == ["passed"] * 3


def test_a_regrade_runs_only_what_changed_and_keeps_history(box, room):
    hand_in(room, ana=RIGHT, ben=WRONG)
    graded(room)
    hand_in(room, ben=RIGHT + " ")
    done = graded(room)
    assert (done.ran, done.kept) == (1, 1)
    (entry,) = done.results.history
    assert (entry["student"], entry["old"]["points"], entry["new"]["points"]) == ("ben", 0, 1)
    assert graded(room).ran == 0
    assert len(results.read(room / "g.results.json", KEY).history) == 1


def test_an_attempt_that_was_stopped_is_run_again(box, room, monkeypatch):
    hand_in(room, ana=RIGHT, ben=WRONG)
    run = box.run
    monkeypatch.setattr(box, "run", lambda job: Answer((), "It was still running.", 0.0, None))
    assert [record.marks[SIZE.id].status for record in graded(room).results.records] == ["stopped"] * 2
    monkeypatch.setattr(box, "run", run)
    done = graded(room)
    assert (done.ran, mark_of(done, "ana").status, mark_of(done, "ben").status) == (2, "passed", "not yet")


def test_the_roster_lists_everyone_and_times_come_from_the_instructor_alone(box, room):
    hand_in(room, ana=RIGHT, ben=RIGHT, cy=RIGHT, zed=RIGHT)
    (room / "in" / "di").mkdir()
    (room / "in" / "di" / "x.ipynb").write_text("nonsense")
    (room / "r.csv").write_text("id,name,email,extension\ndi,Di,,\nben,Ben,b@x.org,+2d\nana,Ana,,\ncy,Cy,,\nno,No,,\n")
    (room / "t.csv").write_text("id,time\nana,2026-12-25T18:00\nben,2026-12-25T18:00\n")
    graded(room, roster=room / "r.csv", times=room / "t.csv")
    said = {id: (row["name"], row["handed_in"], row["total"]) for id, row in table(room).items()}
    assert list(said) == ["di", "ben", "ana", "cy", "no", "zed"]
    assert said == {
        **{"ana": ("Ana", "late by 1 d", "1"), "ben": ("Ben", "on time", "1"), "cy": ("Cy", "n/a", "1")},
        **{"di": ("Di", "n/a", ""), "no": ("No", "missing", ""), "zed": ("", "n/a", "1")},
    }
    assert "not JSON" in table(room)["di"]["problem"] and "not JSON" in page(room, "di")
    assert "No submission was found" in page(room, "no")
    assert "Not on the roster" in page(room, "zed")


def test_who_bears_the_id_comes_before_who_took_the_name(box, room):
    (room / "r.csv").write_text("id,name\n101,Ana Sol\n102,Ben Low\n")
    for folder in (
        "x_101_assignsubmission_file_",
        "Ana Sol_999_assignsubmission_file_",
        "Ben Low_888_assignsubmission_file_",
    ):
        class_maker.write(
            room / "in", folder, class_maker.filled(KEY, {SIZE.id: RIGHT if "Ana" not in folder else WRONG})
        )
    graded(room, roster=room / "r.csv", gradebook="moodle")
    assert {id: row["total"] for id, row in table(room).items()} == {"101": "1", "102": "1", "999": "0"}
    assert "Participant 888,Ben Low,,1,1,-" in (room / "g.moodle.csv").read_text()


def test_nobody_voids_a_neighbours_mark_by_a_file_that_bears_the_address_or_the_id_in_capitals(box, room):
    (room / "r.csv").write_text("id,name,email\nann,Ann Lee,ann@x.org\nben,Ben Low,ben@x.org\n")
    hand_in(room, ann=RIGHT, ANN=WRONG, **{"ann@x.org": WRONG, "ben@x.org": RIGHT})
    graded(room, roster=room / "r.csv")
    assert {id: row["total"] for id, row in table(room).items()} == {
        "ann": "1",
        "ben": "1",
        "ANN": "0",
        "ann@x.org": "0",
    }


def test_what_students_write_is_text_on_every_page(box, room):
    evil = "<script>alert(1)</script>\x1b[31m\u202e"
    (room / "in").mkdir()
    hand_in(room, **{"<img src=x>": f"print({evil!r})\n" + WRONG + f"\nraise ValueError({evil!r})"})
    graded(room)
    (mine,) = (room / "fb").iterdir()
    assert mine.name.startswith("img-src-x-")
    for path in (mine, room / "g.class.html"):
        text = path.read_text()
        assert "<script" not in text and "<img" not in text and "\x1b" not in text and "\u202e" not in text
    assert "&lt;script&gt;" in mine.read_text()


def test_page_names_are_safe_and_unique():
    ids = ["ana", "ANA", "../x", "..", "class", "con", "a b", "a  b", "x" * 200, "é", "", "ok.name@x.org"]
    names = feedback.file_names(ids)
    assert len({name.casefold() for name in names}) == len(ids)
    assert all(name.isascii() and "/" not in name and not name.startswith(".") and len(name) < 100 for name in names)
    assert names[-1] == "ok.name@x.org.html"
    [victim] = feedback.file_names(["é"])
    assert feedback.file_names(["é", victim.removesuffix(".html")])[1] != victim, "an id chosen to take another's page"


@pytest.mark.parametrize(
    "points, most, counts", [([0, 10, 10, 5, 9.99], 10, {0: 1, 5: 1, 9: 3}), ([], 10, {}), ([0], 0, {0: 1})]
)
def test_the_histogram_counts_full_points_in_the_last_bar(points, most, counts):
    bins = classroom.histogram(points, most)
    assert {place: one.count for place, one in enumerate(bins) if one.count} == counts
    assert all(0 <= one.height <= 1 for one in bins)


LONG = """
def my_conv2d(x, w, b):
    '''Mine.'''
    rows = x.shape[1] - w.shape[2] + 1
    out = torch.zeros(len(w), rows, rows)
    for i in range(rows):
        for j in range(rows):
            out[:, i, j] = (w * x[:, i : i + 2, j : j + 2]).sum() + b
    return out
"""
SAME = (
    LONG.replace("rows", "height")
    .replace("out", "result")
    .replace("'''Mine.'''", "# other words")
    .replace(" + 1", "+1")
)


def test_attempts_are_alike_whatever_their_names_comments_and_spacing():
    assert likeness(LONG, {"torch"}) == likeness(SAME, {"torch"}) != ""
    for other in (LONG.replace("+ b", "- b"), LONG.replace("sum", "mean"), LONG.replace("torch", "numpy")):
        assert likeness(other, {"torch", "numpy"}) != likeness(LONG, {"torch", "numpy"})
    assert likeness(RIGHT) == ""
    for strange in ("(" * 50_000, "'''", "\0", "\t x\n y", "x" * 90_000, "lambda:" * 10_000):
        likeness(strange)


def test_no_text_takes_the_square_of_its_length(monkeypatch):
    steps = []
    tokens = tokenize.generate_tokens
    monkeypatch.setattr(tokenize, "generate_tokens", lambda read: (steps.append(one) or one for one in tokens(read)))
    likeness("'" + "\\'" * 2_000)  # each quote would be read to the end of the text
    assert len(steps) < 10
    assert running._imported("\n" * 99_000) == set()


@pytest.mark.parametrize("line", ["import math, torch", "import math; import torch", "if 1: from torch import nn"])
def test_a_heavy_library_is_found_wherever_in_a_line_it_is_imported(line):
    task = running.Task(SIZE.id, "my_output_size", 1, Program(f"{line}\n{RIGHT}\n", 0, ()))
    [(modules, _)] = running._groups({SIZE.id: SIZE}, [task])
    assert modules == ((), ("torch",))


def test_attempts_that_are_alike_are_for_the_instructor_alone(box, room, monkeypatch):
    monkeypatch.setattr("course_utils.teach.likeness._FEWEST_TOKENS", 5)
    hand_in(room, ana=RIGHT, ben=RIGHT.replace("n,", "m,").replace("(n", "(m"), cy=WRONG)
    graded(room)
    assert "ana, ben" in (room / "g.class.html").read_text()
    assert "ben" not in page(room, "ana")


PROGRAMS = Programs(WHOLE)


def program(id, text, **earlier):
    texts = {f"week03.{name}": one for name, one in earlier.items()} | {id: text}
    return PROGRAMS.build(id, texts)


def test_a_program_has_the_notebooks_imports_that_the_attempt_uses_and_no_more():
    made = program("week03.conv2d", "def my_conv2d(x, w, b):\n    return torch.conv2d(x[None], w, b)[0]")
    assert made.code.startswith("import torch\n") and made.modules == ("torch",)
    assert "course" not in made.code and "matplotlib" not in made.code
    assert (
        made.lines_before == made.code.index("def my_conv2d")
        and made.lines_before
        or made.code.split("\n")[made.lines_before].startswith("def")
    )
    assert program("week03.output_size", RIGHT).code == RIGHT + "\n"


def test_an_import_from_the_future_may_stand_in_an_attempts_cell():
    text = "# mine\nfrom __future__ import annotations\ndef my_conv2d(x: Missing):\n    return torch.ones(x)"
    made, names = program("week03.conv2d", text), {}
    exec(compile(made.code, "x", "exec", dont_inherit=True), names)
    assert names["my_conv2d"](2).tolist() == [1, 1]
    assert made.code.split("\n")[made.lines_before :][:3] == ["# mine", "pass", "def my_conv2d(x: Missing):"]


def test_an_attempt_may_use_the_students_earlier_one_even_where_that_is_broken():
    text = "def my_softmax_gradient(z, y):\n    return cross_entropy(z, y)"
    made = program("week03.softmax_gradient", text, cross_entropy="def my_cross_entropy(z, y):\n    return z + y")
    names = {}
    exec(made.code, names)
    assert names["my_softmax_gradient"](1, 2) == 3
    assert made.code.split("\n")[made.lines_before] == text.split("\n")[0]
    broken = program("week03.softmax_gradient", text, cross_entropy="def my_cross_entropy(:")
    exec(broken.code, {})
    unused = program(
        "week03.softmax_gradient", "def my_softmax_gradient(z, y):\n    return z.cross_entropy", cross_entropy="boom"
    )
    assert "boom" not in unused.code


def test_the_lines_of_a_public_case_are_those_of_the_attempt(box, room):
    outcome = Outcome(error="ValueError", error_kinds=("ValueError",), error_text="no", own=True, line=7, line_text="x")
    prepared = prepare(KEY, SIZE, 1)
    said = marks.shown(prepared, Answer((outcome,) * len(prepared.public_cases), "", 0.0, None), 5)
    assert "in line 2 of your code" in said.message
    broken = replace(outcome, error="SyntaxError", error_text="no syntax (<submission>, line 7)", line_text="")
    said = marks.shown(prepared, Answer((broken,) * len(prepared.public_cases), "", 0.0, None), 5)
    assert said.message == "It raised SyntaxError: no syntax, in line 2 of your code."


@pytest.mark.parametrize(
    "change, sentence",
    [
        ({"out": "none/g.csv"}, "none/g.csv cannot be written"),
        ({"out": "g.txt"}, "Name a CSV file"),
        ({"submissions": "none"}, "neither a folder nor a zip"),
        ({"submissions": "empty"}, "no notebooks in"),
        ({"key": "in/ana/answer.ipynb"}, "is not the key of a release"),
        ({"key": "none.key"}, "cannot be read"),
        ({"roster": "none.csv"}, "none.csv cannot be read"),
        ({"times": "x.key"}, "has no column 'id'"),
        ({"feedback": "x.key"}, "The folder .*x.key cannot be made"),
        ({"feedback": "x.key/pages"}, "The folder .*pages cannot be made"),
    ],
)
def test_what_is_wrong_is_one_sentence_before_anything_is_run_or_written(box, room, change, sentence):
    hand_in(room, ana=RIGHT)
    (room / "empty").mkdir()
    before = sorted(room.rglob("*"))
    options = {"key": "x.key", "submissions": "in", "out": "g.csv"} | change
    with pytest.raises(CourseError, match=sentence):
        grade(Options(**{name: room / path for name, path in options.items()}))
    assert (box.jobs, sorted(room.rglob("*"))) == ([], before)


@pytest.mark.parametrize(
    "options, sentence",
    [({"new_round": True}, "no earlier grading"), ({"jobs": 0}, "--jobs is 0"), ({"gradebook": "x"}, "no gradebook")],
)
def test_wrong_options_are_one_sentence(box, room, options, sentence):
    hand_in(room, ana=RIGHT)
    with pytest.raises(CourseError, match=sentence):
        graded(room, **options)
    assert not box.jobs


def test_changed_results_are_not_built_upon(box, room):
    hand_in(room, ana=WRONG)
    graded(room)
    path = room / "g.results.json"
    path.write_text(path.read_text().replace('"points": 0.0', '"points": 1.0'))
    with pytest.raises(CourseError, match="was changed after it was written"):
        graded(room)


def test_without_a_sandbox_nothing_is_run(box, room, monkeypatch):
    monkeypatch.setattr(sandbox, "refusal", lambda: "There is no sandbox here: sudo apt install bubblewrap.")
    hand_in(room, ana=RIGHT)
    before = sorted(room.rglob("*"))
    with pytest.raises(CourseError, match="bubblewrap"):
        graded(room)
    assert (box.jobs, sorted(room.rglob("*"))) == ([], before)


def test_a_value_that_cannot_be_judged_keeps_nobody_else_from_being_graded(box, room, monkeypatch):
    def judge(prepared, answer, points, real=marks.hidden_mark):
        if answer.outcomes[0].value == 1e9:
            raise ValueError("a value that nobody thought of")
        return real(prepared, answer, points)

    monkeypatch.setattr(marks, "hidden_mark", judge)
    hand_in(room, ana="def my_output_size(*args):\n    return 1e9", ben=RIGHT)
    done = graded(room)
    assert (mark_of(done, "ana").status, mark_of(done, "ben").status) == ("stopped", "passed")
    assert "could not be compared" in page(room, "ana")


def test_an_import_that_the_sandbox_refuses_to_share_is_no_reason_to_stop(box, room, monkeypatch):
    asked, allowed = [], sandbox.open_sandbox

    def opened(modules=(), jobs=1):
        asked.append(modules)
        if "pandas" in modules:
            raise CourseError("starts a thread")
        return allowed(modules, jobs)

    monkeypatch.setattr(sandbox, "open_sandbox", opened)
    hand_in(room, ana="import pandas\n" + RIGHT)
    assert mark_of(graded(room), "ana").status == "passed"
    assert asked == [("pandas",), ()]


def test_only_those_who_use_a_heavy_library_pay_for_its_forks(box, room, monkeypatch):
    asked, allowed = [], sandbox.open_sandbox

    def opened(modules=(), jobs=1):
        asked.append((modules, len(box.jobs)))
        return allowed(modules, jobs)

    monkeypatch.setattr(sandbox, "open_sandbox", opened)
    hand_in(room, ana="import torch\n" + RIGHT, ben=RIGHT, cy="import numpy\n" + RIGHT)
    assert {mark_of(graded(room), name).status for name in ("ana", "ben", "cy")} == {"passed"}
    assert asked == [(("numpy",), 0), (("torch",), 2)]


def test_a_grading_that_fails_leaves_no_empty_journal(box, room, monkeypatch):
    def opened(modules=(), jobs=1):
        raise CourseError("The sandbox does not start.")

    monkeypatch.setattr(sandbox, "open_sandbox", opened)
    hand_in(room, ana=RIGHT)
    before = sorted(room.rglob("*"))
    with pytest.raises(CourseError, match="does not start"):
        graded(room)
    assert sorted(room.rglob("*")) == before


def need_sandbox():
    reason = sandbox.refusal()
    if reason and not os.environ.get("CI"):
        pytest.skip(reason)
    assert reason is None, reason


@pytest.mark.slow
def test_right_answers_in_every_style_get_full_points_and_known_mistakes_their_sentence(tmp_path):
    need_sandbox()
    write_key(tmp_path / "x.key", WHOLE)
    styles, wrong = class_maker.right_answers("week03"), {id: class_maker.mistakes(one) for id, one in WEEK.items()}
    for number in range(max(map(len, styles.values()))):
        texts = {id: several[number % len(several)] for id, several in styles.items()}
        class_maker.write(tmp_path / "in", f"right-{number}", class_maker.filled(WHOLE, texts))
    for number in range(max(map(len, wrong.values()))):
        texts = {id: several[number % len(several)] for id, several in wrong.items()}
        class_maker.write(tmp_path / "in", f"wrong-{number}", class_maker.filled(WHOLE, texts))
    class_maker.write(tmp_path / "in", "stub", class_maker.filled(WHOLE, {}))
    done = grade(Options(tmp_path / "x.key", tmp_path / "in", tmp_path / "g.csv", tmp_path / "fb"))
    for record in done.results.records:
        for id, mark in record.marks.items():
            kind, _, number = record.id.partition("-")
            if kind == "right":
                assert (mark.status, mark.points) == ("passed", WEEK[id].points), (record.id, id, mark)
            elif kind == "wrong":
                message = WEEK[id].mistakes[int(number) % len(WEEK[id].mistakes)].message
                assert (mark.mistake, mark.points < WEEK[id].points) == (message, True), (record.id, id, mark)
            else:
                assert (mark.status, mark.points) == ("not attempted", 0)


GRADE = [sys.executable, "-c", "from course_utils.cli import main; main()", "grade"]


@pytest.mark.slow
def test_a_grading_killed_again_and_again_loses_no_mark_and_doubles_none(tmp_path):
    need_sandbox()
    write_key(tmp_path / "x.key", KEY)
    wrong = "def my_output_size(n, k, p, s):\n    return (n + 2 * p - k) // s + {}"
    for number in range(50):
        class_maker.write(tmp_path / "in", f"s{number:03}", class_maker.filled(KEY, {SIZE.id: wrong.format(number)}))
    command = [*GRADE, "--key", str(tmp_path / "x.key"), str(tmp_path / "in"), "--out", str(tmp_path / "g.csv")]
    journal, chance, seen = tmp_path / "g.journal", random.Random(3), 0
    for _ in range(8):
        running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        wait_for(functools.partial(has_grown, journal, seen), running)
        time.sleep(chance.uniform(0, 0.05))
        running.send_signal(signal.SIGKILL)
        running.communicate()
        seen = journal.stat().st_size if journal.exists() else seen
    rows = [json.loads(line.partition(" ")[2]) for line in journal.read_text().splitlines() if line.endswith("}")]
    kept = [row["mark"]["run_sha256"] for row in rows]
    assert len(kept) == len(set(kept)) >= 8
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert f"{50 - len(kept)} attempts run, {len(kept)} kept from before" in done.stdout
    assert not journal.exists()
    finished = results.read(tmp_path / "g.results.json", KEY)
    points = [record.points for record in finished.records]
    assert (len(points), sum(points), finished.history) == (50, 1, ())


def has_grown(path, size):
    return path.exists() and path.stat().st_size > size


def wait_for(condition, process, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)


@pytest.mark.slow
def test_an_interrupt_ends_a_grading_at_once_and_what_was_marked_is_kept(tmp_path):
    need_sandbox()
    write_key(tmp_path / "x.key", KEY)
    class_maker.write(tmp_path / "in", "aa", class_maker.filled(KEY, {SIZE.id: RIGHT}))
    for number in range(3):
        text = f"while True:\n    pass  # {number}"
        class_maker.write(tmp_path / "in", f"s{number}", class_maker.filled(KEY, {SIZE.id: text}))
    command = [*GRADE, "--key", str(tmp_path / "x.key"), str(tmp_path / "in"), "--out", str(tmp_path / "g.csv")]
    running = subprocess.Popen([*command, "--jobs", "2"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    journal = tmp_path / "g.journal"
    wait_for(functools.partial(has_grown, journal, 0), running)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)
    assert (running.returncode, said.count("\n")) == (130, 1) and said.startswith("course: stopped."), said
    assert journal.read_text().count("\n") == 1


@pytest.mark.slow
def test_the_command_line_says_one_sentence_and_ends_with_the_right_status(tmp_path):
    need_sandbox()
    write_key(tmp_path / "x.key", KEY)
    class_maker.write(tmp_path / "in", "ana", class_maker.filled(KEY, {SIZE.id: RIGHT}))
    key, out = ["--key", str(tmp_path / "x.key")], ["--out", str(tmp_path / "g.csv")]

    def run(*words):
        done = subprocess.run([*GRADE, *map(str, words)], capture_output=True, text=True, timeout=120)
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout + done.stderr

    assert run(*key, tmp_path / "in", *out)[0] == 0
    assert run(*key, "--verify", tmp_path / "g.results.json")[0] == 0
    (tmp_path / "g.results.json").write_text((tmp_path / "g.results.json").read_text().replace("ana", "ann"))
    status, said = run(*key, "--verify", tmp_path / "g.results.json")
    assert status == 1 and "NOT as `course grade` wrote it" in said
    for words in (
        [*key],
        [*key, tmp_path / "in", "--verify", "x"],
        [*key, tmp_path / "no"],
        ["--key", "no", tmp_path / "in"],
    ):
        assert run(*words, *out)[0] == 2


@pytest.mark.slow
def test_a_cell_that_fails_after_the_definition_counts_as_in_a_notebook(tmp_path):
    need_sandbox()
    write_key(tmp_path / "x.key", KEY)
    texts = {"after": RIGHT + "\nmy_output_size(undefined, 1, 1, 1)", "before": "undefined\n" + RIGHT}
    for student, text in texts.items():
        class_maker.write(tmp_path / "in", student, class_maker.filled(KEY, {SIZE.id: text}))
    grade(Options(tmp_path / "x.key", tmp_path / "in", tmp_path / "g.csv", tmp_path / "fb"))
    assert {id: row["total"] for id, row in table(tmp_path).items()} == {"after": "1", "before": "0"}
    assert "NameError" in page(tmp_path, "before") and "in line 1 of your code" in page(tmp_path, "before")

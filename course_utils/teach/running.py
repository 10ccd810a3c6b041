"""Runs attempts in the sandbox, several at a time, and marks what comes out."""

import hashlib
import re
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from course_utils.errors import CourseError
from course_utils.learn.verdict import NOT_ATTEMPTED, PASSED
from course_utils.teach import marks
from course_utils.teach.cases import prepare
from course_utils.teach.program import Program, importable

_IMPORT = re.compile(r"(?:^|[;:])[ \t]*(?:import|from)[ \t]+([^\n;#]*)", re.MULTILINE)  # \s would reread empty lines
# What a student may import in place of what the exercise has in mind: loaded once, where anyone does.
_HEAVY = {
    **{name: (name,) for name in ("numpy", "pandas", "torch", "torchvision", "matplotlib")},
    "scipy": ("scipy.special", "scipy.stats", "scipy.optimize"),
    "fastai": ("fastai.vision.all",),
    "transformers": ("transformers",),
    "sklearn": ("sklearn.linear_model", "sklearn.metrics", "sklearn.neighbors", "sklearn.preprocessing"),
}
_LIGHT = {"numpy", *sys.stdlib_module_names}


@dataclass(frozen=True)
class Task:
    """One attempt to run; students whose code for an exercise is the same share it."""

    exercise_id: str
    name: str
    points: int
    program: Program

    @property
    def place(self):
        """What its mark is kept by: it depends on nothing else in one round."""
        return self.exercise_id, sha256(self.program.code)


def sha256(text):
    """Hex sha256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def run(key, exercises, tasks, round, jobs, done):
    """Mark every task; `done(place, mark)` is called for each as soon as it is there, in any order.

    Raises CourseError where an exercise's own reference fails.
    """
    prepared = {id: prepare(key, exercises[id], round) for id in dict.fromkeys(one.exercise_id for one in tasks)}
    for modules, group in _groups(exercises, tasks):
        with _opened(*modules, jobs) as box:
            _run_all(box, exercises, prepared, group, jobs, done)


def _run_all(box, exercises, prepared, tasks, jobs, done):
    pool = ThreadPoolExecutor(jobs)
    try:
        waiting = {
            pool.submit(mark, box, exercises[one.exercise_id], prepared[one.exercise_id], one): one for one in tasks
        }
        for future in as_completed(waiting):
            done(waiting[future].place, future.result())
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _groups(exercises, tasks):
    """The tasks that share a sandbox, with what it imports: a fork of a process that holds torch costs five times one
    that does not, so those that need no more than numpy come first and by themselves."""
    groups = {True: ({}, {}, []), False: ({}, {}, [])}
    for one in tasks:
        needed = dict.fromkeys(filter(importable, (*exercises[one.exercise_id].needs, *one.program.modules)))
        roots = sorted(_imported(one.program.code) & _HEAVY.keys())
        wished = dict.fromkeys(name for root in roots for name in _HEAVY[root] if importable(name))
        is_light = {name.partition(".")[0] for name in needed | wished} <= _LIGHT
        for known, more in zip(groups[is_light], (needed, wished), strict=False):
            known |= more
        groups[is_light][2].append(one)
    return [((tuple(needed), tuple(wished)), group) for needed, wished, group in groups.values() if group]


def _imported(code):
    """The names in import statements, those of several in one line too."""
    return set(re.findall(r"\w+", " ".join(_IMPORT.findall(code))))


@contextmanager
def _opened(needed, wished, jobs):
    """A sandbox that has imported what the exercises need, and what students import where it takes that too."""
    from course_utils.teach.sandbox import open_sandbox

    with ExitStack() as stack:
        try:
            box = stack.enter_context(open_sandbox(tuple(dict.fromkeys((*needed, *wished))), jobs))
        except CourseError:
            if not wished:
                raise
            box = stack.enter_context(open_sandbox(needed, jobs))
        yield box


def mark(box, exercise, prepared, task):
    """The `Mark` of one attempt.

    The public cases run by themselves and after the hidden ones, in a process that never held those: an attempt could
    otherwise write what it saw into what is shown of a public case.
    """
    answer = box.run(_job(exercise, task, prepared.hidden_cases))
    found = _judged(marks.hidden_mark, prepared, answer, task.points) or marks.incomparable(task.points)
    found = replace(found, run_sha256=task.place[1], seconds=round(answer.seconds, 3))
    if found.status in (PASSED, NOT_ATTEMPTED, marks.STOPPED):
        return found
    public = box.run(_job(exercise, task, prepared.public_cases))
    return replace(found, shown=_judged(marks.shown, prepared, public, task.program.lines_before))


def _judged(judge, *given):
    """What it makes of an answer, None where that fails: no student's value may keep others' from being graded."""
    try:
        return judge(*given)
    except Exception:
        return None


def _job(exercise, task, cases):
    from course_utils.teach.sandbox import Job

    return Job(exercise=exercise, code=task.program.code, name=task.name, cases=cases)

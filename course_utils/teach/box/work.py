"""Inside the sandbox: executes a submission's code and runs the attempt on the cases, as `check` does."""

import inspect
import linecache
import os
import sys
import time
import types
from contextlib import redirect_stdout
from dataclasses import replace

from course_utils.learn import wire
from course_utils.learn.attempt import outcomes
from course_utils.learn.exercise import Case, Exercise
from course_utils.learn.guard import Printed, TimeUp, bounded, seed
from course_utils.learn.outcome import Outcome, raised

FILE = "<submission>"
# Below the course's folder, so that a line of the drive does not count as the learner's own.
_DRIVE_FILE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "drive.py")
_LONGEST_REQUEST = 2**31


def perform(request, reply):
    """Reads the job from one descriptor and writes the outcomes, as `wire` encodes them, to the other."""
    with open(request, "rb") as file:
        job = wire.decode(file.read(), _LONGEST_REQUEST)
    answers = _answers(job)
    with open(reply, "wb") as file:
        file.write(_message(answers, job["reply_bytes"]))


def _message(answers, limit_bytes):
    try:
        return wire.encode([vars(answer) for answer in answers], limit_bytes)
    except wire.WireError:
        share = limit_bytes // (len(answers) + 1)
        return wire.encode([vars(_shortened(answer, share)) for answer in answers], limit_bytes)


def _shortened(answer, limit_bytes):
    try:
        wire.encode(vars(answer), limit_bytes)
    except wire.WireError as problem:
        return replace(answer, value=None, problem=f"Its answer is too large to be graded: {problem}.")
    return answer


def _answers(job):
    started, cases = time.monotonic(), [Case(tuple(args), kwargs) for args, kwargs in job["cases"]]
    seed(0)
    module = sys.modules["__main__"] = types.ModuleType("__main__")
    module.display = print  # a notebook has it without an import
    try:
        with redirect_stdout(Printed()):
            bounded(lambda: _execute(job["code"], vars(module)), job["seconds"])
    except TimeUp:
        late = f"The code around it was still running after {job['seconds']:g} seconds and was stopped."
        return [Outcome(problem=late)]
    except BaseException as error:
        # As in a notebook, a cell that fails leaves what it has defined.
        if not isinstance(error, Exception) or job["name"] not in vars(module):
            return [_broken(error)] * len(cases)
    name, missing = job["name"], Outcome(problem=f"The code does not define `{job['name']}`.")
    if name not in vars(module):
        return [missing] * len(cases)
    left = max(0.1, round(job["seconds"] - (time.monotonic() - started), 1))
    return outcomes(_exercise(job), vars(module)[name], cases, left)


def _execute(code, namespace):
    linecache.cache[FILE] = len(code), None, code.splitlines(keepends=True), FILE
    exec(compile(code, FILE, "exec", dont_inherit=True), namespace)


def _broken(error):
    """The Outcome of code that could not even be executed."""
    outcome = replace(raised(error, None), untouched=False)
    if isinstance(error, SyntaxError) and error.filename == FILE:
        return replace(outcome, own=True, line=error.lineno)
    return outcome


def _exercise(job):
    """The exercise as far as running needs it: a function with the reference's parameters stands for the reference."""

    def reference(*args, **kwargs):
        raise NotImplementedError

    reference.__name__ = job["reference"]
    reference.__signature__ = inspect.Signature([_parameter(*facts) for facts in job["parameters"]])
    options = {"in_place": job["in_place"], "value": job["value"]}
    built = Exercise("box.exercise", reference, 0, 0, 1, (), (), **options)
    if job["drive"]:
        namespace = {"__name__": "drive"}
        exec(compile(job["drive"], _DRIVE_FILE, "exec", dont_inherit=True), namespace)
        built.drive(namespace["drive"])
    return built


def _parameter(name, kind, optional):
    empty = inspect.Parameter.empty
    return inspect.Parameter(name, inspect._ParameterKind(kind), default=None if optional else empty)

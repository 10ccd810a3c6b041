"""What goes into the sandbox for a job, and what may come out of it."""

import ast
import dataclasses
import inspect
import keyword
import textwrap

from course_utils.errors import CourseError
from course_utils.learn import wire
from course_utils.learn.outcome import Outcome
from course_utils.run.modes import imports

_LONGEST_TEXT = 200
_MOST_PRINTED = 2_000  # as in `check`
_MOST_KINDS = 20
_MOST_BYTES = 2**31


def request(job, limits):
    """The job as bytes: the inputs of its cases without their notes, and of the exercise only how it is called.

    Raises CourseError where an input is of a type, or the drive of a form, that cannot enter the sandbox.
    """
    try:
        return wire.encode(_facts(job, limits), _MOST_BYTES, known_only=True)
    except wire.WireError as problem:
        said = f"The cases of {job.exercise.id} cannot enter the sandbox: {problem}. "
        raise CourseError(f"{said}Give its drive plain values to build them from.") from None
    except (OSError, SyntaxError, TypeError, ValueError) as problem:
        said = f"The drive of {job.exercise.id} cannot be read ({problem}). "
        raise CourseError(f"{said}Write it as one function, in the file of the exercise.") from None


def _facts(job, limits):
    exercise = job.exercise
    return {
        "code": job.code,
        "name": job.name,
        "cases": [[list(case.args), dict(case.kwargs)] for case in job.cases],
        "reference": exercise.reference.__name__,
        "parameters": _parameters(exercise.reference),
        "drive": _drive_source(exercise),
        "in_place": exercise.in_place,
        "value": exercise.value,
        "seconds": limits.seconds,
        "reply_bytes": limits.reply_bytes,
    }


def _parameters(reference):
    parameters = inspect.signature(reference).parameters.values()
    return [[one.name, int(one.kind), one.default is not one.empty] for one in parameters]


def _drive_source(exercise):
    """The drive as a function named `drive`, after the imports of its module that it uses; "" without a drive."""
    drive = exercise.parts.get("drive")
    if drive is None:
        return ""
    [function] = ast.parse(textwrap.dedent(inspect.getsource(drive))).body
    function.decorator_list, function.name = [], "drive"
    code = ast.unparse(function)
    return "\n".join([*imports(drive, code), code])


def outcomes(reply, job, limits):
    """The reply's outcomes; raises WireError where it is not exactly a list of them, no longer than the cases."""
    told = wire.decode(bytes(reply), limits.reply_bytes)
    _insist(type(told) is list and len(told) <= len(job.cases))
    lines = job.code.splitlines()
    return tuple(_outcome(one, lines) for one in told)


def _outcome(told, lines):
    names = {field.name: field for field in dataclasses.fields(Outcome)}
    _insist(type(told) is dict and told.keys() == names.keys())
    for name, field in names.items():
        if type(field.default) in (str, bool):
            _insist(type(told[name]) is type(field.default))
    texts = {name: _clean(told[name], _LONGEST_TEXT) for name, field in names.items() if type(field.default) is str}
    line = told["line"] if type(told["line"]) is int and 1 <= told["line"] <= len(lines) else None
    return Outcome(
        **told
        | texts
        | {"line": line, "line_text": lines[line - 1].strip() if line and told["line_text"] else ""}
        | {"error_kinds": _kinds(told["error_kinds"]), "printed": _clean(told["printed"], _MOST_PRINTED, "\n\t")}
    )


def _kinds(told):
    _insist(type(told) is tuple and len(told) <= _MOST_KINDS)
    _insist(all(type(name) is str and name.isidentifier() and not keyword.iskeyword(name) for name in told))
    return tuple(name[:_LONGEST_TEXT] for name in told)


def _clean(text, longest, kept=""):
    return "".join(one for one in text[:longest] if one.isprintable() or one in kept)


def _insist(condition):
    if not condition:
        raise wire.WireError("no outcomes")

"""An instructor's own exercises as a release carries them: cases and what comes of them, but no solution.

The file is JSON. Under each id stand the exercise's facts, the source of its drive, and `values`: the cases, the
expected outcomes and those of each known mistake, as `wire` encodes them, in base64.
"""

import base64
import importlib
import json
from difflib import get_close_matches

from course_utils.errors import CourseError
from course_utils.learn.exercise import Case, Exercise, Mistake
from course_utils.learn.outcome import Outcome

FORMAT = 1
FACTS = ("points", "minutes", "difficulty", "relative", "absolute", "in_place")
RECORDED = ("value", "error", "changed", "returned_none")  # what comparing needs of an Outcome


def find(id, release):
    """The own exercise with this id of a release, which is an `Assignment` or None.

    Raises CourseError where no file beside the notebook has it.
    """
    if release is None or release.own is None:
        raise CourseError(f"{id} is an instructor's own exercise. Check it in the notebook of its release.")
    known = _load(release.path.with_name(release.own))
    if id not in known:
        near = get_close_matches(id, known, n=1, cutoff=0.0)
        raise CourseError(f"There is no exercise {id!r} in {release.own}; the nearest is {near}.")
    try:
        return from_entry(id, known[id])
    except (KeyError, TypeError, ValueError, AttributeError, SyntaxError) as error:
        raise _damaged(release.own, error) from None


def _load(path):
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] == FORMAT and isinstance(content["exercises"], dict):
            return content["exercises"]
    except OSError as error:
        raise CourseError(
            f"The file {path.name} cannot be read ({error.strerror}). It belongs beside the notebook: unpack it again."
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(path.name, error) from None
    raise CourseError(f"{path.name} is of another format than {FORMAT}. Install the version of the course it names.")


def _damaged(name, error):
    return CourseError(
        f"{name} is damaged ({type(error).__name__}: {error}). Take it anew from the zip of the release."
    )


def from_entry(id, entry):
    """The `Exercise` in one entry of the file; whatever its damage makes Python raise is raised."""
    from course_utils.learn import wire

    for name in entry["needs"]:  # the values are of their types
        importlib.import_module(name)
    values = wire.decode(base64.b64decode(entry["values"]))
    cases = [Case(tuple(args), kwargs, note) for args, kwargs, note in values["cases"]]
    reference = _stub(entry["name"], entry["parameters"])
    mistakes = [Mistake(message, _stub(entry["name"], entry["parameters"])) for message in entry["mistakes"]]
    made = Exercise(
        id, reference, needs=tuple(entry["needs"]), hints=tuple(entry["hints"]), **{key: entry[key] for key in FACTS}
    )
    made.mistakes.extend(mistakes)
    tables = [values["expected"], *values["mistakes"]]
    functions = [reference, *(mistake.solution for mistake in mistakes)]
    outcomes = [[_outcome(row) for row in rows] for rows in tables]
    made.parts["recorded"] = dict(zip(functions, outcomes, strict=True))
    made.parts["cases"] = lambda rng: cases
    made.parts["earned_by_constant"] = entry["earned_by_constant"]
    if entry["drive"]:
        made.parts["drive"] = _executed(entry["drive"], "drive")
    return made


def _stub(name, parameters):
    return _executed(f"def {name}({parameters}):\n    raise NotImplementedError", name)


def _executed(source, name):
    """The function of this name in this source."""
    names = {}
    exec(compile(source, f"<{name}>", "exec"), names)
    return names[name]


def _outcome(row):
    return Outcome(**dict(zip(RECORDED, row, strict=True)))

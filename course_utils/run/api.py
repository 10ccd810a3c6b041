"""Check a lesson's calls against the libraries that are installed, so that a learner never meets what they dropped."""

import ast
import logging
import sys
import warnings
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass

from course_utils.bars import bar
from course_utils.errors import CourseError
from course_utils.run import api_calls, api_marks, api_source
from course_utils.run.api_walk import walk
from course_utils.run.cells import Problem, load, print_problems


@dataclass(frozen=True)
class Checked:
    """A lesson's calls of libraries: `partly` names keywords that go where nobody can follow, `unknown` the calls not resolved."""

    problems: tuple[Problem, ...]
    calls: int
    partly: tuple[str, ...]
    unknown: tuple[str, ...]


def check(path):
    """The `Checked` of the notebook at `path`; its libraries are imported, its cells do not run.

    Raises CourseError where the file is no notebook, or a library is not installed.
    """
    notebook = load(path)
    with _quiet():
        found = _walk(notebook)
        problems = [Problem("name", text, cell) for cell, text in dict.fromkeys(found.missing)]
        problems += _by_name(found)
        known = [one for one in found.calls if one.value is not None and not one.value.is_own]
        partly = []
        for call in known:
            problems += _problems(call, partly)
    unknown = [f"cell {one.cell}: {_shown(one.node)}" for one in found.calls if one.value is None]
    return Checked(tuple(sorted(problems, key=lambda one: one.cell)), len(known), tuple(partly), tuple(unknown))


@contextmanager
def _quiet():
    """Without what libraries warn of when they are imported: it is not about the lesson."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.ERROR)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)


def _walk(notebook):
    try:
        return walk(notebook)
    except ModuleNotFoundError as error:
        extra = (notebook.metadata.get("course") or {}).get("extra")
        command = f"make extra NAME={extra}" if extra else "make lab"
        raise CourseError(
            f"{notebook.lesson} imports {error.name}, which is not installed, so its calls cannot be checked. Type: {command}"
        ) from None


def _by_name(found):
    """Methods of objects whose class is not known, where no library has such a method but a deprecated one."""
    packages = frozenset(found.packages - set(sys.stdlib_module_names))
    for cell, name in dict.fromkeys(found.unknown):
        words = None if name in found.defined else api_marks.method(name, packages)
        if words:
            yield Problem("deprecated", f".{name} is deprecated: {words}", cell)


def _problems(call, partly):
    value, node = call.value, call.node
    words = api_marks.whole(value)
    if words:
        yield Problem("deprecated", f"{value.name} is deprecated: {words}", call.cell)
    count = api_calls.arguments(value, node)
    if count:
        yield Problem("arguments", count, call.cell)
    for name in api_calls.filled(value, node):
        yield from _keyword(call, name, partly)


def _keyword(call, name, partly):
    fate = api_calls.keyword(call.value, name)
    told = [words for one in fate.path or (call.value,) if (words := api_marks.parameter(one, name))]
    title = f"{call.value.name}({name}=…)"
    if told:
        yield Problem("deprecated", f"{title} is deprecated: {told[0]}", call.cell)
    elif fate.taken is False:
        near = api_source.near(name, fate.known)
        yield Problem("keyword", f"{call.value.name} takes no keyword {name!r}{near}", call.cell)
    elif fate.taken is None:
        partly.append(f"cell {call.cell}: {title}")


def _shown(node):
    text = " ".join(ast.unparse(node.func).split())
    return text if len(text) <= 60 else f"{text[:57]}…"


def show(lessons, verbose=False):
    """Print what is wrong in these lessons (`LessonFile`s) and how much was checked; the exit status.

    `verbose` lists what could not be checked.
    """
    with bar("checking calls", len(lessons), "lessons") as tell:
        found = {}
        for number, one in enumerate(lessons):
            tell(number)
            found[one.path.name] = check(one.path)
    broken = sum(print_problems(name, one.problems) for name, one in found.items())
    for name, one in found.items() if verbose else ():
        print(*_details(name, one), sep="\n")
    print(*_summary(found.values()), sep="\n")
    told = f"{broken} problem{'s' * (broken > 1)}"
    print(told if broken else "The installed libraries take every call that was checked.")
    return 1 if broken else 0


def _summary(checked):
    """Lines on what was checked in all lessons together, and what could not be."""
    calls, unknown = sum(one.calls for one in checked), sum(len(one.unknown) for one in checked)
    partly = sum(len(one.partly) for one in checked)
    yield f"{calls + unknown} calls, {calls} checked, {unknown} not resolvable: the code does not show what they call."
    if partly:
        yield f"{partly} keywords go into **kwargs that cannot be followed, and were looked for in warnings only."


def _details(name, checked):
    """A line for each call and keyword of a lesson that could not be checked, the same ones counted."""
    for kind, lines in (("not resolvable", checked.unknown), ("not followed", checked.partly)):
        for line, times in Counter(lines).items():
            yield f"{name}: {line}: {kind}" + (f" ({times} times)" if times > 1 else "")

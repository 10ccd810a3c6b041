"""The cache's key: a sha256 over everything that decides a lesson's result, ingredient by ingredient."""

import hashlib
import json
from functools import cache
from platform import python_version

from course_utils.gpu.device import installed_version
from course_utils.learn.assets import ASSETS, offline
from course_utils.learn.measured import measured_text
from course_utils.learn.model_table import MODELS, Converted, Shipped
from course_utils.run import machine
from course_utils.run.execute import thread_variables
from course_utils.run.notebook import source, tags
from course_utils.run.reach import names_in, notebook_code, reached

_RUNNER = ("course_utils/run/worker.py", "course_utils/run/execute.py")
SHIPPED = "as shipped"


def shared(tree, parameters, profile, mode, threads):
    """The ingredients that all notebooks of a run share, by name; `profile` is the resolved one."""
    return {
        "parameters": _canonical(parameters),
        "profile": profile,
        "mode": mode,
        "requirements.lock": tree.sha256("requirements.lock"),
        "python": python_version(),
        **_installed(),
        "threads": _canonical(thread_variables(threads)),
        "offline": str(offline()),
        **{f"runner {path}": tree.sha256(path) for path in _RUNNER},
    }


@cache
def _installed():
    return {"torch": str(installed_version("torch")), "GPU": machine.gpu_facts()}


def ingredients(tree, lesson, content, builds_on):
    """A lesson's own ingredients by name, to put beside the shared ones.

    `content` is the notebook as plain data. `builds_on` maps each lesson that it builds on to that
    one's key, or to `SHIPPED` where what ships is used.
    """
    cells = [cell for cell in content["cells"] if cell.get("cell_type") == "code"]
    code = [source(cell) for cell in cells]
    course = content["metadata"].get("course") or {}
    paths = reached(tree, code, lesson)
    return {
        "lesson": lesson,
        "code": _sha(_canonical([[text, sorted(tags(cell))] for text, cell in zip(code, cells, strict=True)]).encode()),
        "passport": _sha(_canonical([course, _measured(course)]).encode()),
        **{_kind(path): tree.sha256(path) for path in paths},
        **dict(_named_assets(tree, code)),
        **{f"builds on {name}": key for name, key in builds_on.items()},
    }


def key_of(ingredients):
    """The key as hexadecimal text."""
    return _sha(_canonical(ingredients).encode())


def _canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _sha(content):
    return hashlib.sha256(content).hexdigest()


def _kind(path):
    return f"{'module' if path.endswith('.py') else 'data'} {path}"


def _measured(course):
    # The passport box shows what benchmarks measured on cards.
    vram = course.get("vram")
    return measured_text(vram.get("measured")) if isinstance(vram, dict) else None


def _named_assets(tree, code):
    try:
        named = names_in(notebook_code(code).encode()).strings
    except SyntaxError:
        named = {*ASSETS, *MODELS}
    for name in sorted(named):
        if name in ASSETS:
            yield f"asset {name}", _asset(name)
        if name in MODELS:
            yield f"model {name}", _canonical([_weights(tree, one) for one in MODELS[name].sources])


def _asset(name):
    return _canonical([part.sha256 for part in ASSETS[name].parts or (ASSETS[name],)])


def _weights(tree, source):
    if isinstance(source, Converted):
        return _asset(source.asset)
    if isinstance(source, Shipped):
        return [[path, tree.sha256(path)] for path in tree.data.get(source.folder, ())]
    return [source.repository, source.revision]

"""What a lesson is made of at the moment it may start: its text, its key, and what it builds on."""

import json
import os
from dataclasses import dataclass

from course_utils.run import key as keys
from course_utils.run import modes
from course_utils.run.execute import files_below, thread_variables
from course_utils.run.notebook import load
from course_utils.run.task import Task


@dataclass(frozen=True)
class Prepared:
    """A lesson that may start; `finished` are the lessons whose own results it builds on, `warnings` say of which not."""

    text: str
    ingredients: dict
    key: str
    finished: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def prepare(plan, tree, notebook, passed):
    """The `Prepared` of a notebook; `passed` maps each lesson of this run that passed to its key."""
    content = load(notebook.path)
    if notebook.label != "blank":
        content = dict(modes.runs_of(content, notebook.origin, plan.mode))[notebook.label]
    builds_on = {name: passed.get(name, keys.SHIPPED) for name in notebook.builds_on}
    own = keys.ingredients(tree, notebook.origin or notebook.lesson, content, builds_on)
    shared = keys.shared(tree, plan.parameters, plan.profile_here, notebook.label, plan.threads)
    found = shared | own
    return Prepared(
        text=json.dumps(content),
        ingredients=found,
        key=keys.key_of(found),
        finished=tuple(name for name in builds_on if name in passed),
        warnings=tuple(
            f"{name} did not pass, so this lesson built on what ships with the course"
            for name in plan.graph[notebook.lesson]
            if name not in passed
        ),
    )


def expected(plan, tree, lesson):
    """The `Prepared` of a lesson as it will be if all that it builds on passes."""
    notebook = next(one for one in plan.notebooks if one.lesson == lesson)
    passed = {name: expected(plan, tree, name).key for name in plan.graph[lesson]}
    return prepare(plan, tree, notebook, passed)


def task_of(plan, notebook, prepared, gpu):
    """The `Task`; `gpu` is the name of the GPU that it may use where the machine has several, else None."""
    several = plan.capacity.gpus is not None and len(plan.capacity.gpus) > 1
    return Task(
        lesson=notebook.lesson,
        name=notebook.path.name,
        source=prepared.text,
        folder=str(notebook.path.parent),
        parameters=plan.parameters,
        timeout_seconds=plan.timeout_seconds,
        threads=plan.threads,
        mode=notebook.label,
        uses_gpu=plan.needs[notebook.lesson].uses_gpu,
        memory_bytes=plan.needs[notebook.lesson].peak_bytes,
        environment=_environment(plan.threads) | ({"CUDA_VISIBLE_DEVICES": gpu} if gpu and several else {}),
        builds_on={name: files_below(plan.folder / "artefacts" / name) for name in prepared.finished},
        containment=plan.containment,
    )


def _environment(threads):
    # Also on another machine: the key was made from these.
    chosen = {name: os.environ[name] for name in ("COURSE_PROFILE", "COURSE_OFFLINE") if os.environ.get(name)}
    return thread_variables(threads) | chosen

"""Carry out a plan: take what is known already, start what may start, take in what has ended."""

import json
from concurrent.futures import FIRST_COMPLETED, CancelledError, wait
from dataclasses import dataclass, field, replace
from functools import partial

from course_utils.learn.paths import project_dir
from course_utils.run import cache, modes, restore, schedule
from course_utils.run import report as reporting
from course_utils.run.prepare import prepare, task_of
from course_utils.run.reach import Tree
from course_utils.run.task import Outcome, Result

_POLL_SECONDS = 0.1
_NOWHERE = {"cell": None, "prompt": None, "source": None}


@dataclass
class Turns:
    """Which lessons wait (the longest work first), run (with their GPU), and have ended; `notebooks` by lesson."""

    notebooks: dict
    waiting: list
    running: dict = field(default_factory=dict)
    ended: set = field(default_factory=set)


def perform_all(run, pool):
    """Bring every lesson of the run to its end in this pool, or until the run is stopped."""
    notebooks = {one.lesson: one for one in run.plan.notebooks}
    turns, futures = Turns(notebooks, schedule.order(run.plan.graph, run.plan.needs)), {}
    try:
        while True:
            if not run.stop.is_set():
                _take_known(run, turns)
                futures.update(_start(run, turns, pool))
            if not futures:
                return
            for future in wait(futures, _POLL_SECONDS, FIRST_COMPLETED).done:
                _take(run, turns, futures.pop(future), _result(future, pool.is_remote))
            if run.stop.is_set() and pool.is_remote:
                for future in futures:
                    future.cancel()
    except BaseException:
        run.stop.set()
        raise


def _take_known(run, turns):
    """End every lesson that an unfinished run or the cache has a result of; one may make the next one ready."""
    while fresh := [name for name in _ready(run, turns) if name not in run.prepared]:
        known = []
        for lesson in fresh:
            run.prepared[lesson] = prepare(run.plan, run.tree, turns.notebooks[lesson], run.passed(lesson))
            if row := _kept(run, lesson) or _from_cache(run, turns.notebooks[lesson]):
                known.append(row)
                turns.waiting.remove(lesson)
                turns.ended.add(lesson)
        if known:
            run.note(*known)


def _ready(run, turns):
    return schedule.ready(turns.waiting, run.plan.graph, turns.ended)


def _kept(run, lesson):
    row = run.kept.get(lesson)
    is_same = row and row.status not in reporting.UNFINISHED and row.key == run.prepared[lesson].key
    return row if is_same and (row.copy is None or (run.plan.folder / row.copy).exists()) else None


def _from_cache(run, notebook):
    prepared = run.prepared[notebook.lesson]
    found = cache.get(prepared.key) if run.use_cache else None
    if found is None:
        return None
    copy = restore.with_prose(found.copy, prepared.text)
    restore.store(run.plan.folder, notebook, copy, found.receipt, found.artefacts)
    names = {"title": notebook.title, "notebook": notebook.path.name, "copy": notebook.copy_name}
    return replace(found.row, **names)


def _start(run, turns, pool):
    """Submit what may start now; the futures with their lessons."""
    started = {}
    needs, capacity = run.plan.needs, run.plan.capacity
    for lesson, gpu in schedule.admit(_ready(run, turns), turns.running, needs, capacity):
        turns.waiting.remove(lesson)
        turns.running[lesson] = gpu
        run.attempts[lesson] = run.attempts.get(lesson, 0) + 1
        run.note(replace(run.rows[lesson], status="running", attempts=run.attempts[lesson]))
        task = task_of(run.plan, turns.notebooks[lesson], run.prepared[lesson], gpu)
        started[pool.submit(task, run.stop, partial(run.listener.cell, lesson))] = lesson
    return started


def _take(run, turns, lesson, result):
    notebook = turns.notebooks[lesson]
    result = _checked(notebook, result)
    if result.outcome.status == "unwritable":
        raise OSError(None, result.outcome.error["message"])
    del turns.running[lesson]
    if result.outcome.status == "crashed" and run.attempts[lesson] <= run.plan.retries and not run.stop.is_set():
        turns.waiting.insert(0, lesson)
        return
    restore.store(run.plan.folder, notebook, result.copy, result.receipt, result.artefacts)
    row = _row(run, notebook, result.outcome)
    turns.ended.add(lesson)
    run.note(row)
    if run.use_cache and row.status == "passed":
        _remember(run, notebook, row, result)


def _row(run, notebook, outcome):
    prepared, copy = run.prepared[notebook.lesson], run.plan.folder / notebook.copy_name
    row = reporting.make_row(notebook, run.plan.profile, outcome, copy, prepared.warnings)
    return replace(row, attempts=run.attempts[notebook.lesson], key=prepared.key)


def _result(future, is_remote):
    """The task's `Result`; where the machine that ran it was lost, one that says so."""
    try:
        return future.result()
    except CancelledError:
        return Result(Outcome("stopped", None, None, _error("Stopped", "the run was stopped here"), None))
    except Exception as error:
        if isinstance(error, OSError) and not is_remote:
            raise  # this machine's disk is full, or its files cannot be had: no other notebook would fare better
        return Result(Outcome("crashed", None, None, _error(type(error).__name__, str(error)), None))


def _error(name, message):
    return {**_NOWHERE, "name": name, "message": message}


def _checked(notebook, result):
    """In a mode that fills the exercises in, a notebook passes if every check said what it must."""
    if notebook.label == "blank" or result.outcome.status != "passed":
        return result
    problems = modes.verify(json.loads(result.copy), notebook.label, notebook.origin)
    if not problems:
        return result
    error = _error("WrongVerdict", " ".join(one.message for one in problems)) | problems[0].where
    return replace(result, outcome=replace(result.outcome, status="failed", error=error))


def _remember(run, notebook, row, result):
    # A file that changed while the lesson ran may or may not have been used: then it is not known what this result is of.
    prepared = run.prepared[notebook.lesson]
    again = prepare(run.plan, Tree(project_dir()), notebook, run.passed(notebook.lesson))
    if again.key == prepared.key:
        cache.put(prepared.key, prepared.ingredients, row, result)

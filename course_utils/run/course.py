"""Run lessons headless, some at a time, and write the report: what `course run` calls."""

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from course_utils.errors import CourseError
from course_utils.learn.paths import write_atomically
from course_utils.run import plan as planning
from course_utils.run import report as reporting
from course_utils.run import show
from course_utils.run.execute import write_below
from course_utils.run.task import Task, perform

_ENDING = (signal.SIGINT, signal.SIGTERM)


@dataclass
class Run:
    """A run under way; `stop` ends it early, `gpu` lets one notebook at a time use the card."""

    plan: planning.Plan
    console: object
    rows: dict
    started: str = field(default_factory=reporting.now)
    clock: float = field(default_factory=time.monotonic)
    stop: threading.Event = field(default_factory=threading.Event)
    gpu: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(1))
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, row):
        """Take a lesson's new state, and write it down in case this process is killed."""
        with self.lock:
            self.rows[row.lesson] = row
            reporting.write_json(self.report("running"))

    def report(self, status):
        """The `Report` as it stands now."""
        plan = self.plan
        return reporting.Report(
            folder=plan.folder,
            status=status,
            started=self.started,
            seconds=round(time.monotonic() - self.clock, 2),
            profile=plan.profile,
            parameters=plan.parameters,
            jobs=plan.jobs,
            timeout_seconds=plan.timeout_seconds,
            containment={"kind": plan.containment.kind, "guarantee": plan.containment.guarantee},
            versions=reporting.versions(),
            lessons=tuple(self.rows.values()),
        )


def run_course(
    lessons,
    *,
    profile=None,
    parameters=None,
    jobs=None,
    timeout_seconds=900,
    report_dir=None,
    console=None,
    containment=None,
):
    """Execute lessons (`LessonFile`s), print progress and a table, write the report's files, return the `Report`.

    `parameters` is a dict for every notebook; `jobs` is one per usable core unless given;
    `timeout_seconds` is the deadline of each notebook. SIGINT and SIGTERM end the run with a
    report of what was done. Raises CourseError for bad input, before anything starts, and where
    the report cannot be written.
    """
    plan = planning.make(lessons, profile, parameters, jobs, timeout_seconds, report_dir, containment)
    run = Run(plan, console or _console(), {one.lesson: _empty_row(plan, one) for one in plan.notebooks})
    try:
        with _signals_stop(run.stop):
            _prepare(run)
            _perform(run)
            report = run.report(_status(run))
            reporting.write(report)
    except OSError as error:
        raise CourseError(_cannot_write(plan.folder, error.strerror or str(error))) from error
    show.finished(run.console, report)
    return report


def _console():
    from rich.console import Console

    return Console()


def _empty_row(plan, notebook):
    return reporting.Row(notebook.lesson, notebook.title, notebook.path.name, profile=plan.profile)


def _prepare(run):
    (run.plan.folder / "receipts").mkdir(parents=True, exist_ok=True)
    for left_by_an_earlier_run in ("report.html", "junit.xml"):
        (run.plan.folder / left_by_an_earlier_run).unlink(missing_ok=True)
    reporting.write_json(run.report("running"))


def _cannot_write(folder, reason):
    return f"The report in {folder} could not be written: {reason}. Make room, or choose another --report."


@contextmanager
def _signals_stop(stop):
    """Turn SIGINT and SIGTERM into the event, so that a second Ctrl-C cannot break off the report."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {one: signal.signal(one, _stop_once(stop)) for one in _ENDING}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def _stop_once(stop):
    def handle(*_):
        # Event.set() takes a lock, and would wait for itself if another signal came within it.
        for one in _ENDING:
            signal.signal(one, signal.SIG_IGN)
        stop.set()

    return handle


def _perform(run):
    # A cluster's executor fits here too: a job and its outcome are plain data.
    with ThreadPoolExecutor(run.plan.jobs) as pool:
        futures = {pool.submit(_one, run, number): number for number in range(len(run.plan.notebooks))}
        try:
            for future in as_completed(futures):
                _take(run, run.plan.notebooks[futures[future]], future.result())
        except BaseException:
            run.stop.set()
            raise


def _one(run, number):
    """Runs in a thread of the pool; None where the run was stopped before this notebook began."""
    notebook = run.plan.notebooks[number]
    with _turn(run, notebook) as granted:
        if not granted:
            return None
        show.started(run.console, notebook.lesson, number + 1, len(run.plan.notebooks))
        run.note(replace(run.rows[notebook.lesson], status="running"))
        return perform(_task(run.plan, notebook), run.stop)


@contextmanager
def _turn(run, notebook):
    if not (notebook.uses_gpu and run.plan.may_use_gpu):
        yield not run.stop.is_set()
        return
    while not (granted := run.gpu.acquire(timeout=0.1)) and not run.stop.is_set():
        pass
    try:
        yield granted and not run.stop.is_set()
    finally:
        if granted:
            run.gpu.release()


def _task(plan, notebook):
    return Task(
        lesson=notebook.lesson,
        name=notebook.path.name,
        source=notebook.path.read_text(encoding="utf-8"),
        folder=str(notebook.path.parent),
        parameters=plan.parameters,
        timeout_seconds=plan.timeout_seconds,
        threads=plan.threads,
        uses_gpu=notebook.uses_gpu,
        containment=plan.containment,
    )


def _take(run, notebook, result):
    if result is None:
        return
    if result.outcome.status == "unwritable":
        raise OSError(None, result.outcome.error["message"])
    copy = run.plan.folder / notebook.path.name
    _store(run.plan.folder, notebook, result)
    row = reporting.make_row(notebook, run.plan.profile, result.outcome, copy)
    run.note(row)
    show.ended(run.console, row)


def _store(folder, notebook, result):
    """Write what a lesson leaves into the report's folder, over what an earlier run left there."""
    receipt = folder / "receipts" / f"{notebook.lesson}.json"
    for path, text in ((folder / notebook.path.name, result.copy), (receipt, result.receipt)):
        if text is None:
            path.unlink(missing_ok=True)
        else:
            write_atomically(path, text)
    write_below(folder / "artefacts" / notebook.lesson, result.artefacts)


def _status(run):
    rows = run.rows.values()
    if any(row.status in reporting.UNFINISHED for row in rows):
        return "stopped"
    return "failed" if any(row.status in reporting.FAILURES for row in rows) else "passed"

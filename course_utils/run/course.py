"""Run lessons headless, some at a time, and write the report: what `course run` calls."""

import signal
import threading
from contextlib import contextmanager, suppress

from course_utils.errors import CourseError
from course_utils.learn.catalog import lesson_of
from course_utils.learn.paths import runs_dir
from course_utils.run import events, files, history, resume
from course_utils.run import plan as planning
from course_utils.run import pool as pools
from course_utils.run import report as reporting
from course_utils.run.state import Run
from course_utils.run.turns import perform_all

_ENDING = (signal.SIGINT, signal.SIGTERM)


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
    mode="blank",
    retries=0,
    use_cache=False,
    log=None,
    pool=None,
    kept=None,
):
    """Execute lessons (`LessonFile`s), print progress and a table, write the report's files, return the `Report`.

    `parameters` is a dict for every notebook; `jobs` is one per usable core unless given; `timeout_seconds` is the
    deadline of each notebook; a notebook whose kernel or worker died is run again up to `retries` times. `log` is
    None or "json". `pool` is a `Pool` of other machines. `kept` are rows of an unfinished run, which stay where their
    key has not changed. SIGINT and SIGTERM end the run with a report of what was done. Raises CourseError for bad
    input, before anything starts, and where the report cannot be written.
    """
    listener = events.listener(console or _console(), log)
    options = {"mode": mode, "retries": retries, "pool": pool}
    plan = planning.make(lessons, profile, parameters, jobs, timeout_seconds, report_dir, containment, **options)
    run = Run(plan, listener, use_cache, kept or {})
    try:
        with _folder(plan), _signals_stop(run.stop):
            report = _carried_out(run, pool)
    except OSError as error:
        raise CourseError(_cannot_write(plan.folder, error.strerror or str(error))) from error
    finally:
        listener.close()
    listener.end(report)
    return report


def resume_course(report_dir=None, **options):
    """Go on with the newest run that was cut off, or the one in `report_dir`; `options` as in `run_course`.

    Raises CourseError where there is none.
    """
    found = resume.find(report_dir)
    lessons = [lesson_of(path) for path in found.notebooks]
    return run_course(lessons, report_dir=found.folder, kept=found.rows, **found.settings, **options)


def _carried_out(run, pool):
    run.begin()
    if pool:
        perform_all(run, pool)
    else:
        with pools.local(run.plan) as own:
            perform_all(run, own)
    report = run.report(_status(run))
    files.write(report)
    with suppress(OSError):  # the next run only plans worse
        history.record(runs_dir(), report.lessons, run.plan.profile_here)
    return report


def _console():
    from rich.console import Console

    return Console()


@contextmanager
def _folder(plan):
    """The report's folder, kept for this runner, without what an earlier run left there."""
    (plan.folder / "receipts").mkdir(parents=True, exist_ok=True)
    with resume.held(plan.folder):
        resume.sweep(plan.folder)
        for left_by_an_earlier_run in ("report.html", "junit.xml"):
            (plan.folder / left_by_an_earlier_run).unlink(missing_ok=True)
        resume.write_settings(plan)
        yield


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


def _status(run):
    rows = run.rows.values()
    if any(row.status in reporting.UNFINISHED for row in rows):
        return "stopped"
    return "failed" if any(row.status in reporting.FAILURES for row in rows) else "passed"

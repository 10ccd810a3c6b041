"""`course grade`: marks the submissions of a release and writes every table and page."""

import itertools
import os
from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from course_utils.errors import CourseError
from course_utils.learn.paths import write_atomically
from course_utils.teach import attempts, classroom, feedback, gradebook, marks, results, sandbox
from course_utils.teach.journal import open_journal
from course_utils.teach.key import exercises_of_key, read_key
from course_utils.teach.likeness import likeness
from course_utils.teach.program import Programs
from course_utils.teach.records import records_of
from course_utils.teach.roster import Roster, read_roster, read_times
from course_utils.teach.running import Task, run, sha256
from course_utils.teach.submissions import collect


@dataclass(frozen=True)
class Options:
    """What `course grade` was asked; paths are None where nothing is wanted."""

    key: Path
    submissions: Path
    out: Path
    feedback: Path | None = None
    jobs: int | None = None
    roster: Path | None = None
    times: Path | None = None
    new_round: bool = False
    gradebook: str | None = None

    @property
    def results(self):
        """`grades.results.json` beside `grades.csv`."""
        return self.out.with_suffix(".results.json")

    @property
    def journal(self):
        """`grades.journal` beside `grades.csv`."""
        return self.out.with_suffix(".journal")


@dataclass(frozen=True)
class Graded:
    """What a grading came to: `ran` attempts were run, `kept` marks come from before,
    `written` are the tables.
    """

    results: results.Results
    written: tuple[Path, ...]
    ran: int
    kept: int


def grade(options, progress=None):
    """Grade, and write what the options name; the `Graded`.

    `progress(number, total)` is told how far it is. Raises CourseError before anything is run where there can be no
    sandbox here, or where a file that was given is not what it should be.
    """
    if reason := sandbox.refusal():
        raise CourseError(reason)
    _require_places(options)
    key = read_key(options.key)
    deadline = datetime.fromisoformat(key.deadline) if key.deadline else None
    roster = read_roster(options.roster, deadline) if options.roster else Roster()
    times = read_times(options.times, deadline.tzinfo if deadline else UTC) if options.times else {}
    take = partial(attempts.take, attempts.Release(key))
    handed_in, refused = collect(options.submissions, key.release_id, take)
    before = results.read(options.results, key) if options.results.exists() else None
    number = _round(options, before)
    with closing(open_journal(options.journal, key, number)) as journal:
        found, ran, kept = _marked(key, handed_in, _earlier(before, number) | journal.found, journal, options, progress)
        rows, refused = records_of(handed_in, refused, found, roster, times, deadline)
        result = results.with_history(_results(key, number, rows, refused), before)
        written = _write(options, key, result)
        journal.remove()
    return Graded(result, written, ran, kept)


def _require_places(options):
    gradebook.require_gradebook(options.gradebook)
    if options.jobs is not None and options.jobs < 1:
        raise CourseError(f"--jobs is {options.jobs}. At least 1 attempt must run at a time.")
    if options.out.suffix.lower() != ".csv":
        raise CourseError(f"--out is {options.out}. Name a CSV file, such as grades.csv.")
    if options.out.is_dir() or not _is_ours(options.out.resolve().parent):
        raise CourseError(f"{options.out} cannot be written. Choose a file in a folder that exists and is yours.")
    if options.feedback and not _can_be_made(options.feedback.resolve()):
        raise CourseError(f"The folder {options.feedback} cannot be made. Choose another for the pages.")


def _is_ours(folder):
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


def _can_be_made(folder):
    return _is_ours(next(path for path in (folder, *folder.parents) if path.exists()))


def _round(options, before):
    if options.new_round and before is None:
        raise CourseError(f"There is no earlier grading beside {options.out}. Leave out --new-round.")
    return 1 if before is None else before.round + options.new_round


def _earlier(before, number):
    """The marks of an earlier grading in this round; one that was stopped is tried again."""
    if before is None or before.round != number:
        return {}
    every = [(id, mark) for record in before.records for id, mark in record.marks.items()]
    return {(id, mark.run_sha256): mark for id, mark in every if mark.run_sha256 and mark.status != marks.STOPPED}


def _marked(key, handed_in, known, journal, options, progress):
    """Student → exercise → `Mark`, and how many attempts were run and how many marks kept."""
    wanted, programs = defaultdict(dict), Programs(key)
    for one in handed_in:
        for assigned in key.exercises:
            wanted[one.owner.id][assigned.id] = _task(programs, assigned, one.content.texts)
    tasks = {task.place: task for tasks in wanted.values() for task in tasks.values() if task}
    to_run = [task for place, task in tasks.items() if place not in known]
    total, count = len(to_run), itertools.count(1)

    def done(place, mark):
        known[place] = mark
        journal.add(place[0], mark)
        if progress:
            progress(next(count), total)

    if to_run:
        run(key, exercises_of_key(key), to_run, journal.round, options.jobs or len(os.sched_getaffinity(0)), done)
    texts = {one.owner.id: one.content.texts for one in handed_in}
    mark = partial(_mark, known, programs.names)
    found = {id: {one.id: mark(one, wanted[id][one.id], texts[id]) for one in key.exercises} for id in wanted}
    return found, total, len(tasks) - total


def _task(programs, assigned, texts):
    if texts[assigned.id] is None:
        return None
    return Task(assigned.id, assigned.name, assigned.points, programs.build(assigned.id, texts))


def _mark(known, names, assigned, task, texts):
    if task is None:
        return marks.missing(assigned.points)
    text = texts[assigned.id]
    return replace(known[task.place], sha256=sha256(text), likeness=likeness(text, names))


def _results(key, number, rows, refused):
    return results.Results(
        release=key.release_id,
        name=key.name,
        lesson=key.lesson,
        round=number,
        graded=datetime.now(UTC).isoformat(timespec="seconds"),
        exercises=tuple((one.id, one.points) for one in key.exercises),
        versions=dict(key.versions),
        records=rows,
        refused=refused,
    )


def _write(options, key, result):
    """Write everything; the results come last, since the journal is needed until they are there."""
    tables = {options.out: gradebook.grades(result), options.out.with_suffix(".class.html"): classroom.page(result)}
    if options.gradebook:
        table = {"canvas": gradebook.canvas, "moodle": gradebook.moodle}[options.gradebook]
        tables[options.out.with_suffix(f".{options.gradebook}.csv")] = table(result)
    pages = feedback.pages(result, options.feedback) if options.feedback else {}
    try:
        if options.feedback:
            options.feedback.mkdir(parents=True, exist_ok=True)
        for path, text in {**pages, **tables}.items():
            write_atomically(path, text)
        results.write(options.results, result, key)
    except OSError as error:
        raise CourseError(
            f"Writing the tables and pages failed: {error.strerror}. No mark is lost: mend that and repeat the command."
        ) from None
    return (*tables, options.results)

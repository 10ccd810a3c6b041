"""Runs submissions where they can harm nothing: in bubblewrap, a forked process in namespaces of its own for each.

What holds, on a kernel without a hole in it:

- Inside there are the system's programs and packages to read, the few modules of the course that run an attempt,
  the code, and the inputs of the cases. No reference, expected value, note of a case, key, checkout or other submission.
- Nothing is writable but two scratch folders, small, in memory, and gone with the job. There is no network.
- A job cannot see, signal or trace another, nor the grader. What it starts ends with it, and all ends with the
  grader, even one that is killed.
- Wall clock, processor time, memory, processes, size of files and of the reply are limited. Memory is counted
  every 50 ms, so that it can be exceeded for as long; a single process cannot exceed it at all.
- What comes back is a claim, and data only: `learn.wire` decodes it, lengths and types are checked, and the
  caller compares values. Nothing is unpickled, imported or executed.

What does not: a hole in the kernel or the processor, and channels between two submissions that agree to talk,
such as locks on the same system file or the load of the machine. Memory that the kernel keeps for a job (buffers
of pipes and sockets) is bounded only by the number of open files. A job can make others wait for a processor, up
to its limits. Where the processor is neither x86-64 nor aarch64 there is no filter on system calls.
"""

import signal
import threading
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache

from course_utils.errors import CourseError
from course_utils.learn.exercise import Case, Exercise
from course_utils.learn.outcome import Outcome
from course_utils.learn.wire import WireError
from course_utils.teach import box_advice, box_job, box_request
from course_utils.teach.box_job import TemplateDied
from course_utils.teach.box_template import Template

_TRIAL = Exercise("sandbox.trial", lambda x: x, 0, 0, 1, (), ())
_TRIAL_CODE = "def my_trial(x):\n    return x\n"


@dataclass(frozen=True)
class Limits:
    """What one job may use.

    `seconds` is wall clock for all cases; `memory_bytes` is resident, of all its processes together;
    `file_bytes` holds for any one file and for each of its two scratch folders.
    """

    seconds: float = 10.0
    cpu_seconds: int = 10
    memory_bytes: int = 2**30
    processes: int = 32
    file_bytes: int = 16 * 2**20
    reply_bytes: int = 16 * 2**20


@dataclass(frozen=True)
class Job:
    """Code to execute, which defines `name`, and the cases to run it on."""

    exercise: Exercise
    code: str
    name: str
    cases: tuple[Case, ...]


@dataclass(frozen=True)
class Answer:
    """What came of a job: fewer outcomes than cases where it was `stopped`, which then says why in a sentence.

    An attempt that only ran out of time is stopped from within, as by `check`: its last outcome says so.
    `peak_bytes` is None where the job ended before its memory was measured.
    """

    outcomes: tuple[Outcome, ...]
    stopped: str
    seconds: float
    peak_bytes: int | None


@dataclass(frozen=True)
class Sandbox:
    """An open sandbox that runs `jobs` at once; `run` may be called from several threads."""

    template: Template
    jobs: int
    limits: Limits
    places: threading.Semaphore
    alone: threading.Lock = field(default_factory=threading.Lock)

    def run(self, job):
        """The answer to one job; waits for a free place.

        Raises CourseError where the sandbox refuses to begin, and for cases that cannot enter it.
        """
        request = box_request.request(job, self.limits)
        with suppress(TemplateDied), self.places:
            return _answer(job, box_job.perform(self.template, request, self.limits))
        with suppress(TemplateDied), self._to_itself():
            return _answer(job, box_job.perform(self.template, request, self.limits))
        return Answer((), "The sandbox ended under it, twice.", 0.0, None)

    @contextmanager
    def _to_itself(self):
        """All places: of the jobs that saw the template die, the one that killed it shall harm only itself now."""
        with self.alone, ExitStack() as taken:
            for _ in range(self.jobs):
                taken.enter_context(self.places)
            yield


@contextmanager
def open_sandbox(modules=(), jobs=1, limits=None):
    """A `Sandbox` whose template has imported `modules` and that runs `jobs` at once; it ends with the block.

    Raises CourseError where there can be no sandbox, and for a module that cannot be imported.
    """
    reason = refusal()
    if reason:
        raise CourseError(reason)
    with _opened(modules, jobs, limits or Limits()) as sandbox:
        yield sandbox


@cache
def refusal():
    """Why there can be no sandbox on this machine and what to type, None where a tiny job succeeds in one."""
    reason = box_advice.missing()
    if reason:
        return reason
    try:
        with _opened((), 1, Limits()) as sandbox:
            answer = sandbox.run(Job(_TRIAL, _TRIAL_CODE, "my_trial", (Case((1,)),)))
    except CourseError as problem:
        return box_advice.advice(str(problem))
    if [outcome.value for outcome in answer.outcomes] != [1]:
        return box_advice.advice(f"A trial in the sandbox failed: {answer.stopped}")
    return None


@contextmanager
def _opened(modules, jobs, limits):
    template = Template(modules)
    try:
        yield Sandbox(template, jobs, limits, threading.BoundedSemaphore(jobs))
    finally:
        template.close()


def _answer(job, watched):
    if watched.refusal:
        raise CourseError(f"The sandbox cannot be closed off: {watched.refusal}.")
    outcomes, stopped = (), watched.stopped
    if not stopped and watched.status:
        stopped = _ended(watched.status)
    if not stopped:
        try:
            outcomes = box_request.outcomes(watched.reply, job, watched.limits)
        except WireError:
            stopped = "Its reply was garbled." if watched.reply else "It ended the process before it answered."
    return Answer(outcomes, stopped, watched.seconds, watched.peak_bytes)


def _ended(status):
    number = status & 0x7F
    if not number:
        return f"It ended the process with exit status {status >> 8}."
    if number in (signal.SIGKILL, signal.SIGXCPU):
        return "It was killed: too much processor time or memory."
    names = {one.value: one.name for one in signal.Signals}
    return f"It crashed: signal {number} ({names.get(number, 'unknown')})."

"""A `concurrent.futures.Executor` on a Dask cluster that gives a notebook only to a worker that can hold it."""

import threading
from concurrent.futures import Executor, Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from uuid import uuid4

from course_utils.gpu.device import show_bytes
from course_utils.run.cluster_worker import perform_here
from course_utils.run.schedule import UNKNOWN_PEAK_BYTES
from course_utils.run.task import Outcome, Result, Task

_LOOK_SECONDS = 1.0
_PATIENCE_SECONDS = 20.0  # a worker that was killed is back within seconds where a nanny holds it
_STUCK_SECONDS = 4.0
_TRIES = 4


@dataclass
class Pending:
    """A task that has no result yet, and Dask's future of it; `lost_seconds` is how long no worker had it."""

    task: Task
    perform: object
    running: object = None
    tries: int = 0
    lost_seconds: float = 0.0


class ClusterExecutor(Executor):
    """Submits to a `distributed.Client`; `tag` is the resource that workers with the right environment offer.

    `workers` are the `Facts` of those that were there at the start. The notebook of a worker that died
    goes to another one, at most three times. Where no worker that could hold a task is left, its
    result says so.
    """

    def __init__(self, client, tag, workers):
        self.client, self.tag, self.workers = client, tag, workers
        self.pending, self.lock, self.closed = {}, threading.Lock(), threading.Event()
        self.watch = threading.Thread(target=self._watch, daemon=True)
        self.watch.start()

    def submit(self, perform, task):
        """A Future of `perform(task)` on a worker; cancelling it stops the notebook there."""
        promise = Future()
        try:
            offers = self._offers()
        except Exception as error:
            promise.set_result(_without(_no_answer(error), "crashed"))
            return promise
        if (lack := _lack(task, offers, self.tag)) is not None:
            promise.set_result(_without(lack))
            return promise
        with self.lock:
            self.pending[promise] = Pending(task, perform)
        self._hand_out(promise, offers)
        promise.add_done_callback(self._release)
        return promise

    def shutdown(self, wait=True, *, cancel_futures=False):
        """Stop what still runs."""
        self.closed.set()
        for promise in list(self.pending):
            promise.cancel()
        self.watch.join()

    def _offers(self):
        """What every worker offers."""
        return [one["resources"] for one in self.client.scheduler_info(n_workers=-1)["workers"].values()]

    def _hand_out(self, promise, offers):
        one = self.pending[promise]
        one.running = self.client.submit(
            perform_here,
            one.perform,
            one.task,
            resources=_resources(one.task, offers, self.tag),
            key=f"{one.task.lesson}-{uuid4().hex}",
            pure=False,
        )
        one.tries, one.lost_seconds = one.tries + 1, 0.0
        one.running.add_done_callback(partial(self._take, promise))

    def _take(self, promise, running):
        """Give the end of Dask's future to the promise, but for one that was handed out anew since."""
        one = self.pending.get(promise)
        if one is None or one.running is not running:
            return
        if running.status == "finished":
            _set(promise, _of_another_machine(running.result()))
        elif running.status == "cancelled":
            _set(promise, _without(("SchedulerLost", "the scheduler forgot this notebook, or ended"), "crashed"))
        else:
            error = running.exception()
            _set(promise, _without((type(error).__name__, str(error)), "crashed"))

    def _release(self, promise):
        with self.lock:
            one = self.pending.pop(promise, None)
        if promise.cancelled():
            promise.set_running_or_notify_cancel()  # else nobody who waits for it hears of it
        if one and not one.running.done():
            with suppress(Exception):  # the scheduler may be gone
                one.running.cancel()

    def _watch(self):
        while not self.closed.wait(_LOOK_SECONDS):
            try:
                self._look()
            except Exception as error:  # Dask's own kinds: the scheduler does not answer
                for promise in list(self.pending):
                    self._lost(promise, *_no_answer(error))

    def _look(self):
        """See to the tasks that no worker has: their worker died, and Dask does not know what the next one offers."""
        if not self.pending:
            return
        offers = self._offers()
        held = {key for keys in self.client.processing().values() for key in keys}
        for promise, one in list(self.pending.items()):
            if one.running.done() or one.running.key in held:
                one.lost_seconds = 0.0
            elif lack := _lack(one.task, offers, self.tag):
                self._lost(promise, *lack)
            else:
                self._try_again(promise, one, offers)

    def _lost(self, promise, name, message):
        one = self.pending.get(promise)
        if one is not None:
            one.lost_seconds += _LOOK_SECONDS
            if one.lost_seconds >= _PATIENCE_SECONDS:
                _set(promise, _without((name, message), "crashed"))

    def _try_again(self, promise, one, offers):
        one.lost_seconds += _LOOK_SECONDS
        if one.lost_seconds < _STUCK_SECONDS:
            return
        if one.tries == _TRIES:
            _set(promise, _without(("WorkerLost", f"its worker died {_TRIES} times"), "crashed"))
            return
        before = one.running
        self._hand_out(promise, offers)
        before.cancel()


def _resources(task, workers, tag):
    """What a task takes of a worker; without any GPU in the cluster it asks for none, as on a machine without one."""
    memory = task.memory_bytes
    if memory is None:
        memory = min(UNKNOWN_PEAK_BYTES, max(one["memory"] for one in workers if one.get(tag)))
    gpu = {"GPU": 1} if task.uses_gpu and any(one.get("GPU") for one in workers) else {}
    return {tag: 1, "memory": memory, **gpu}


def _lack(task, workers, tag):
    """A name and a sentence where no worker can ever hold the task, or None."""
    usable = [one for one in workers if one.get(tag)]
    if not usable:
        return "NoWorker", "no worker with the right environment is left in the cluster"
    largest = max(one["memory"] for one in usable)
    if task.memory_bytes is not None and task.memory_bytes > largest:
        return "TooLittleMemory", (
            f"this notebook took {show_bytes(task.memory_bytes)} before, and the largest worker has {show_bytes(largest)}"
        )
    return None


def _no_answer(error):
    return "SchedulerLost", f"the scheduler does not answer any more ({error})"


def _of_another_machine(result):
    """The result; that a worker cannot write to its disk says nothing about the report here."""
    if result.outcome.status != "unwritable":
        return result
    return replace(result, outcome=replace(result.outcome, status="crashed"))


def _without(lack, status="failed"):
    name, message = lack
    error = {"cell": None, "prompt": None, "source": None, "name": name, "message": message}
    return Result(Outcome(status, None, None, error, None))


def _set(promise, result):
    with suppress(InvalidStateError):  # it was cancelled, or has a result
        promise.set_result(result)

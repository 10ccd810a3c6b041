"""A `concurrent.futures.Executor` on a Dask cluster that gives a notebook only to a worker that can hold it."""

import threading
from concurrent.futures import Executor, Future, InvalidStateError
from contextlib import suppress
from functools import partial
from uuid import uuid4

from course_utils.gpu.device import show_bytes
from course_utils.run.cluster_worker import perform_here
from course_utils.run.schedule import UNKNOWN_PEAK_BYTES
from course_utils.run.task import Outcome, Result

_LOOK_SECONDS = 1.0
_PATIENCE_SECONDS = 20.0  # a worker that was killed is back within seconds where a nanny holds it


class ClusterExecutor(Executor):
    """Submits to a `distributed.Client`; `tag` is the resource that workers with the right environment offer.

    `workers` are the `Facts` of those that were there at the start.

    A worker's death is Dask's affair: the task goes to another one, at most three times. Where no
    worker that could hold a task is left, its result says so.
    """

    def __init__(self, client, tag, workers):
        self.client, self.tag, self.workers = client, tag, workers
        self.pending, self.lock, self.closed = {}, threading.Lock(), threading.Event()
        self.watch = threading.Thread(target=self._watch, daemon=True)
        self.watch.start()

    def submit(self, perform, task):
        """A Future of `perform(task)` on a worker; cancelling it stops the notebook there."""
        promise, workers = Future(), self._offers()
        if (lack := _lack(task, workers, self.tag)) is not None:
            promise.set_result(_without(lack))
            return promise
        resources, key = _resources(task, workers, self.tag), f"{task.lesson}-{uuid4().hex}"
        running = self.client.submit(perform_here, perform, task, resources=resources, key=key, pure=False)
        with self.lock:
            self.pending[promise] = task
        promise.add_done_callback(partial(self._release, running))
        running.add_done_callback(partial(_hand_over, promise))
        return promise

    def shutdown(self, wait=True, *, cancel_futures=False):
        """Stop what still runs."""
        self.closed.set()
        for promise in list(self.pending):
            promise.cancel()
        self.watch.join()

    def _release(self, running, promise):
        with self.lock:
            self.pending.pop(promise, None)
        if not running.done():
            with suppress(Exception):  # the scheduler may be gone
                running.cancel()

    def _offers(self):
        """What every worker offers."""
        return [one["resources"] for one in self.client.scheduler_info(n_workers=-1)["workers"].values()]

    def _watch(self):
        """End the tasks that wait for a worker that will not come, or for a scheduler that is gone."""
        waited = {}
        while not self.closed.wait(_LOOK_SECONDS):
            lost = self._lost()
            waited = {promise: waited.get(promise, 0.0) + _LOOK_SECONDS for promise in lost}
            for promise, seconds in waited.items():
                if seconds >= _PATIENCE_SECONDS:
                    _set(promise, _without(lost[promise]))

    def _lost(self):
        with self.lock:
            pending = dict(self.pending)
        try:
            workers = self._offers() if pending else ()
        except Exception as error:
            return dict.fromkeys(pending, ("SchedulerLost", f"the scheduler does not answer any more ({error})"))
        lacks = {promise: _lack(task, workers, self.tag) for promise, task in pending.items()}
        return {promise: lack for promise, lack in lacks.items() if lack is not None}


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


def _without(lack):
    name, message = lack
    error = {"cell": None, "prompt": None, "source": None, "name": name, "message": message}
    return Result(Outcome("failed", 0.0, None, error, None))


def _hand_over(promise, running):
    """Give a Dask future's end to the promise."""
    if running.status == "finished":
        _set(promise, running.result())
    elif running.status == "cancelled":
        _set(promise, _without(("SchedulerLost", "the scheduler forgot this notebook, or ended")))
    else:
        _fail(promise, running.exception())


def _set(promise, result):
    with suppress(InvalidStateError):  # it was cancelled, or has a result
        promise.set_result(result)


def _fail(promise, error):
    with suppress(InvalidStateError):
        promise.set_exception(error)

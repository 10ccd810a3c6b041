"""Where the tasks of a run are performed: threads of this machine, each with a worker process, or a cluster's executor."""

from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from course_utils.run.schedule import Capacity
from course_utils.run.spare import Spares
from course_utils.run.task import perform


@dataclass(frozen=True)
class Pool:
    """`executor` takes the function `perform` and a `Task`; `capacity` is what it may be given at a time.

    Where `is_remote`, a task cannot be followed while it runs: an end is asked for by cancelling its future.
    """

    executor: Executor
    capacity: Capacity
    threads: int
    spares: Spares | None = None

    @property
    def is_remote(self):
        """Whether tasks run on other machines."""
        return self.spares is None

    def submit(self, task, stop, on_cell):
        """A Future of the task's `Result`."""
        return self.executor.submit(perform, task, *(() if self.is_remote else (stop, on_cell, self.spares)))


@contextmanager
def local(plan):
    """This machine's pool for a plan."""
    spares = Spares(plan.containment, len(plan.notebooks))
    with ThreadPoolExecutor(plan.jobs) as executor:
        try:
            yield Pool(executor, plan.capacity, plan.threads, spares)
        finally:
            spares.close()

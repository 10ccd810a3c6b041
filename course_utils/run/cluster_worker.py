"""What runs on the workers of a Dask cluster: what they say of themselves, and one task."""

import hashlib
import threading
from dataclasses import dataclass, replace
from functools import cache
from platform import python_version

from distributed import WorkerPlugin, get_worker

from course_utils.gpu.device import installed_version
from course_utils.learn.paths import project_dir
from course_utils.run import machine
from course_utils.run.containment import Containment, best

_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Environment:
    """What must be the same everywhere: `packages` has the installed version of each locked one, None where it is missing."""

    python: str
    packages: dict
    source: str

    @property
    def tag(self):
        """The name of the resource that a worker with this environment offers."""
        known = {name: plain(version) for name, version in self.packages.items()}
        return (
            "course-"
            + hashlib.sha256(repr((self.python, sorted(known.items()), self.source)).encode()).hexdigest()[:16]
        )


@dataclass(frozen=True)
class Facts:
    """A worker's `Environment` and what it has: `slots` are the notebooks that it takes at a time."""

    environment: Environment
    host: str
    slots: int
    cores: int
    memory_bytes: int | None
    has_gpu: bool
    gpu: str
    containment: Containment


def environment(names):
    """The `Environment` of this process, with the packages of these names."""
    return Environment(python_version(), {name: installed_version(name) for name in names}, _source())


def plain(version):
    """A version without its build: 2.14.1+cpu is 2.14.1."""
    return version and version.partition("+")[0]


def _source():
    """The sha256 of the helper package with its data; another text where it has changed since this process loaded it."""
    now = _digest()
    return now if now == _digest_at_first() else f"{now}, but loaded before that"


@cache
def _digest_at_first():
    return _digest()


def _digest():
    total, root = hashlib.sha256(), project_dir() / "course_utils"
    for path in sorted(root.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            total.update(
                path.relative_to(root).as_posix().encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest()
            )
    return total.hexdigest()


def introduce(names, dask_worker=None):
    """The `Facts` of a worker; Dask fills `dask_worker` in."""
    limit = dask_worker.memory_manager.memory_limit
    return Facts(
        environment=environment(names),
        host=dask_worker.address.rpartition(":")[0],
        slots=dask_worker.state.nthreads,
        cores=machine.usable_cores(),
        memory_bytes=limit or machine.usable_memory_bytes(),
        has_gpu=bool(machine.gpus()),
        gpu=machine.gpu_facts(),
        containment=best(),
    )


class Offer(WorkerPlugin):
    """Lets each worker, also one that comes later, offer what tasks ask for, if its environment is the one with this tag."""

    def __init__(self, tag, names):
        self.tag, self.names = tag, names

    async def setup(self, worker):
        """Offer slots under the environment's tag, memory in bytes, and one GPU where there is any."""
        facts = introduce(self.names, worker)
        if facts.environment.tag == self.tag:
            await worker.set_resources(
                **{self.tag: facts.slots, "memory": facts.memory_bytes or 0, "GPU": int(facts.has_gpu)}
            )


def perform_here(perform, task):
    """`perform(task)` on this worker, until nobody wants its result any more: a runner that is gone is such a case."""
    worker, stop = get_worker(), threading.Event()
    ended, key = threading.Event(), worker.get_current_task()
    threading.Thread(target=_watch, args=(worker, key, stop, ended), daemon=True).start()
    try:
        return perform(replace(task, containment=None), stop)  # what contains it here may be another thing
    finally:
        ended.set()


def _watch(worker, key, stop, ended):
    while not ended.wait(_POLL_SECONDS):
        task = worker.state.tasks.get(key)
        if task is None or task.state == "cancelled":
            stop.set()
            return

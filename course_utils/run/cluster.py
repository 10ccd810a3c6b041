"""Run lessons on a Dask cluster: find it, refuse workers that are not what the lock says, and give a `Pool`."""

import re
from collections import defaultdict
from contextlib import contextmanager, suppress
from uuid import uuid4

from course_utils.errors import CourseError
from course_utils.gpu.device import installed_version
from course_utils.learn.paths import project_dir
from course_utils.run import machine
from course_utils.run.pool import Pool
from course_utils.run.schedule import Capacity

_CONNECT_SECONDS = 6
_WORKER_SECONDS = 10
_SHOWN = 4  # differences that an error message lists
LOCK = "requirements.lock"


@contextmanager
def joined(where, jobs=None):
    """The `Pool` of the cluster at `where`: a scheduler's address, "slurm" or "kubernetes"; None for None.

    `jobs` bounds the notebooks at a time. Raises CourseError where Dask is not installed, nobody answers,
    or a worker has another environment than `requirements.lock` and this machine.
    """
    if where is None:
        yield None
        return
    _require_dask()
    with _client(where) as client:
        from course_utils.run.cluster_executor import ClusterExecutor
        from course_utils.run.cluster_worker import Offer, environment

        locked = read_lock(project_dir() / LOCK)
        here = environment(tuple(locked))
        workers = _introduced(client, tuple(locked))
        _require_same(here, workers, locked)
        name = f"course-{uuid4().hex}"
        client.register_plugin(Offer(here.tag, tuple(locked)), name=name)
        try:
            with ClusterExecutor(client, here.tag, tuple(workers.values())) as executor:
                slots = sum(one.slots for one in workers.values())
                capacity = Capacity(
                    min(jobs or slots, slots), memory_bytes=None, gpus=None
                )  # the cluster looks after both
                yield Pool(executor, capacity, _threads(workers.values()))
        finally:
            with suppress(Exception):  # the scheduler may be gone
                client.unregister_worker_plugin(name)


def options(pool, use_cache):
    """What `run_course` must be told for a pool, which may be None.

    A cluster with another GPU neither fills nor reads the cache, whose keys name this machine's. The
    report shows the weakest containment of any worker.
    """
    if pool is None:
        return {"use_cache": use_cache}
    workers = pool.executor.workers
    weakest = next((one.containment for one in workers if one.containment.kind != "namespace"), workers[0].containment)
    is_alike = {one.gpu for one in workers} == {machine.gpu_facts()}
    return {"pool": pool, "use_cache": use_cache and is_alike, "containment": weakest}


def read_lock(path):
    """Versions by package in the lock."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if "==" in line)


def _require_dask():
    if installed_version("distributed") is None:
        raise CourseError("--on needs the package distributed, which is not installed. Type: make extra NAME=cluster")


@contextmanager
def _client(where):
    from distributed import Client

    from course_utils.run import cluster_config

    if where in cluster_config.KINDS:
        with cluster_config.started(where) as (cluster, seconds), Client(cluster, set_as_default=False) as client:
            _wait(client, where, seconds)
            yield client
        return
    _require_address(where)
    with _connected(where) as client:
        _wait(client, where, _WORKER_SECONDS)
        yield client


def _require_address(where):
    if not re.fullmatch(r"(tcp|tls|ws|wss)://\S+", where):
        raise CourseError(
            f"--on {where!r} names no cluster. Write the scheduler's address, such as tcp://scheduler:8786, slurm or kubernetes."
        )


def _connected(where):
    from distributed import Client

    try:
        return Client(where, timeout=_CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:  # a TimeoutError is an OSError
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CourseError(
            f"No Dask scheduler answers at {where} ({reason}). Start one with `dask scheduler`, or mend the address."
        ) from None


def _wait(client, where, seconds):
    hints = {
        "slurm": "`squeue` tells whether its job waits; wait_seconds in cluster.toml gives it longer.",
        "kubernetes": "`kubectl get pods` tells what its pod waits for; wait_seconds in cluster.toml gives it longer.",
    }
    start = "Start one in this course's environment, with `dask worker ADDRESS --nthreads 1`."
    try:
        client.wait_for_workers(1, timeout=seconds)
    except TimeoutError:
        raise CourseError(f"{where} has no worker after {seconds:g} s. {hints.get(where, start)}") from None


def _introduced(client, names):
    """The `Facts` of every worker by its address."""
    from course_utils.run.cluster_worker import introduce

    found = client.run(introduce, names, on_error="return")
    for address, facts in found.items():
        if isinstance(facts, Exception):
            raise CourseError(
                f"The worker {address} cannot run the course ({type(facts).__name__}: {facts}). "
                "Start it from the environment that `make test` makes there."
            )
    return found


def _require_same(here, workers, locked):
    """Raise CourseError that names the first worker, or this machine, which is not what the lock says."""
    everyone = {"This machine": here} | {f"The worker {name}": one.environment for name, one in workers.items()}
    for who, theirs in everyone.items():
        found = list(_differences(theirs, here, locked))
        if found:
            more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
            raise CourseError(
                f"{who} is not what {LOCK} and this machine say, so its results would not be the same: "
                f"{', '.join(found[:_SHOWN])}{more}. Run `make course` there to install the lock, or leave it out."
            )


def _differences(theirs, here, locked):
    from course_utils.run.cluster_worker import plain

    if theirs.python != here.python:
        yield f"Python {theirs.python} in place of {here.python}"
    for name, version in locked.items():
        installed = theirs.packages[name]
        if installed is None and here.packages[name] is not None:
            yield f"{name} {version} is missing"
        elif installed is not None and plain(installed) != version:
            yield f"{name} {installed} in place of {version}"
    if theirs.source != here.source:
        yield "another state of course_utils (a worker that ran when it changed must be started again)"


def _threads(workers):
    """Threads for each notebook: the cores of a host, shared by all slots there; the fewest of any host."""
    slots, cores = defaultdict(int), {}
    for one in workers:
        slots[one.host] += one.slots
        cores[one.host] = one.cores
    return min(max(1, cores[host] // slots[host]) for host in slots)

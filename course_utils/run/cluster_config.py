"""Clusters that are started for one run, on Slurm or Kubernetes, from a table of `cluster.toml`."""

import tomllib
from contextlib import contextmanager

from course_utils.errors import CourseError
from course_utils.learn.paths import project_dir

FILE = "cluster.toml"
KINDS = ("slurm", "kubernetes")
_OWN = {"workers": int, "wait_seconds": (int, float)}
_EXAMPLE = 'Write one such as [slurm] with workers = 2, cores = 8, memory = "32 GB", queue = "gpu"; docs/cluster.md shows all of it.'


def settings(kind, path=None):
    """The table of this kind as a dict; CourseError where the file or the table is missing or wrong."""
    path = path or project_dir() / FILE
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise CourseError(f"--on {kind} reads {path}, which is not there. {_EXAMPLE}") from None
    except ValueError as error:
        raise CourseError(f"{path} is not TOML: {error}. Correct it, as docs/cluster.md shows.") from None
    table = tables.get(kind)
    if not isinstance(table, dict):
        raise CourseError(f"{path} has no table [{kind}]. {_EXAMPLE}")
    for name, kinds in _OWN.items():
        if not isinstance(table.get(name, 1), kinds) or table.get(name, 1) <= 0:
            raise CourseError(f"{name} in [{kind}] of {path} must be a positive number, not {table[name]!r}.")
    return table


@contextmanager
def started(kind, path=None):
    """A Dask cluster object with its workers asked for, closed at the end, and the seconds to wait for the first."""
    table = settings(kind, path)
    make = slurm if kind == "slurm" else kubernetes
    with make(table) as cluster:
        if kind == "slurm":
            cluster.scale(jobs=table.get("workers", 1))
        yield cluster, table.get("wait_seconds", 600)


def slurm(table):
    """The `dask_jobqueue.SLURMCluster` of a table: one worker a job, one notebook at a time in each.

    Its `job_script()` is what Slurm gets.
    """
    from dask_jobqueue import SLURMCluster

    options = {"name": "course", "processes": 1, **_without_own(table)}
    # To dask-jobqueue, cores are threads of the worker, and so notebooks at a time; what Slurm reserves is job_cpu.
    cores = {"cores": 1, "job_cpu": options["cores"]} if "cores" in options else {}
    return _made(SLURMCluster, options | cores, "slurm")


def kubernetes(table):
    """The `dask_kubernetes.operator.KubeCluster` of a table, made from `manifest(table)`."""
    from dask_kubernetes.operator import KubeCluster

    return _made(KubeCluster, {"custom_cluster_spec": manifest(table)}, "kubernetes")


def manifest(table):
    """What Kubernetes gets: the DaskCluster resource, as a dict."""
    _require_kubernetes()
    from dask_kubernetes.operator import make_cluster_spec

    options = {"name": "course", "worker_command": ["dask", "worker", "--nthreads", "1"], **_without_own(table)}
    return _made(make_cluster_spec, options | {"n_workers": table.get("workers", 1)}, "kubernetes")


def _without_own(table):
    return {name: value for name, value in table.items() if name not in _OWN}


def _made(make, options, kind):
    try:
        return make(**options)
    except (TypeError, ValueError) as error:
        raise CourseError(f"[{kind}] of {FILE} does not say what a cluster needs: {error}.") from None


def _require_kubernetes():
    try:
        import dask_kubernetes  # noqa: F401 - asks only whether it is there
    except ModuleNotFoundError:
        raise CourseError(
            "--on kubernetes needs dask-kubernetes, which no extra brings, because some two dozen further packages come with it. "
            "Type: .venv/bin/pip install --constraint requirements.lock dask-kubernetes"
        ) from None

"""Which notebook starts next: longest first along the graph, and never more than the machine holds."""

from dataclasses import dataclass

from course_utils.run.graph import seconds_to_the_end

UNKNOWN_SECONDS = 40.0  # the course's average on two cores
UNKNOWN_PEAK_BYTES = 3 * 1024**3 // 2  # a notebook that trains with torch


@dataclass(frozen=True)
class Capacity:
    """What may be in use at a time: notebooks, memory in bytes (None: not looked at), GPUs by name (None: any number)."""

    jobs: int
    memory_bytes: int | None = None
    gpus: tuple[str, ...] | None = ()


@dataclass(frozen=True)
class Need:
    """What a notebook will take; `seconds` and `peak_bytes` are None where none were recorded."""

    seconds: float | None = None
    peak_bytes: int | None = None
    uses_gpu: bool = False

    @property
    def expected_seconds(self):
        """The recorded seconds, else the stated default."""
        return UNKNOWN_SECONDS if self.seconds is None else self.seconds

    @property
    def memory_bytes(self):
        """The recorded peak, else the stated default."""
        return UNKNOWN_PEAK_BYTES if self.peak_bytes is None else self.peak_bytes


def order(graph, needs):
    """All lessons, the one with the longest chain of work behind it first; equals stay in their order."""
    seconds = {name: need.expected_seconds for name, need in needs.items()}
    chains = seconds_to_the_end(graph, seconds)
    return sorted(graph, key=lambda lesson: -chains[lesson])


def seconds_left(needs, gone, jobs):
    """About how long the lessons in `gone` still take, `jobs` at a time; `gone` has the seconds that each has run so far."""
    left = [max(0.0, needs[lesson].expected_seconds - seconds) for lesson, seconds in gone.items()]
    return max([sum(left) / jobs, *left])


def ready(waiting, graph, ended):
    """The waiting lessons all of whose predecessors have ended, however that was, in the order given."""
    return [lesson for lesson in waiting if all(earlier in ended for earlier in graph[lesson])]


def admit(candidates, running, needs, capacity):
    """Which of the candidates, in their order, may start beside those that run: pairs (lesson, GPU or None).

    `running` maps a lesson to its GPU. One that alone needs more memory than there is starts when
    nothing else runs, and then nothing starts beside it.
    """
    held, started = dict(running), []
    memory = sum(needs[lesson].memory_bytes for lesson in held)
    for lesson in candidates:
        if len(held) >= capacity.jobs:
            break
        granted, gpu = _gpu(needs[lesson], held, capacity.gpus)
        if granted and (not held or _fits(memory + needs[lesson].memory_bytes, capacity)):
            held[lesson] = gpu
            memory += needs[lesson].memory_bytes
            started.append((lesson, gpu))
    return started


def _fits(memory_bytes, capacity):
    return capacity.memory_bytes is None or memory_bytes <= capacity.memory_bytes


def _gpu(need, held, gpus):
    """Whether the notebook may start as far as GPUs go, and the GPU that it gets."""
    if not need.uses_gpu or gpus is None:
        return True, None
    free = [gpu for gpu in gpus if gpu not in held.values()]
    return bool(free), free[0] if free else None

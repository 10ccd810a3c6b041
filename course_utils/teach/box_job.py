"""One job in the sandbox, watched from outside: its clock, its memory, its processes and its reply."""

import json
import os
import select
import signal
import socket
import time
from contextlib import suppress
from dataclasses import dataclass, field

_TICK_SECONDS = 0.05
_START_SECONDS = 60.0
_END_SECONDS = 20.0
_GRACE_SECONDS = 1.0  # the attempt's own alarm comes first and says more
_CHUNK = 2**20


class TemplateDied(Exception):
    """The sandbox ended under the job."""


@dataclass
class Watched:
    """What is known of a running job; `status` is as `os.waitpid` gives it, `refusal` why it was not even begun."""

    limits: object
    pidfd: int | None = None
    started: float | None = None
    status: int | None = None
    refusal: str = ""
    stopped: str = ""
    peak_bytes: int | None = None
    reply: bytearray = field(default_factory=bytearray)

    @property
    def seconds(self):
        """Since the job's first process began; 0 before."""
        return time.monotonic() - self.started if self.started else 0.0


def perform(template, request, limits):
    """Run one request (bytes) and return what came of it; raises TemplateDied where the template did not live to tell."""
    job = Watched(limits)
    reply, control, generation = _begin(template, request, limits)
    try:
        with control:
            _follow(job, reply, control)
    except TemplateDied:
        template.renew(generation)
        raise
    finally:
        os.close(reply)
        if job.pidfd is not None:
            os.close(job.pidfd)
    return job


def _begin(template, request, limits):
    """Hands the job over; returns the reply's reading end, our end of the control socket, and the template's number."""
    file = os.memfd_create("request")
    reading, writing = os.pipe()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        with open(file, "wb", closefd=False) as out:
            out.write(request)
        os.lseek(file, 0, os.SEEK_SET)
        generation = template.ask(vars(limits), [file, writing, theirs.fileno()])
    except OSError:
        os.close(reading)
        ours.close()
        template.renew(template.generation)
        raise TemplateDied from None
    finally:
        os.close(file)
        os.close(writing)
        theirs.close()
    os.set_blocking(reading, False)
    return reading, ours, generation


def _follow(job, reply, control):
    begun, poll = time.monotonic(), select.poll()
    for one in (reply, control.fileno()):
        poll.register(one, select.POLLIN)
    due, killed = time.monotonic() + _TICK_SECONDS, None
    while job.status is None and not job.refusal:
        ready = dict(poll.poll(max(0.0, due - time.monotonic()) * 1000))
        if reply in ready and not _read(job, reply):
            poll.unregister(reply)
        if control.fileno() in ready:
            _hear(job, control)
        if job.status is None and time.monotonic() >= due:
            due = time.monotonic() + _TICK_SECONDS
            _measure(job)
        if job.stopped and killed is None and job.pidfd is not None:
            killed = time.monotonic()
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(job.pidfd, signal.SIGKILL)
        late = begun + _START_SECONDS if job.started is None else (killed or due) + _END_SECONDS
        if time.monotonic() > late:
            raise TemplateDied
    while _read(job, reply) and not job.stopped:
        pass


def _hear(job, control):
    message, descriptors, _, _ = socket.recv_fds(control, 65536, 1)
    if not message:
        raise TemplateDied
    if descriptors:
        job.pidfd, job.started = descriptors[0], time.monotonic()
    told = json.loads(message)
    job.status, job.refusal = told.get("status"), told.get("refusal", "")


def _read(job, reply):
    """Takes what is there of the reply; False at its end."""
    try:
        chunk = os.read(reply, _CHUNK)
    except BlockingIOError:
        return True
    if len(job.reply) + len(chunk) > job.limits.reply_bytes:
        job.stopped = f"Its reply was larger than {_size(job.limits.reply_bytes)}."
        return False
    job.reply += chunk
    return bool(chunk)


def _measure(job):
    """Looks at all processes of the job, and finds why it has to be stopped; one that ended in between counts no more."""
    if job.pidfd is None or job.stopped:
        return
    limits, usage = job.limits, [_usage(pid) for pid in _tree(_pid(job.pidfd))]
    used, processor_seconds = (sum(one) for one in zip((0, 0), *usage, strict=True))
    job.peak_bytes = max(used, job.peak_bytes or 0) or None
    if job.seconds > limits.seconds + _GRACE_SECONDS:
        job.stopped = f"It was still running after {limits.seconds:g} seconds and was stopped."
    elif used > limits.memory_bytes:
        job.stopped = f"It took more than {_size(limits.memory_bytes)} of memory and was stopped."
    elif len(usage) > limits.processes:
        job.stopped = f"It started more than {limits.processes} processes and was stopped."
    elif processor_seconds > limits.cpu_seconds + _GRACE_SECONDS:
        job.stopped = f"It used more than {limits.cpu_seconds} seconds of processor time and was stopped."


def _pid(pidfd):
    with open(f"/proc/self/fdinfo/{pidfd}") as file:
        return int(next(line for line in file if line.startswith("Pid:")).split()[1])


def _tree(root):
    """The process and all below it; orphans of a PID namespace hang at its first process."""
    if root < 1:
        return []
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        with suppress(OSError):
            for thread in os.listdir(f"/proc/{pid}/task"):
                with suppress(OSError), open(f"/proc/{pid}/task/{thread}/children") as file:
                    waiting += map(int, file.read().split())
    return found


def _usage(pid):
    """Bytes and processor seconds of a process.

    The bytes are its share of the pages that it shares: of the template's at most a third counts, and those that
    processes of one job share count once in all. Private pages alone would miss what a fork has made shared.
    """
    memory = seconds = 0
    with suppress(OSError, ValueError):
        with open(f"/proc/{pid}/smaps_rollup") as file:
            sizes = dict(line.split()[:2] for line in file if line.split()[0].startswith(("Pss_", "SwapPss")))
        memory = sum(int(sizes.get(name, 0)) for name in ("Pss_Anon:", "Pss_Shmem:", "SwapPss:")) * 1024
    with suppress(OSError, ValueError), open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
        seconds = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return memory, seconds


def _size(count):
    return f"{count / 2**30:g} GiB" if count >= 2**30 else f"{count / 2**20:g} MiB"

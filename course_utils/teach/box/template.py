"""Inside the sandbox: the process that imports the heavy packages once and forks for each job.

It runs no operation of theirs, and has one thread: a fork after torch's or OpenBLAS' threads have
started can hang. It never sees a job's answer; each job has a pipe of its own.
"""

import gc
import importlib
import json
import os
import signal
import socket
import sys

from course_utils.teach.box import confine, work

# What a first use of a package would import, slowly, in every job again.
_LATER = {"torch": ("torch.optim", "torch._dynamo"), "matplotlib": ("matplotlib.pyplot",), "numpy": ("numpy.random",)}


def main():
    """Serves jobs until the parent closes its end; the arguments are the channel's descriptor and JSON settings."""
    channel, settings = socket.socket(fileno=int(sys.argv[1])), json.loads(sys.argv[2])
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # ended jobs need no waiting for
    _prepare(settings)
    channel.send(json.dumps({"threads": len(os.listdir("/proc/self/task"))}).encode())
    while True:
        message, descriptors, _, _ = socket.recv_fds(channel, 65536, 3)
        if not message:
            return
        if os.fork() == 0:
            channel.close()
            _guarded(json.loads(message), *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def _prepare(settings):
    if settings["leave_root"]:
        confine.leave_root()
    sys.path += settings["paths"]
    for module in settings["modules"]:
        for name in (module, *_LATER.get(module, ())):
            importlib.import_module(name)
    gc.collect()
    gc.freeze()  # else each job's first collection would copy every page


def _guarded(limits, request, reply, control):
    """The job's outermost process: it makes the namespaces, starts their first process and tells how that ended."""
    control = socket.socket(fileno=control)
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        confine.new_namespaces()
        pid = os.fork()
        if pid == 0:
            _first(limits, request, reply, control)
        os.close(request)
        os.close(reply)
        socket.send_fds(control, [b"{}"], [os.pidfd_open(pid)])
        control.send(json.dumps({"status": os.waitpid(pid, 0)[1]}).encode())
    except BaseException as problem:
        _refuse(control, problem)
    finally:
        os._exit(0)


def _first(limits, request, reply, control):
    try:
        confine.confine(limits, (request, reply, control.fileno()))
    except BaseException as problem:
        _refuse(control, problem)
        os._exit(1)
    try:
        control.close()
        work.perform(request, reply)
    finally:
        os._exit(0)


def _refuse(control, problem):
    control.send(json.dumps({"refusal": f"{type(problem).__name__}: {problem}"[:500]}).encode())

"""The sandbox's template process as the grader holds it: started, asked for jobs, started anew where it died."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from course_utils.errors import CourseError
from course_utils.teach import box_command

_START_SECONDS = 120.0
_END_SECONDS = 5.0


class Template:
    """One template at a time; `generation` counts them, so that of many that saw one die only the first renews it."""

    def __init__(self, modules):
        self.modules, self.generation, self.closed = tuple(modules), 0, False
        self.lock = threading.Lock()
        # The kernel kills the sandbox when the thread that started it ends, so one thread that stays starts all.
        self.starter = ThreadPoolExecutor(1, "sandbox-starter")
        try:
            self.process, self.channel = self.starter.submit(self._start).result()
        except BaseException:
            self.starter.shutdown()
            raise

    def ask(self, limits, descriptors):
        """Have a job started; returns the generation that was asked. Raises OSError where the template is gone."""
        with self.lock:
            socket.send_fds(self.channel, [json.dumps(limits).encode()], descriptors)
            return self.generation

    def renew(self, generation):
        """A new template in the place of that one, unless another thread has put one there already.

        Raises CourseError where the sandbox was closed, or does not start again.
        """
        with self.lock:
            if self.closed:
                raise CourseError("The sandbox was closed while a job ran in it.")
            if generation == self.generation:
                _end(self.process, self.channel)
                self.generation += 1
                self.process, self.channel = self.starter.submit(self._start).result()

    def close(self):
        """Ends the sandbox and everything in it."""
        with self.lock:
            self.closed = True
            _end(self.process, self.channel)
        self.starter.shutdown()

    def _start(self):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        settings = {
            "paths": [box_command.inside(folder) for folder in box_command.package_folders()],
            "prefixes": [box_command.inside(folder) for folder in (sys.prefix, sys.exec_prefix)],
            "modules": self.modules,
            "leave_root": box_command.leaves_root(),
        }
        with theirs, tempfile.TemporaryFile() as said:
            process = subprocess.Popen(
                box_command.command(str(theirs.fileno()), json.dumps(settings)),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # an interrupt at the keyboard is the grader's to handle
            )
            theirs.close()
            try:
                self._await(ours, said)
            except BaseException:
                _end(process, ours)
                raise
        return process, ours

    def _await(self, channel, said):
        channel.settimeout(_START_SECONDS)
        try:
            ready = channel.recv(65536)
        except TimeoutError:
            raise CourseError(f"The sandbox did not start within {_START_SECONDS:.0f} seconds.") from None
        channel.settimeout(None)
        if not ready:
            said.seek(0)
            lines = said.read().decode(errors="replace").strip().splitlines() or ["no reason given"]
            raise CourseError(f"The sandbox does not start: {lines[-1]}.")
        threads = json.loads(ready)["threads"]
        if threads != 1:
            raise CourseError(
                f"The packages {', '.join(self.modules)} start {threads - 1} threads when they are imported; "
                "the sandbox can fork only without."
            )


def _end(process, channel):
    with suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGKILL)  # its PID namespace ends with it
    process.wait()
    with suppress(OSError):
        channel.settimeout(_END_SECONDS)
        while channel.recv(65536):  # it ends when the last process inside has
            pass
    channel.close()

"""The gauge: a live view of the card's memory, or of RAM where there is no card, once a second.

One thread of the kernel reads and sends, whatever the main thread does. Code that holds Python's
global lock stops every thread, this one and the one that sends to the page: then the gauge says
how old its last reading is, goes on afterwards, and its curves keep the gap.
"""

import contextvars
import os
import sys
import threading
import time
from collections import deque
from functools import cache
from pathlib import Path

from course_utils.gpu.gauge import sample

SECONDS = 1.0
KEPT = 62  # samples: those of 60 s, and the newest
# A page says every 5 minutes that it is still there (gauge.js). One that vanished without a word,
# such as a browser that was killed, is given up after three such times.
LEASE_SECONDS = 900
UNANSWERED = "a view that has not answered yet"
HERE = Path(__file__).parent
# The same in every run: a stored notebook keeps no stale figure, and nbval finds no difference.
ELSEWHERE = "Gauge: run this cell in JupyterLab to see the memory and the load of this machine, live."


def gauge():
    """Show the memory of the card (of RAM where there is none), who holds it, and the load, live in JupyterLab.

    Without a page (terminal, papermill, nbval) it prints one line instead.
    """
    shell = _shell()
    if _has_page(shell):
        _display(_sampler.show(shell))
    elif _in_kernel(shell) and "PYTEST_VERSION" in os.environ:
        _display({"text/plain": ELSEWHERE})
    elif shell is not None:
        _display({"text/plain": sample.line(sample.read(cpu_interval_seconds=0.1))})
    else:
        print(sample.line(sample.read(cpu_interval_seconds=0.1)))


def _shell():
    ipython = sys.modules.get("IPython")  # a plain Python program has none, and needs none
    return ipython.get_ipython() if ipython else None


def _in_kernel(shell):
    return getattr(shell, "kernel", None) is not None


def _has_page(shell):
    # Jupyter's server sets the first for every kernel that it starts, and VS Code the second;
    # papermill, nbclient and nbval start kernels without either.
    return _in_kernel(shell) and not {"JPY_SESSION_NAME", "VSCODE_PID"}.isdisjoint(os.environ)


def _display(bundle):
    from IPython.display import display

    display(bundle, raw=True)


class Sampler:
    """The one thread that reads this machine, and the one widget that it feeds, however many views show it.

    It runs while a view is on a page. Messages from pages may come in any thread of the kernel.
    """

    def __init__(self):
        self._lock = threading.Lock()
        self._leases = {}  # view: when it is given up, on the monotonic clock
        self._samples = deque(maxlen=KEPT)
        self._thread = None
        self._widget = None
        self._cell_runs = False

    def show(self, shell):
        """The MIME bundle of one more view."""
        page = self._read(cpu_interval_seconds=0.1)
        if self._widget is None or self._widget.comm is None:  # none yet, or closed by Widget.close_all()
            self._widget = _new_widget(page, self.hear)
            _watch_cells(shell, self._cell_starts, self._cell_ends)
        self._keep(UNANSWERED)
        bundle, _ = self._widget._repr_mimebundle_()
        return {**bundle, "text/plain": ELSEWHERE}

    def hear(self, _widget, message, _buffers):
        """Take a page's message: {"view": its id, "shown": whether it is still there}."""
        if message["shown"]:
            self._keep(message["view"])
        with self._lock:
            self._leases.pop(UNANSWERED if message["shown"] else message["view"], None)

    def _keep(self, view):
        with self._lock:
            self._leases[view] = time.monotonic() + LEASE_SECONDS
            if self._thread is None or not self._thread.is_alive():
                # In a copy of this cell's context, for the messages to name it as their parent:
                # ipykernel takes the cell that runs now for a thread without a context of its own.
                context = contextvars.copy_context()
                self._thread = threading.Thread(target=context.run, args=(self._run,), name="gauge", daemon=True)
                self._thread.start()

    def _run(self):
        sample.read_host()  # the first reading of a thread starts the CPU's interval
        due = time.monotonic()
        while self._is_wanted():
            due = max(due + SECONDS, time.monotonic())
            time.sleep(max(0, due - time.monotonic()))
            self._widget.page = self._read()

    def _read(self, cpu_interval_seconds=None):
        newest = sample.read(cpu_interval_seconds)
        with self._lock:
            self._samples.append(newest)
            recent = [one for one in self._samples if newest.seconds - one.seconds <= 60]
        return {**sample.page(recent), "cell_runs": self._cell_runs}

    def _is_wanted(self):
        now = time.monotonic()
        with self._lock:
            # While a cell runs a page may be unable to make itself heard.
            if not self._cell_runs:
                self._leases = {view: until for view, until in self._leases.items() if until > now}
            if not self._leases:
                self._thread = None
            return bool(self._leases)

    def _cell_starts(self, _info):
        self._cell_runs = True

    def _cell_ends(self, _result):
        with self._lock:
            self._leases = dict.fromkeys(self._leases, time.monotonic() + LEASE_SECONDS)
            self._cell_runs = False


_sampler = Sampler()


def _watch_cells(shell, starts, ends):
    shell.events.register("pre_run_cell", starts)
    shell.events.register("post_run_cell", ends)
    starts(None)  # the cell that calls gauge() runs already


@cache
def _widget_class():
    import anywidget
    import traitlets

    class Gauge(anywidget.AnyWidget):
        _esm = HERE / "gauge.js"
        _css = HERE / "gauge.css"
        page = traitlets.Dict().tag(sync=True)

    return Gauge


def _new_widget(page, hear):
    widget = _widget_class()(page=page)
    widget.on_msg(hear)
    # The comm's own handler runs IPython's hooks around every message. matplotlib's hook draws and
    # closes all figures, and would do so in the middle of a cell that is still drawing one.
    widget.comm.handle_msg = widget._handle_msg
    return widget

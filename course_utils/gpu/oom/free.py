"""`free()`: give back the memory that a failed cell keeps, and name what still holds the rest."""

import gc
import sys
import time
from dataclasses import dataclass

from course_utils.gpu import memory
from course_utils.gpu.device import show_bytes
from course_utils.gpu.oom import census, holders, leftovers

SHOWN = 5
MIB = 1024**2


@dataclass(frozen=True)
class Held:
    """Memory that is still alive behind one or several names; every one of them must go before it comes back."""

    names: tuple[str, ...]
    bytes: int
    tensors: int
    largest: str


@dataclass(frozen=True, repr=False)
class Freed:
    """What `free` did: readings before and after, what it let go of, what still holds tensors, largest first.

    `graphs` are variables whose tensors keep a backward graph alive, with activations in it that
    Python cannot see.
    """

    before: memory.Reading
    after: memory.Reading
    dropped: tuple[str, ...]
    held: tuple[Held, ...]
    graphs: tuple[str, ...]
    seconds: float
    printed_in: int | None = None

    @property
    def back_bytes(self):
        """What came back: of torch's tensors on the card, else of this process's resident RAM; below 0 it grew."""
        if self.after.allocated_bytes is not None:
            return self.before.allocated_bytes - self.after.allocated_bytes
        return self.before.rss_bytes - self.after.rss_bytes

    def __repr__(self):
        return "\n".join([self.headline(), *_readings(self.before, self.after), *self.still()])

    def headline(self):
        """One sentence: how much came back, and from what."""
        if self.back_bytes < MIB:
            return f"Nothing came back (less than 1 MiB). {_let_go(self.dropped)}"
        where = "the card" if self.after.allocated_bytes is not None else "RAM"
        return f"{show_bytes(self.back_bytes)} of {where} came back. {_let_go(self.dropped)}"

    def still(self):
        """The lines that name what did not come back."""
        lines = ["Still held, because a name leads to it (all names of a line must go):"] if self.held else []
        for one in self.held[:SHOWN]:
            several = f"{one.tensors} tensors, the largest" if one.tensors > 1 else "1 tensor,"
            lines.append(f"  {', '.join(one.names)}: {show_bytes(one.bytes)} in {several} {one.largest}")
        if rest := self.held[SHOWN:]:
            lines.append(f"  and {show_bytes(sum(one.bytes for one in rest))} under {len(rest)} more names")
        if self.graphs:
            lines.append(
                f"Activations hang on {', '.join(self.graphs)}, for a backward pass: .item() or .detach() lets them go."
            )
        return lines

    def _ipython_display_(self):
        # `free()` as a cell's last line has printed this already.
        if self.printed_in is None or self.printed_in != _cell_number():
            print(self)


def free():
    """Drop what a failed cell keeps alive, return the memory, print how much came back and what still holds the rest.

    Lets go of the last traceback's local variables and of outputs (`Out[n]`, `_`) that hold
    tensors, collects garbage, empties torch's cache and C's heap. Variables of yours are not
    touched, so an exception in one of them keeps its traceback.
    """
    ipython = leftovers.shell()
    freed = free_now(ipython, ipython.user_ns if ipython else vars(sys.modules["__main__"]), printed_in=_cell_number())
    print(freed)
    return freed


def free_now(ipython, namespace, failed=(), printed_in=None):
    """What `free` does, without printing; `failed` are exceptions to drop besides those that Python remembers."""
    started, before = time.monotonic(), memory.read()
    dropped = leftovers.drop(ipython, namespace, failed)
    collect()
    after = memory.read()
    hidden = getattr(ipython, "user_ns_hidden", ())
    held, graphs = still_held(namespace, hidden, "cpu" if after.allocated_bytes is None else "cuda")
    return Freed(before, after, tuple(dropped), held, graphs, time.monotonic() - started, printed_in)


def collect():
    """Collect garbage, empty torch's cache where it opened a card, and give C's free heap back to the system."""
    gc.collect()
    if torch := memory.cuda():
        torch.cuda.empty_cache()
    memory.trim()


def still_held(namespace, hidden, device_type):
    """The tensors that are alive on this device, as `Held` by the names that lead to them, and the names with graphs."""
    found = census.take()
    sizes, variables = found.on(device_type), holders.by_variable(namespace, hidden)
    named = {f"`{name}`": held for name, held in variables.items()} | holders.by_running_function()
    graphs = tuple(f"`{name}`" for name in variables if _keeps_graph(namespace.get(name)))
    groups = {}
    for key in sizes:
        names = tuple(_with_note(name, held[key]) for name, held in named.items() if key in held)
        groups.setdefault(names, []).append(key)
    for key in sorted(groups.pop((), []), key=sizes.get, reverse=True)[:SHOWN]:
        name = holders.hidden_holder(found.tensors[key][0], [found.tensors[key]]) or (
            f"the backward graph of {' or '.join(graphs)}" if graphs else "no name that Python can see"
        )
        groups.setdefault((name,), []).append(key)
    held = [_held(names, keys, found) for names, keys in groups.items()]
    return tuple(sorted(held, key=lambda one: -one.bytes)), graphs


def _held(names, keys, found):
    largest = max(keys, key=found.storages.get)
    tensor = max(found.tensors[largest], key=lambda one: one.numel())
    shape = "×".join(str(one) for one in tensor.shape) or "scalar"
    words = (
        f"{shape} {str(tensor.dtype).removeprefix('torch.')} on {tensor.device} ({show_bytes(found.storages[largest])})"
    )
    return Held(names, sum(found.storages[key] for key in keys), len(keys), words)


def _with_note(name, note):
    return f"{name} ({note})" if note else name


def _keeps_graph(value):
    several = value if isinstance(value, (list, tuple)) else value.values() if isinstance(value, dict) else [value]
    return any(getattr(one, "grad_fn", None) is not None for one in several)


def _readings(before, after):
    rows = [
        ("tensors", before.allocated_bytes, after.allocated_bytes),
        ("with torch's cache", before.reserved_bytes, after.reserved_bytes),
        ("RAM of this process", before.rss_bytes, after.rss_bytes),
    ]
    return [f"  {name}: {show_bytes(was)} → {show_bytes(now)}" for name, was, now in rows if was is not None]


def _let_go(dropped):
    return f"Let go of {', '.join(dropped)}." if dropped else "No traceback and no output held any tensor."


def _cell_number():
    ipython = leftovers.shell()
    return getattr(ipython, "execution_count", None)

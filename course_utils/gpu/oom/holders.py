"""Who keeps a tensor alive: the variables that lead to it, or else the hidden place that does."""

import gc
import inspect
import sys
import time
from types import CodeType, FunctionType, GeneratorType, ModuleType

from course_utils.gpu.monitor import places
from course_utils.gpu.oom import census

SECONDS = 1.0
NODES = 200_000
LEVELS = 16
_LEAVES = (str, bytes, int, float, complex, bool, type(None), type, ModuleType, CodeType)
# Through one of these every variable of the notebook can be reached, so a walk stops there.
_HUBS = ("IPython", "ipykernel", "zmq", "tornado", "asyncio", "jupyter_client", "threading", "_thread")
_LOGGERS = ("Logger", "RootLogger", "Manager")


def by_variable(namespace, hidden=(), seconds=SECONDS):
    """The storages that each variable leads to: {name: {storage key: note}}; a note says how, where it is no plain attribute.

    `hidden` are names that are not the user's. A walk that runs out of time leaves variables out.
    """
    deadline, stops = time.monotonic() + seconds, _namespaces(namespace)
    found = {}
    for name, value in list(namespace.items()):
        if name in hidden or _is_ipythons(name) or time.monotonic() > deadline:
            continue
        held = {census.storage_of(tensor)[0]: note for tensor, note in tensors_in(value, stops, deadline)}
        if held:
            found[name] = held
    return found


def by_running_function(seconds=SECONDS):
    """The same for the local variables of the reader's functions that run now, in any thread."""
    deadline, stops, found = time.monotonic() + seconds, _namespaces({}), {}
    for frame in list(sys._current_frames().values()):
        while frame is not None:
            if frame.f_code.co_flags & inspect.CO_OPTIMIZED and places.is_users(frame.f_code.co_filename):
                for name, value in _locals(frame).items():
                    if held := {census.storage_of(one)[0]: note for one, note in tensors_in(value, stops, deadline)}:
                        found[f"local variable {name} of {frame.f_code.co_name}(), which is running"] = held
            frame = frame.f_back
    return found


def _locals(frame):
    # Before Python 3.13 a frame keeps the copy that it gives out, and with it the tensors.
    copy = frame.f_locals
    found = dict(copy)
    if sys.version_info < (3, 13):
        copy.clear()
    return found


def tensors_in(value, stops=frozenset(), deadline=None, nodes=NODES):
    """Each tensor that a value leads to, with the note of its way; `stops` are ids of objects not to enter."""
    torch = sys.modules.get("torch")
    if torch is None or not hasattr(torch, "Tensor"):
        return
    seen, stack = set(), [(value, "")]
    while stack and len(seen) < nodes and not (deadline and time.monotonic() > deadline):
        thing, note = stack.pop()
        if id(thing) in seen or id(thing) in stops or issubclass(type(thing), _LEAVES) or _is_hub(thing):
            continue
        seen.add(id(thing))
        if issubclass(type(thing), torch.Tensor):
            yield thing, note
        note = note or note_of(thing)
        # Numbers and strings are not tracked: what the collector does not track leads to no tensor.
        stack += [(child, note) for child in children(thing) if gc.is_tracked(child)]


def children(thing):
    """What a walk goes on to: a function's closure and defaults but not its module, a tensor's gradient too."""
    if type(thing) is FunctionType:
        return [one for one in (thing.__closure__, thing.__defaults__, thing.__kwdefaults__, vars(thing)) if one]
    if type(thing) is list and len(thing) > NODES:
        return thing[:NODES]
    torch = sys.modules.get("torch")
    if torch and issubclass(type(thing), torch.Tensor):
        grad = thing.grad if thing.is_leaf else None
        return [*gc.get_referents(thing), *([] if grad is None else [grad])]
    return gc.get_referents(thing)


def note_of(thing):
    """How a thing holds others where no attribute or item says so, such as "closure of f", else ""."""
    if type(thing) is FunctionType and thing.__closure__:
        return f"closure of {thing.__qualname__}"
    if type(thing) is GeneratorType:
        return f"frame of generator {thing.__qualname__}"
    if issubclass(type(thing), BaseException):
        return f"traceback of {type(thing).__name__}"
    return ""


def hidden_holder(tensor, ignored=(), seconds=SECONDS):
    """Who holds a tensor that no variable leads to, in words such as "logger 'train', BufferingHandler", or None.

    Walks Python's references backwards, level by level; `ignored` are objects of the caller's.
    """
    deadline, notes = time.monotonic() + seconds, {id(tensor): ""}
    own = {id(one) for one in ignored} | {id(sys._getframe()), id(notes)}
    modules = {id(vars(one)): name for name, one in list(sys.modules.items()) if type(one) is ModuleType}
    level = [tensor]
    for _ in range(LEVELS):
        own.add(id(level))
        above = gc.get_referrers(*level)
        own.add(id(above))
        above, level = [one for one in above if id(one) not in own and id(one) not in notes], level
        for thing in above:
            if words := _root(thing, level, modules):
                return ", ".join(part for part in (words, _way(thing, level, notes)) if part)
            notes[id(thing)] = _way(thing, level, notes) or note_of(thing)
        if not above or time.monotonic() > deadline:
            break
        level = above
        own.add(id(level))
    return next((note for note in notes.values() if note), None)


def _way(thing, level, notes):
    below = {id(child) for child in gc.get_referents(thing)}
    return next((notes[id(one)] for one in level if id(one) in below and notes.get(id(one))), "")


def _root(thing, level, modules):
    logging, widgets = sys.modules.get("logging"), sys.modules.get("ipywidgets")
    if logging and issubclass(type(thing), logging.Handler):
        return f"{_logger_of(thing)}, {type(thing).__name__}"
    if widgets and issubclass(type(thing), widgets.Widget):
        return f"callback of the widget {type(thing).__name__}"
    if id(thing) in modules:
        below = {id(one) for one in level}
        name = next((name for name, value in thing.items() if id(value) in below), "a variable")
        return f"{name} in module {modules[id(thing)]}"
    if type(thing) is type:
        return f"class {thing.__qualname__}"
    return None


def _logger_of(handler):
    import logging

    if handler in logging.root.handlers:
        return "the root logger"
    loggers = logging.root.manager.loggerDict.items()
    names = [name for name, one in loggers if handler in getattr(one, "handlers", ())]
    return f"logger {names[0]!r}" if names else "a logger's handler"


def _is_hub(thing):
    kind = type(thing)
    return kind.__module__.partition(".")[0] in _HUBS or (kind.__module__ == "logging" and kind.__name__ in _LOGGERS)


def _namespaces(namespace):
    modules = [vars(one) for one in list(sys.modules.values()) if type(one) is ModuleType]
    return {id(one) for one in [namespace, sys.modules, *modules]}


def _is_ipythons(name):
    return name in {"In", "Out", "_", "__", "___", "_oh", "_dh", "_ih"} or name.strip("_").removeprefix("i").isdecimal()

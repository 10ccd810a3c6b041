"""What a failed or finished cell keeps alive without a variable of the user's: its traceback, and the outputs kept by number."""

import sys
import traceback

from course_utils.gpu.oom import holders

_LAST = ("last_exc", "last_value", "last_traceback", "last_type")


def shell():
    """The running IPython shell, or None."""
    IPython = sys.modules.get("IPython")
    return IPython.get_ipython() if IPython and hasattr(IPython, "get_ipython") else None


def drop(ipython, namespace, failed=()):
    """Let go of tracebacks and of outputs that hold tensors; says what was let go of, as a list of words.

    `ipython` is the shell or None, `failed` are exceptions besides those that Python and IPython
    remember. An exception that a variable of the user's holds stays as it is.
    """
    users = {id(value) for name, value in namespace.items() if not name.startswith("_")}
    handled = sys.exc_info()[1]
    handled = None if handled in failed else handled
    found = {id(one): one for start in [*failed, *remembered(ipython)] for one in chain(start)}
    ours = [one for key, one in found.items() if key not in users and one is not handled]
    dropped = [f"the traceback of {type(one).__name__}" for one in ours if one.__traceback__ is not None]
    for one in ours:
        clear(one)
    if handled is not None:  # inside `except`: free what it holds, but leave the traceback for a `raise`
        empty_frames(handled.__traceback__)
    forget(ipython)
    return list(dict.fromkeys(dropped)) + (drop_outputs(ipython) if ipython else [])


def remembered(ipython):
    """The exceptions that Python and IPython keep of the last cell that failed."""
    found = [getattr(sys, name, None) for name in ("last_exc", "last_value")]
    result = getattr(ipython, "last_execution_result", None)
    if result is not None:
        found += [result.error_in_exec, result.error_before_exec]
    return [one for one in found if isinstance(one, BaseException)]


def chain(exception):
    """An exception with all that it was raised from, that it interrupted, and that it groups."""
    seen, stack = {}, [exception]
    while stack:
        one = stack.pop()
        if one is not None and id(one) not in seen:
            seen[id(one)] = one
            stack += [one.__cause__, one.__context__, *getattr(one, "exceptions", ())]
    return list(seen.values())


def clear(exception):
    """Empty an exception's frames and cut its traceback off."""
    trace = exception.__traceback__
    exception.__traceback__ = None
    empty_frames(trace)
    while trace is not None:  # somebody up the stack may hold the first link: leave him only that
        trace.tb_next, trace = None, trace.tb_next


def empty_frames(trace):
    """Drop the local variables of the functions that have ended; a function that still runs keeps its own."""
    traceback.clear_frames(trace)
    running = set()
    frame = sys._getframe()
    while frame is not None:
        running.add(frame)
        frame = frame.f_back
    while trace is not None:
        # Whoever read f_locals (IPython does) left a copy in the frame; reading it anew empties that too.
        if trace.tb_frame not in running:
            trace.tb_frame.f_locals  # noqa: B018
        trace = trace.tb_next


def forget(ipython):
    """Make Python's and IPython's memory of the last error empty, the debugger's included."""
    for name in _LAST:
        if hasattr(sys, name):
            delattr(sys, name)
    formatter = getattr(ipython, "InteractiveTB", None)
    if formatter is not None:
        formatter.tb, formatter.pdb = None, None
        ipython.last_execution_result = None


def drop_outputs(ipython):
    """Let go of the outputs that lead to a tensor: `Out[n]`, `_n`, `_`, `__` and `___`; others stay."""
    names, dropped = ipython.user_ns, []
    outputs = names.get("_oh", {})
    for number in [number for number, value in list(outputs.items()) if leads_to_tensor(value)]:
        if names.get(f"_{number}") is outputs[number]:
            del names[f"_{number}"]
        del outputs[number]
        dropped.append(f"Out[{number}]")
    hook = ipython.displayhook
    for name in ("_", "__", "___"):
        value = getattr(hook, name, "")
        if leads_to_tensor(value):
            setattr(hook, name, "")
            if names.get(name) is value:  # a loop's own `_` is the user's
                names[name] = ""
    for hidden in [one for one, value in list(ipython.user_ns_hidden.items()) if leads_to_tensor(value)]:
        del ipython.user_ns_hidden[hidden]
    return dropped


def leads_to_tensor(value):
    """Whether a value is, or holds, a tensor, as far as a short walk can see."""
    return next(holders.tensors_in(value, nodes=20_000), None) is not None

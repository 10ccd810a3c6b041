"""Copies on the `meta` device: same shapes, no numbers, originals untouched."""

import copy
from contextlib import contextmanager
from types import CellType, CodeType, FunctionType, ModuleType


def to_meta(*objects):
    """Twins of modules, optimisers, tensors, functions and containers of them, as a tuple.

    What the originals share their twins share, so that an optimiser's twin steps its module's twin. A twin of
    a tensor requires gradients where the original does, and has none yet. A function's twin reads twins of the
    variables that it names, and so do the functions of the same notebook or file that it calls. What cannot be
    copied stays the original.
    """
    memo = {}
    with _deepcopy_makes_twins(memo):
        return tuple(copy.deepcopy(one, memo) for one in objects)


@contextmanager
def _deepcopy_makes_twins(memo):
    import torch

    storages, namespaces = {}, {}

    def tensor(self, memo):
        if id(self) not in memo:
            memo[id(self)] = _tensor(self, storages)
        return memo[id(self)]

    def function(one, memo):
        return _function(one, memo, namespaces)

    originals = [(owner, owner.__deepcopy__) for owner in (torch.Tensor, torch.nn.Parameter)]
    atomic = copy._deepcopy_dispatch[FunctionType]
    copy._deepcopy_dispatch[FunctionType] = function
    for owner, _ in originals:
        owner.__deepcopy__ = tensor
    torch.optim.Optimizer.__deepcopy__ = _optimiser
    try:
        yield
    finally:
        copy._deepcopy_dispatch[FunctionType] = atomic
        del torch.optim.Optimizer.__deepcopy__
        for owner, original in originals:
            owner.__deepcopy__ = original


def _tensor(original, storages):
    import torch

    storage = original.untyped_storage()
    if storage._cdata not in storages:
        storages[storage._cdata] = torch.UntypedStorage(storage.nbytes(), device="meta")
    twin = torch.empty(0, dtype=original.dtype, device="meta")
    twin.set_(storages[storage._cdata], original.storage_offset(), original.shape, original.stride())
    if isinstance(original, torch.nn.Parameter):
        return torch.nn.Parameter(twin, original.requires_grad)
    return twin.requires_grad_(original.requires_grad)


def _optimiser(original, memo):
    # torch's own copy leaves out what a subclass adds, and bitsandbytes cannot step without it.
    twin = memo[id(original)] = object.__new__(type(original))
    for name, value in vars(original).items():
        twin.__dict__[name] = _copied(value, memo)
    return twin


def _function(original, memo, namespaces):
    space = original.__globals__
    if not namespaces:
        namespaces[id(space)] = dict(space)  # that of the step itself
    elif id(space) not in namespaces:
        return original
    own = namespaces[id(space)]
    cells = original.__closure__ and tuple(CellType() for _ in original.__closure__)
    twin = FunctionType(original.__code__, own, original.__name__, original.__defaults__, cells)
    twin.__kwdefaults__ = original.__kwdefaults__
    memo[id(original)] = twin
    for cell, old in zip(cells or (), original.__closure__ or (), strict=True):
        cell.cell_contents = _copied(old.cell_contents, memo)
    for name in _names(original.__code__) & space.keys():
        if own[name] is space[name]:
            own[name] = _copied(space[name], memo)
    return twin


def reads(function):
    """The objects that a function names: from its closure and, as far as they exist, from its module."""
    closed = [cell.cell_contents for cell in function.__closure__ or ()]
    space = function.__globals__
    return closed + [space[name] for name in sorted(_names(function.__code__)) if name in space]


def _copied(value, memo):
    if isinstance(value, ModuleType):
        return value
    try:
        return copy.deepcopy(value, memo)
    except (TypeError, RuntimeError, AttributeError, NotImplementedError):  # a file, a lock, a thread, …
        return value


def _names(code):
    inner = (one for one in code.co_consts if isinstance(one, CodeType))
    return set(code.co_names).union(*(_names(one) for one in inner))

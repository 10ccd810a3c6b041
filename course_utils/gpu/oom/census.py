"""The tensors alive in this process: which memory they share, and what each is for."""

import gc
import sys
from dataclasses import dataclass, field

WEIGHTS, GRADIENTS, OPTIMISER, OTHER = "weights", "gradients", "optimiser", "other"


@dataclass
class Census:
    """What one pass over Python's objects found; it keeps the tensors alive, so let go of it before you free."""

    storages: dict = field(default_factory=dict)  # (device type, address) -> bytes
    tensors: dict = field(default_factory=dict)  # (device type, address) -> the tensors that share it
    optimisers: list = field(default_factory=list)
    modules: list = field(default_factory=list)

    def on(self, device_type):
        """The storages on "cuda" or "cpu", with their bytes."""
        return {key: size for key, size in self.storages.items() if key[0] == device_type}


def take():
    """Look at every object that Python's collector tracks; takes tens of milliseconds.

    A tensor that only C++ holds, such as one that autograd saved for backward, is not among them.
    """
    census, torch = Census(), sys.modules.get("torch")
    if torch is None or not hasattr(torch, "optim"):  # the second: an import that failed half-way
        return census
    kinds = (torch.Tensor, torch.optim.Optimizer, torch.nn.Module)
    wanted = {}
    for thing in gc.get_objects():
        # type() and not isinstance: a proxy answers isinstance by importing or computing something.
        kind = type(thing)
        if kind not in wanted:
            wanted[kind] = next((one for one in kinds if issubclass(kind, one)), None)
        if wanted[kind] is torch.Tensor:
            add(census, thing)
        elif wanted[kind] is not None:
            (census.modules if wanted[kind] is torch.nn.Module else census.optimisers).append(thing)
    return census


def add(census, tensor):
    """Count a tensor and its gradient, which has no Python object until somebody asks for it."""
    key, size = storage_of(tensor)
    if size:
        census.storages[key] = size
        census.tensors.setdefault(key, []).append(tensor)
    if tensor.is_leaf and tensor.grad is not None:
        key, size = storage_of(tensor.grad)
        census.storages[key] = size
        census.tensors.setdefault(key, [tensor.grad])


def storage_of(tensor):
    """The key and the bytes of the memory behind a tensor: (device type, address) and bytes, 0 where it has none."""
    import torch

    try:
        with torch._C.DisableTorchFunctionSubclass():
            storage = tensor.untyped_storage()
            return (tensor.device.type, storage.data_ptr()), 0 if tensor.is_meta else storage.nbytes()
    except (RuntimeError, NotImplementedError):  # sparse, fake and functional tensors have no storage of their own
        return (tensor.device.type, 0), 0


def roles(census):
    """What each storage is for: weights (with buffers), gradients, an optimiser's state, or other."""
    import torch

    found = dict.fromkeys(census.storages, OTHER)
    every = [tensor for several in census.tensors.values() for tensor in several]
    buffers = [one for module in census.modules for one in vars(module).get("_buffers", {}).values() if one is not None]
    leaves = [one for one in every if one.is_leaf]
    marks = (
        (WEIGHTS, buffers),
        (WEIGHTS, [one for one in every if issubclass(type(one), torch.nn.Parameter)]),
        (GRADIENTS, [one.grad for one in leaves if one.grad is not None]),
        (OPTIMISER, [one for optimiser in census.optimisers for one in states(optimiser)]),
    )
    for role, tensors in marks:
        for tensor in tensors:
            key, _ = storage_of(tensor)
            if key in found:
                found[key] = role
    return found


def states(optimiser):
    """The tensors of an optimiser's state, such as Adam's two averages of each weight."""
    import torch

    held = [value for state in optimiser.state.values() if isinstance(state, dict) for value in state.values()]
    return [value for value in held if isinstance(value, torch.Tensor)]

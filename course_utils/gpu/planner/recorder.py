"""Counts the storages that live on the card while a step runs on the `meta` device.

A storage is counted when an operation first returns it, and is let go when Python's weak reference
to it dies: exactly when its last tensor does, for `meta` work runs at once and in order.
"""

import weakref
from bisect import bisect_right
from contextlib import contextmanager

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from course_utils.gpu.planner import events
from course_utils.gpu.planner.events import Alloc, Free, Mark

_HOST = -1
_NO_NUMBER = 2**63  # nodes that only add to a gradient come after all others


class Recorder(TorchDispatchMode):
    """A dispatch mode that writes `events`.

    `kernels` maps an operation to a function `(recorder, func, args, kwargs) -> result` that stands
    in for what CUDA does in it. `vocabulary` holds sizes of last dimensions that make a floating
    tensor "logits"; `devices` are the names that mean the card.
    """

    def __init__(self, kernels, chip, vocabulary=(), devices=("cuda",)):
        super().__init__()
        self.devices = frozenset({"meta", *devices})
        self.kernels, self.chip, self.vocabulary = kernels, chip, frozenset(vocabulary)
        self.uncertain_bytes, self._answers, self._owners = 0, {}, {}
        self.events, self.category, self.layer_of = [], {}, {}
        self.on, self.phase = True, None
        self._ids, self._refs = {}, {}
        self._inside, self._last, self._starts, self._layers = [], None, [], []
        self._again, self._reached = None, 0
        self.layered = self.misplaced = False

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kernel, kwargs = self.kernels.get(func), kwargs or {}
        result = func(*args, **kwargs) if kernel is None else kernel(self, func, args, kwargs)
        if isinstance(result, torch.Tensor):
            self.see(result, func, args)
        elif isinstance(result, (tuple, list)):
            lists = args[0] if args and isinstance(args[0], (list, tuple)) else None
            for place, one in enumerate(result):
                if isinstance(one, torch.Tensor):
                    self.see(one, func, lists[place : place + 1] if lists else args)
        return result

    def see(self, tensor, op, args=()):
        """Record the tensor's storage where it is new and on the card."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._ids or tensor.device.type != "meta" or not self.on:
            return
        if self.phase == "host":
            self._watch(storage, key, _HOST)
        else:
            self.add(storage, self._category(tensor), self.layer(args), str(op))

    def add(self, storage, category, layer=None, op=""):
        """Record a storage as new, whatever made it."""
        number = len(self.category)
        self.category[number], self.layer_of[number] = category, layer
        self.events.append(Alloc(number, storage.nbytes(), category, layer, op))
        self._watch(storage, storage._cdata, number)

    def _watch(self, storage, key, number):
        self._ids[key] = number

        def gone(_):
            del self._ids[key], self._refs[key]
            if number != _HOST:
                self._gone(number)

        self._refs[key] = weakref.ref(storage, gone)

    def _gone(self, number):
        if not self.on:
            return
        backward = torch._C._current_graph_task_id() != -1
        if self.category[number] == events.ACTIVATIONS and not backward and self._inside:
            self.category[number] = events.TEMPORARIES  # no graph kept it
        own, here = self.layer_of[number], self.events[-1].layer
        near = (
            self.phase == events.OPTIMISER and None not in (own, here) and here == self._last and abs(own - here) == 1
        )
        self.events.append(Free(number, self._last if backward or self._inside or near else own))

    def scratch(self, size_bytes, op, args=()):
        """Record memory that a kernel takes for itself; returns a function that records its return."""
        number = len(self.category)
        self.category[number] = events.TEMPORARIES
        self.layer_of[number] = layer = self.layer(args)
        self.events.append(Alloc(number, size_bytes, events.TEMPORARIES, layer, op))
        return lambda: self.events.append(Free(number, layer))

    def keep(self, size_bytes, op):
        """Record memory that a library takes once and never gives back."""
        number = len(self.category)
        self.category[number], self.layer_of[number] = events.TEMPORARIES, None
        self.events.append(Alloc(number, size_bytes, events.TEMPORARIES, None, op))

    def mark(self, name):
        self.events.append(Mark(name))

    def is_host(self, tensor):
        """Whether the tensor's storage was moved off the card."""
        return self._ids.get(tensor.untyped_storage()._cdata) == _HOST

    def relabel(self, tensor, category):
        """Say afterwards what a tensor is for."""
        number = self._ids.get(tensor.untyped_storage()._cdata, _HOST)
        if number != _HOST:
            self.category[number] = category

    def works_on(self, weight):
        """An optimiser turns to that weight."""
        if self.phase == events.OPTIMISER:
            self._last = self.owner_of(weight)

    def claim(self, states, first):
        """Label an optimiser's states, given as (weight, tensors); storages from number `first` on are of its step.

        A state that does not count for the block of its weight, or that the optimiser keeps elsewhere, is misplaced:
        the trace cannot be lengthened. A table that several weights share is no block's.
        """
        owners = {}
        for weight, tensors in states:
            for one in tensors:
                number = self._ids.get(one.untyped_storage()._cdata, _HOST)
                owners.setdefault(number, set()).add(None if weight is None else self.owner_of(weight))
        owners.pop(_HOST, None)
        for number, found in owners.items():
            self.category[number] = events.OPTIMISER
            self.misplaced |= len(found) == 1 and self.layer_of[number] not in found
        self.misplaced |= any(number >= first and number not in owners for number in self._ids.values())

    @contextmanager
    def during(self, phase):
        """What is made meanwhile is for that purpose; "host" means off the card."""
        before, self.phase = self.phase, phase
        try:
            yield
        finally:
            self.phase = before

    def answer(self, tensor):
        """What a tensor of one number is taken to hold; None where nothing was said."""
        return self._answers.get(self._ids.get(tensor.untyped_storage()._cdata))

    def hold(self, tensor, number):
        """Say what a tensor of one number, recorded before, is taken to hold."""
        place = self._ids.get(tensor.untyped_storage()._cdata, _HOST)
        if place != _HOST:
            self._answers[place] = number

    def own(self, module, number):
        """Say that a module's parameters belong to block `number`."""
        for one in [*module.parameters(), *module.buffers()]:
            self._owners[one.untyped_storage()._cdata] = number

    def owner_of(self, tensor):
        return self._owners.get(tensor.untyped_storage()._cdata)

    def known(self, tensor):
        return tensor.untyped_storage()._cdata in self._ids

    def close(self):
        """The events with their final categories; nothing is recorded from here on."""
        self.on = False
        return tuple(
            one._replace(category=self.category[one.id]) if isinstance(one, Alloc) else one for one in self.events
        )

    def _category(self, tensor):
        if self.phase in (events.OPTIMISER, events.KV_CACHE, events.WEIGHTS):
            return events.TEMPORARIES if self.phase == events.OPTIMISER else self.phase
        if tensor.dim() > 1 and tensor.shape[-1] in self.vocabulary and tensor.is_floating_point():
            return events.LOGITS
        return events.ACTIVATIONS if torch.is_grad_enabled() else events.TEMPORARIES

    # The block of the stack that is at work: its module while it runs forward; in backward the block
    # whose forward made the node, which its sequence number tells. What lies between two blocks
    # counts as the former's.
    def enter(self, layer):
        """The module of block `layer` (None: the whole model) begins its forward."""
        self._inside.append(layer)
        if torch._C._current_graph_task_id() == -1:
            self._reached = torch._C._autograd._get_sequence_nr()
            self._starts.append(self._reached)
            self._layers.append(layer)
            self._last = layer

    def leave(self):
        self._inside.pop()

    def layer(self, args=()):
        """The number of the block at work, else that of the first argument's storage, else None."""
        if not self.layered:
            return None
        if torch._C._current_graph_task_id() != -1:
            return self._layer_in_backward()
        if self._inside:
            return self._last
        owner = next((self._owner(one) for one in args if isinstance(one, torch.Tensor)), None)
        if self.phase == events.OPTIMISER:  # it goes from weight to weight
            owner = self._last = self._last if owner is None else owner
        return owner

    def _layer_in_backward(self):
        node, next_number = torch._C._current_autograd_node(), torch._C._autograd._get_sequence_nr()
        number = node._sequence_nr() if node is not None else _NO_NUMBER
        if number < _NO_NUMBER:
            place = bisect_right(self._starts, number) - 1
            self._last = self._layers[place] if place >= 0 else None
            if torch.is_grad_enabled() and number != self._again:  # a checkpoint runs its forward again
                self._again = number
                self._starts.append(self._reached)
                self._layers.append(self._last)
        self._reached = next_number
        return self._last

    def _owner(self, tensor):
        number = self._ids.get(tensor.untyped_storage()._cdata, _HOST)
        return self.layer_of.get(number) if number in self.layer_of else self.owner_of(tensor)

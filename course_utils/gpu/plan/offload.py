"""Weights that wait in RAM until they are needed: accelerate's model offload (part by part) and sequential offload (layer by layer)."""

from contextlib import contextmanager


def mover(kind, modules, always_there=()):
    """What brings weights to the card: "none" (all are there), "model" or "sequential".

    `always_there` are those of `modules` that stay on the card whatever the kind.
    """
    return {"none": _Stay, "model": _ByPart, "sequential": _ByLayer}[kind](modules, always_there)


class _Stay:
    prepare = None

    def __init__(self, modules, always_there):
        pass

    @contextmanager
    def on_card(self, module):
        yield

    def convert(self, module, dtype):
        """Turn the module's weights to that dtype where they are."""
        module.to(dtype)


class _Waiting:
    def __init__(self, modules, always_there):
        self.modules, self.always_there, self.recorder = modules, always_there, None

    def prepare(self, recorder):
        """Say that the weights are off the card, and remember who records."""
        self.recorder = recorder
        with recorder.during("host"):
            for module in self.modules:
                if not self.stays(module):
                    for one in [*module.parameters(), *module.buffers()]:
                        recorder.see(one, "weights in RAM")

    def stays(self, module):
        return any(module is one for one in self.always_there)

    def convert(self, module, dtype):
        with self.recorder.during("host"):
            module.to(dtype)

    def fetch(self, tensors):
        """Record copies of those weights on the card; returns the functions that record their return."""
        from course_utils.gpu.planner import events

        done = []
        for one in tensors:
            number = len(self.recorder.category)
            done.append(self.recorder.scratch(one.numel() * one.element_size(), "weight brought to the card"))
            self.recorder.category[number] = events.WEIGHTS
        return done


class _ByPart(_Waiting):
    # A part stays until the next one comes: accelerate's hook sends the former one back first.
    def __init__(self, modules, always_there):
        super().__init__(modules, always_there)
        self.there, self.back = None, []

    @contextmanager
    def on_card(self, module):
        if self.there is not module and not self.stays(module):
            if self.there is not None:
                for one in self.back:
                    one()
                self.recorder.mark("empty cache")  # accelerate clears it, too
            self.there, self.back = module, self.fetch([*module.parameters(), *module.buffers()])
        yield


class _ByLayer(_Waiting):
    @contextmanager
    def on_card(self, module):
        back, handles = {}, []

        def come(layer, _):
            back[layer] = self.fetch([*layer.parameters(recurse=False), *layer.buffers(recurse=False)])

        def go(layer, *_):
            for one in back.pop(layer, ()):
                one()

        for layer in () if self.stays(module) else module.modules():
            if any(True for _ in layer.parameters(recurse=False)):
                handles += [layer.register_forward_pre_hook(come), layer.register_forward_hook(go)]
        try:
            yield
        finally:
            for one in handles:
                one.remove()

"""In which module of a model memory peaks: hooks that read the high-water mark where one module hands over to another."""

from course_utils.gpu import memory
from course_utils.gpu.monitor.timeline import RISE

OUTSIDE = None


class ModuleWatch:
    """Between two hooks the program is in one module; where the mark rose between them, the peak stood there.

    The backward pass is followed through the graph's own nodes, since torch's backward module
    hooks refuse models with in-place layers. `where` is None while the highest level stood
    outside the model's forward and backward and outside every optimiser's step.
    """

    def __init__(self, model):
        """Hooks every module of `model`; `remove()` takes the hooks away."""
        from torch.optim import optimizer

        (self._kind, self.level_bytes), self.where = _mark(), OUTSIDE
        self._inside, self._otherwise, self._closed = [], OUTSIDE, False
        self._handles = [
            optimizer.register_optimizer_step_pre_hook(self._step_begins),
            optimizer.register_optimizer_step_post_hook(self._step_ends),
        ]
        for name, module in model.named_modules():
            kind = type(module).__name__
            named = f"{name} ({kind})" if name else kind
            self._handles += [
                module.register_forward_pre_hook(self._enters(named)),
                module.register_forward_hook(self._leaves(named), always_call=True),
            ]

    def remove(self):
        """Take all hooks away; what is left on a graph that still lives does nothing any more."""
        self._look()
        self._closed = True
        for handle in self._handles:
            handle.remove()

    def _look(self):
        kind, mark = _mark()
        if kind != self._kind:  # the card was opened a moment ago: from now on its memory counts
            self._kind, self.level_bytes = kind, 0
        if mark > RISE * self.level_bytes:
            self.level_bytes = mark
            self.where = self._inside[-1] if self._inside else self._otherwise

    def _enters(self, name):
        def hook(module, inputs):
            self._look()
            self._inside.append(f"{name}, forward")

        return hook

    def _leaves(self, name):
        def hook(module, inputs, output):
            self._look()
            if self._inside:
                self._inside.pop()
            for node in _nodes(output):
                # Of nested modules with one output the innermost comes first, and is the one to name.
                if "course module" not in node.metadata:
                    node.metadata["course module"] = name
                    node.register_prehook(self._goes_back(name))

        return hook

    def _goes_back(self, name):
        def hook(gradients):
            if self._closed:
                return
            self._look()
            if self._otherwise is OUTSIDE:
                _when_backward_ends(self._back_is_done)
            self._otherwise = f"{name}, backward"

        return hook

    def _back_is_done(self):
        self._look()
        self._otherwise = OUTSIDE

    def _step_begins(self, optimizer, arguments, keywords):
        self._look()
        self._otherwise = f"{type(optimizer).__name__}.step()"

    def _step_ends(self, optimizer, arguments, keywords):
        self._look()
        self._otherwise = OUTSIDE


def _when_backward_ends(function):
    from torch.autograd import Variable

    # The engine's own list, which DistributedDataParallel uses for the same purpose.
    Variable._execution_engine.queue_callback(function)


def _mark():
    vram = memory.torch_memory()
    return ("VRAM", vram.peak_allocated_bytes) if vram else ("RAM", memory.ram_peak_bytes())


def _nodes(output):
    if isinstance(output, dict):
        output = list(output.values())
    for one in output if isinstance(output, (list, tuple)) else [output]:
        node = getattr(one, "grad_fn", None)
        if node is not None:
            yield node

"""Makes torch's Python layer choose on `meta` what it would choose on CUDA: devices, autocast, attention, foreach.

Everything that is changed here is put back when the trace ends.
"""

from contextlib import ExitStack, contextmanager
from types import FunctionType
from unittest.mock import patch

import torch
from torch.overrides import TorchFunctionMode

from course_utils.gpu.planner import attention, autocast, libraries

_T, _F = torch.Tensor, torch.nn.functional

_original = _F.multi_head_attention_forward
_attend = FunctionType(_original.__code__, _original.__globals__ | {"has_torch_function": lambda *_: False})
_attend.__defaults__ = _original.__defaults__


class CudaChoices(TorchFunctionMode):
    """A function mode: what torch decides by `tensor.is_cuda`, above autograd, is decided here as on `recorder.chip`."""

    def __init__(self, recorder):
        super().__init__()
        self.recorder, self.casts = recorder, autocast.Casts()

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is _F.multi_head_attention_forward:
            with self:  # a mode is off while it handles a call, and this one makes others
                return _attend(*args, **kwargs)
        choice = _CHOICES.get(func)
        if choice is not None:
            return choice(self.recorder, func, args, kwargs)
        if kwargs.get("device") is not None and _type(kwargs["device"]) in self.recorder.devices:
            kwargs = kwargs | {"device": "meta"}
        if torch.is_autocast_enabled("cuda"):
            args, kwargs = self.casts.apply(func, args, kwargs)
        return func(*args, **kwargs)


def _type(device):
    if isinstance(device, int):
        return "cuda"
    return device.type if isinstance(device, torch.device) else str(device).partition(":")[0]


def _to(recorder, func, args, kwargs):
    tensor, rest = args[0], args[1:]
    device = kwargs.get("device", rest[0] if rest and isinstance(rest[0], (str, int, torch.device)) else None)
    if device is None:
        return func(*args, **kwargs)
    there = _type(device)
    if there in recorder.devices:
        if tensor.device.type == "meta" and recorder.is_host(tensor):
            return _moved(func, tensor.detach().clone(), rest, kwargs)
        return _moved(func, tensor, rest, kwargs)
    if tensor.device.type == "meta" and there == "cpu":
        with recorder.during("host"):
            return torch.empty_like(tensor).requires_grad_(False)
    return func(*args, **kwargs)


def _moved(func, tensor, rest, kwargs):
    if "device" in kwargs:
        return func(tensor, *rest, **kwargs | {"device": "meta"})
    return func(tensor, "meta", *rest[1:], **kwargs)


def _cuda(recorder, func, args, kwargs):
    return _to(recorder, _T.to, (args[0], "cuda"), {})


def _cpu(recorder, func, args, kwargs):
    return _to(recorder, _T.to, (args[0], "cpu"), {})


def _softmax(op):
    # CUDA's softmax reads 16 bits and writes 32 in one kernel; elsewhere the input is copied first
    # (aten/src/ATen/native/SoftMax.cpp; only for float16).
    def choice(recorder, func, args, kwargs):
        tensor, dim = args[0], args[1] if len(args) > 1 else kwargs.get("dim", -1)
        half = tensor.dtype == torch.float16 and kwargs.get("dtype") == torch.float32
        if half and isinstance(dim, int) and tensor.device.type == "meta":
            return op(tensor, dim, True)
        if torch.is_autocast_enabled("cuda") and kwargs.get("dtype") is None and tensor.is_floating_point():
            tensor = tensor.float()
        return func(tensor, *args[1:], **kwargs)

    return choice


def _dropout(recorder, func, args, kwargs):
    # CUDA keeps a mask of one byte an element (native_dropout); elsewhere the noise has the input's dtype.
    tensor = args[0] if args else kwargs["input"]
    p = args[1] if len(args) > 1 else kwargs.get("p", 0.5)
    training = args[2] if len(args) > 2 else kwargs.get("training", kwargs.get("train", True))
    inplace = args[3] if len(args) > 3 else kwargs.get("inplace", False)
    if training and 0 < p < 1 and not inplace and tensor.device.type == "meta":
        return torch.native_dropout(tensor, p, True)[0]
    return func(*args, **kwargs)


_CHOICES = {
    _T.to: _to,
    _T.cuda: _cuda,
    _T.cpu: _cpu,
    torch._C._nn.scaled_dot_product_attention: attention.scaled_dot_product,
    _F.softmax: _softmax(torch.ops.aten._softmax),
    torch.softmax: _softmax(torch.ops.aten._softmax),
    _T.softmax: _softmax(torch.ops.aten._softmax),
    _F.log_softmax: _softmax(torch.ops.aten._log_softmax),
    torch.log_softmax: _softmax(torch.ops.aten._log_softmax),
    _T.log_softmax: _softmax(torch.ops.aten._log_softmax),
    _F.dropout: _dropout,
    torch.dropout: _dropout,
}


@contextmanager
def behaves(recorder):
    """While it is open, code that asks for "cuda" gets `meta`, and torch takes its CUDA paths."""
    with ExitStack() as stack:
        choices = CudaChoices(recorder)
        for target, name, new in _changes(recorder, choices):
            stack.enter_context(patch.object(target, name, new))
        stack.enter_context(choices)
        yield


def _changes(recorder, choices):
    import sys

    import torch.utils.checkpoint
    from torch.utils import _foreach_utils as foreach

    def on_card():
        return ["cuda", "meta"]

    nothing = {name: lambda *_, **__: None for name in ("synchronize", "ipc_collect")}
    nothing["reset_peak_memory_stats"] = lambda *_: recorder.mark("reset peak")
    nothing["empty_cache"] = lambda: recorder.mark("empty cache")
    changes = [(torch.cuda, name, new) for name, new in nothing.items()]
    changes += [(torch.cuda, name, lambda *_, **__: 0) for name in ("memory_allocated", "max_memory_allocated")]
    changes += [(torch.cuda, name, lambda *_, **__: 0) for name in ("memory_reserved", "max_memory_reserved")]
    for place in (foreach, sys.modules["torch.optim.optimizer"]):
        changes += [(place, name, on_card) for name in _FOREACH if hasattr(place, name)]
    original = torch.amp.autocast_mode.autocast.__init__

    def begin(self, device_type, *args, **kwargs):
        original(self, "cuda" if device_type == "meta" else device_type, *args, **kwargs)

    changes.append((torch.amp.autocast_mode.autocast, "__init__", begin))
    # A checkpoint repeats the autocast of its tensors' device, and they only seem to be on meta.
    changes.append((torch.utils.checkpoint, "_infer_device_type", lambda *_: "cuda"))
    changes.append((torch, "clear_autocast_cache", choices.casts.clear))
    run_backward = torch.autograd._engine_run_backward

    def backward(*args, **kwargs):
        # A mode is off while it handles a call, and `loss.backward()` is one: a checkpoint recomputes in it.
        with choices:
            return run_backward(*args, **kwargs)

    changes.append((torch.autograd, "_engine_run_backward", backward))
    changes.append((torch.cuda.amp.common, "amp_definitely_not_available", lambda: False))
    changes.append((torch.cuda, "is_bf16_supported", lambda *_, **__: recorder.chip.capability[0] >= 8))
    return [*changes, *libraries.changes(recorder)]


_FOREACH = ("_get_foreach_kernels_supported_devices", "_get_fused_kernels_supported_devices")

"""What CUDA does inside an operation and `meta` does not: the memory that its kernels take for themselves.

Each function stands in for one operation of ATen or bitsandbytes, takes `(recorder, func, args,
kwargs)` and returns the operation's result. Sources are named beside each rule.
"""

from dataclasses import dataclass

from course_utils.gpu.planner.allocator import MIB, round_up


@dataclass(frozen=True)
class Chip:
    """What decides which kernels run: compute capability as (major, minor), and streaming multiprocessors."""

    capability: tuple[int, int] = (8, 9)
    multiprocessors: int = 60

    @property
    def sm(self):
        return 10 * self.capability[0] + self.capability[1]

    @property
    def blas_workspace_bytes(self):
        """cuBLAS's workspace for each handle (aten/src/ATen/cuda/CublasHandlePool.cpp)."""
        return 32 * MIB if self.capability[0] == 9 else 2 * 4096 * 1024 + 8 * 16 * 1024


def table(chip):
    """The stand-ins for that chip, by operation; those of bitsandbytes where it is loaded already."""
    import sys

    import torch

    aten = torch.ops.aten
    matmul = _Matmul(chip)
    stands_in = dict.fromkeys(
        (aten.mm.default, aten.bmm.default, aten.addmm.default, aten.baddbmm.default, aten.addmv.default), matmul
    )
    stands_in[aten._local_scalar_dense.default] = _answer
    stands_in[aten.convolution.default] = stands_in[aten.convolution_backward.default] = _convolution
    stands_in[aten.all.default] = _all
    stands_in[aten._softmax_backward_data.default] = _softmax_backward
    stands_in[aten._scaled_dot_product_efficient_attention_backward.default] = _efficient_backward
    stands_in[aten._scaled_dot_product_flash_attention_backward.default] = _flash_backward
    if "bitsandbytes" in sys.modules:
        from course_utils.gpu.planner import quantise

        stands_in |= quantise.table(chip, matmul)
    return stands_in


class _Matmul:
    # Torch keeps one cuBLAS handle a thread, and backward has a thread of its own: the workspace is
    # taken twice (aten/src/ATen/cuda/CublasHandlePool.cpp).
    def __init__(self, chip):
        self.chip, self.seen = chip, set()

    def __call__(self, recorder, func, args, kwargs):
        result = func(*args, **kwargs)
        recorder.see(result, func, args)
        self.workspace(recorder)
        return result

    def workspace(self, recorder):
        import torch

        thread = torch._C._current_graph_task_id() != -1
        if thread not in self.seen:
            self.seen.add(thread)
            recorder.keep(self.chip.blas_workspace_bytes, "cuBLAS workspace")


def _answer(recorder, func, args, kwargs):
    # A mask of ones is the common case, an overflow is not: "all" is true, other questions get 0.
    tensor = args[0]
    if tensor.device.type != "meta":
        return func(*args, **kwargs)
    import torch

    if tensor.dtype == torch.bool:
        return recorder.is_true(tensor)
    return 0.0 if tensor.is_floating_point() else 0


def _all(recorder, func, args, kwargs):
    result = func(*args, **kwargs)
    recorder.see(result, func, args)
    recorder.hold_true(result)
    return result


def _convolution(recorder, func, args, kwargs):
    # cuDNN's workspace is not published. Its tensor-core kernels want channels last, so it may copy input and
    # output into that order: their size is taken as the uncertainty, not as memory.
    result = func(*args, **kwargs)
    made = [one for one in (result if isinstance(result, tuple) else (result,)) if one is not None]
    size = sum(one.numel() * one.element_size() for one in (args[0], *made))
    recorder.uncertain_bytes = max(recorder.uncertain_bytes, size)
    return result


def _softmax_backward(recorder, func, args, kwargs):
    # aten/src/ATen/native/cuda/SoftMax.cu multiplies gradient and output first, into a tensor of their size.
    result = func(*args, **kwargs)
    recorder.see(result, func, args)
    recorder.scratch(args[0].numel() * max(args[0].element_size(), args[1].element_size()), "softmax: product", args)()
    return result


def _efficient_backward(recorder, func, args, kwargs):
    # aten/src/ATen/native/transformers/cuda/attention_backward.cu and mem_eff_attention/kernel_backward.h:
    # a row statistic and, for 16-bit inputs, the gradient of q in float32, in tiles of 64 × 64 with a 16-byte lock.
    out, query = args[0], args[1]
    batch, heads, length, size = query.shape
    wide = size > 64
    rows, columns = 64, (128 if wide and recorder.chip.sm >= 80 else 64)
    tiles = -(-length // rows) * -(-size // columns)
    delta = recorder.scratch(4 * batch * heads * length, "attention: row statistic", args)
    half = query.element_size() == 2
    store = (
        recorder.scratch(batch * heads * tiles * (16 + 4 * rows * columns), "attention: gradient of q", args)
        if half
        else None
    )
    copy = (
        None
        if out.transpose(1, 2).is_contiguous()
        else recorder.scratch(out.numel() * out.element_size(), "attention: gradient", args)
    )
    result = func(*args, **kwargs)
    for one in result:
        if one is not None:
            recorder.see(one, func, args)
    for done in (delta, store, copy):
        if done:
            done()
    return result


def _flash_backward(recorder, func, args, kwargs):
    # csrc/flash_attn: the gradient of q gathers in float32 with rows and head rounded up, and a row statistic.
    query = args[1]
    batch, heads, length, size = query.shape
    rows, width = round_up(length, 128), round_up(size, 32 if size <= 128 else 64)
    statistic = recorder.scratch(4 * batch * heads * rows, "attention: row statistic", args)
    gathered = recorder.scratch(4 * batch * heads * rows * width, "attention: gradient of q", args)
    result = func(*args, **kwargs)
    for one in result:
        recorder.see(one, func, args)
    statistic(), gathered()
    return result

"""What CUDA does inside an operation and `meta` does not: the memory that its kernels take for themselves.

Each function stands in for one operation of ATen or bitsandbytes, takes `(recorder, func, args,
kwargs)` and returns the operation's result. Sources are named beside each rule.
"""

from dataclasses import dataclass

from course_utils.gpu.planner.allocator import MIB, round_up
from course_utils.gpu.planner.events import OPTIONAL


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
    stands_in[aten.convolution.default] = _convolution
    stands_in[aten.convolution_backward.default] = _convolution_backward
    stands_in[aten.all.default] = _all
    stands_in[aten.sum.default] = stands_in[aten.sum.dim_IntList] = _count
    stands_in[aten.eq.Scalar] = _equal
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

    known = recorder.answer(tensor)
    nothing = False if tensor.dtype == torch.bool else 0.0 if tensor.is_floating_point() else 0
    return nothing if known is None else known


def _all(recorder, func, args, kwargs):
    result = func(*args, **kwargs)
    recorder.see(result, func, args)
    recorder.hold(result, True)
    return result


def _count(recorder, func, args, kwargs):
    # `mask.sum() == mask.numel()` asks the same as `mask.all()`.
    import torch

    result = func(*args, **kwargs)
    recorder.see(result, func, args)
    if args[0].dtype == torch.bool and result.numel() == 1:
        recorder.hold(result, args[0].numel())
    return result


def _equal(recorder, func, args, kwargs):
    result = func(*args, **kwargs)
    recorder.see(result, func, args)
    known = recorder.answer(args[0]) if args[0].numel() == 1 else None
    if known is not None:
        recorder.hold(result, known == args[1])
    return result


def _convolution(recorder, func, args, kwargs):
    # Tensor cores read channels last ("Tensor Layouts" in NVIDIA's "Convolutional Layers User's Guide"): cuDNN copies
    # what comes in another order into its workspace, which torch's allocator serves. Some kernels write that order,
    # too, and copy their result back: which one runs is cuDNN's choice, so that copy is uncertain.
    read = _copied(recorder.chip, args[0], args[8] if len(args) > 8 else 1)
    result = func(*args, **kwargs)
    recorder.see(result, func, args)
    if read:
        recorder.scratch(read, OPTIONAL, args)()
    _unsure(recorder, read, args[0], result)
    return result


def _convolution_backward(recorder, func, args, kwargs):
    # The gradients of input and weight come one after the other, each from copies of the two tensors that it reads.
    gradient, tensor, groups, wanted = args[0], args[1], args[9], args[10]
    of_gradient, of_input = (_copied(recorder.chip, one, groups) for one in (gradient, tensor))
    result = func(*args, **kwargs)
    for place, read in ((0, of_gradient), (1, of_gradient + of_input)):
        if wanted[place]:
            recorder.see(result[place], func, args)
            if read:
                recorder.scratch(read, OPTIONAL, args)()
    if wanted[2]:
        recorder.see(result[2], func, args)
    _unsure(recorder, of_gradient, tensor, gradient)
    return result


def _copied(chip, tensor, groups):
    """Bytes of the copy in channels-last order that a convolution on tensor cores reads; 0 where it needs none."""
    import torch

    since = {torch.float16: 70, torch.bfloat16: 80, torch.float32: 80 if torch.backends.cudnn.allow_tf32 else 1000}
    order = {4: torch.channels_last, 5: torch.channels_last_3d}.get(tensor.dim())
    last = order is not None and tensor.shape[1] > 1 and tensor.is_contiguous(memory_format=order)
    if groups != 1 or last or chip.sm < since.get(tensor.dtype, 1000) or not torch.backends.cudnn.enabled:
        return 0
    return tensor.numel() * tensor.element_size()


def _unsure(recorder, counted, *tensors):
    # Where tensor cores do not run, cuDNN's workspace is not published: both copies are uncertain.
    sizes = [one.numel() * one.element_size() for one in tensors]
    recorder.uncertain_bytes = max(recorder.uncertain_bytes, sizes[-1] if counted else sum(sizes))


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
    # csrc/flash_attn, mha_bwd: the gradient of q gathers in float32 with rows and head rounded up, and a row statistic;
    # with grouped heads the gradients of k and v are made for every head of q before they are added up.
    query, key = args[1], args[2]
    batch, heads, length, size = query.shape
    rows, width = round_up(length, 128), round_up(size, 32 if size <= 128 else 64)
    statistic = recorder.scratch(4 * batch * heads * rows, "attention: row statistic", args)
    gathered = recorder.scratch(4 * batch * heads * rows * width, "attention: gradient of q", args)
    each = 2 * batch * heads * key.shape[2] * size * query.element_size() if key.shape[1] != heads else 0
    expanded = recorder.scratch(each, "attention: gradients of k and v", args) if each else None
    result = func(*args, **kwargs)
    for one in result:
        recorder.see(one, func, args)
    for done in (statistic, gathered, expanded):
        if done:
            done()
    return result

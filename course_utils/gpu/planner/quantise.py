"""bitsandbytes on the `meta` device: quantised weights without weights, and what its kernels take for themselves.

Sizes follow bitsandbytes 0.50: 4-bit weights are packed two a byte with one float32 scale a block of 64; double
quantisation stores the scales in bytes, with one float32 a block of 256 of them, a table of 256 and an offset.
"""

from course_utils.errors import CourseError
from course_utils.gpu.planner import bnb_tiles

KINDS = ("nf4", "fp4", "int8")


def quantise(model, kind, compute_dtype, double_quant=False, skip=None):
    """Replace the linear layers of a `transformers` model on `meta` as loading with bitsandbytes would.

    `skip` names modules to leave as they are; by default those that `transformers` leaves: the output head
    and tied weights. Returns the model. Raises CourseError for an unknown kind.
    """
    from unittest.mock import patch

    import torch
    from transformers import BitsAndBytesConfig
    from transformers.integrations.bitsandbytes import replace_with_bnb_linear
    from transformers.quantizers.base import get_keys_to_not_convert

    if kind not in KINDS:
        raise CourseError(f"quant={kind!r} is not known; it is one of {', '.join(KINDS)}.")
    four = kind != "int8"
    config = BitsAndBytesConfig(
        load_in_4bit=four,
        load_in_8bit=not four,
        bnb_4bit_quant_type=kind if four else "nf4",
        bnb_4bit_compute_dtype=compute_dtype,
        bnb_4bit_use_double_quant=double_quant,
    )
    skip = get_keys_to_not_convert(model) if skip is None else list(skip)
    model = replace_with_bnb_linear(model, modules_to_not_convert=skip, quantization_config=config)
    table = {"dynamic": torch.empty(256, device="meta")}  # of double quantisation: not left there for others
    with patch.dict("bitsandbytes.functional.name2qmap", table):
        for module in model.modules():
            _fill(module, kind, double_quant, model.dtype)
    model.is_loaded_in_4bit, model.is_loaded_in_8bit = four, not four
    model.quantization_method = config.quantization_method()
    return model


def _fill(module, kind, double_quant, dtype):
    import bitsandbytes as bnb
    import torch

    if isinstance(module, bnb.nn.Linear4bit):
        weight = torch.empty(module.out_features, module.in_features, dtype=dtype, device="meta")
        packed, state = bnb.functional.quantize_4bit(
            weight, blocksize=64, quant_type=kind, compress_statistics=double_quant
        )
        module.weight = bnb.nn.Params4bit(
            packed, False, state, 64, double_quant, kind, torch.uint8, module, bnb_quantized=True
        )
        module.quant_state = state
    elif isinstance(module, bnb.nn.Linear8bitLt):
        shape = (module.out_features, module.in_features)
        weight = bnb.nn.Int8Params(torch.empty(shape, dtype=torch.int8, device="meta"), False, has_fp16_weights=False)
        weight.CB = weight.data
        weight.SCB = torch.empty(module.out_features, dtype=torch.float32, device="meta")
        module.weight = weight
        module.state.CB, module.state.SCB = weight.CB, weight.SCB
        module.init_8bit_state = lambda: None
    if getattr(module, "bias", None) is not None and isinstance(module, (bnb.nn.Linear4bit, bnb.nn.Linear8bitLt)):
        module.bias = torch.nn.Parameter(torch.empty_like(module.bias, dtype=dtype, device="meta"), False)


def table(chip, matmul):
    """The stand-ins for bitsandbytes' operations on that chip."""
    import torch

    ops = torch.ops.bitsandbytes
    return {
        ops.gemm_4bit.default: _Gemm4bit(chip, matmul),
        ops.int8_double_quant.default: _int8_double_quant,
        ops.int8_vectorwise_quant.default: _int8_vectorwise_quant,
        ops.int8_mixed_scaled_mm.default: _Int8Mixed(matmul),
        ops.int8_scaled_mm.default: _int8_scaled,
    }


class _Gemm4bit:
    # backends/cuda/ops.py: a fused kernel for few rows, else the whole weight dequantised, then a matrix product.
    def __init__(self, chip, matmul):
        self.chip, self.matmul = chip, matmul

    def __call__(self, recorder, func, args, kwargs):
        rows, (columns, inner) = args[0].numel() // args[0].shape[-1], args[2]
        fused = rows <= 1536 and inner % args[4] == 0
        fused = fused and bnb_tiles.fused(self.chip, args[0].dtype, rows, columns, inner)
        if fused:
            return func(*args, **kwargs)
        scales, done = kwargs.get("absmax_8bit"), []
        if scales is not None:
            done.append(recorder.scratch(4 * scales.numel(), "scales", args))
            done.append(recorder.scratch(4 * scales.numel(), "scales", args))
            done.pop(0)()
        size = args[0].element_size() * columns * inner
        done.append(recorder.scratch(size, "dequantised weight", args))
        result = func(*args, **kwargs)
        recorder.see(result, func, args)
        self.matmul.workspace(recorder)
        for one in done:
            one()
        return result


def _int8_vectorwise_quant(recorder, func, args, kwargs):
    import torch

    tensor = args[0]
    rows = tensor.numel() // tensor.shape[-1]
    statistics = torch.empty(rows, dtype=torch.float32, device=tensor.device)
    out = torch.empty(tensor.shape, dtype=torch.int8, device=tensor.device)
    recorder.see(statistics, func, args)
    recorder.see(out, func, args)
    outliers = None
    if (args[1] if len(args) > 1 else kwargs.get("threshold", 0.0)) > 0:
        # Which columns hold outliers depends on the data; they are few, and none is counted.
        absolute = recorder.scratch(2 * tensor.numel(), "outlier search", args)
        large = recorder.scratch(tensor.numel(), "outlier search", args)
        absolute(), large()
        outliers = torch.empty(0, dtype=torch.int64, device=tensor.device)
    return out, statistics, outliers


def _int8_double_quant(recorder, func, args, kwargs):
    import torch

    tensor = args[0]
    rows, columns = tensor.numel() // tensor.shape[-1], tensor.shape[-1]
    out = torch.empty(tensor.shape, dtype=torch.int8, device=tensor.device)
    by_column = torch.empty_like(out)
    return (
        out,
        by_column,
        torch.empty(rows, dtype=torch.float32, device=tensor.device),
        torch.empty(columns, dtype=torch.float32, device=tensor.device),
        None,
    )


class _Int8Mixed:
    # backends/default/ops.py. Nearly every layer of a trained language model has outliers (Dettmers et al. 2022,
    # LLM.int8()), whose product is added into a second output.
    def __init__(self, matmul):
        self.matmul = matmul

    def __call__(self, recorder, func, args, kwargs):
        import torch

        tensor, weight = args[0], args[2]
        shape = (*tensor.shape[:-1], weight.shape[0])
        rows, size = tensor.numel() // tensor.shape[-1], tensor.element_size()
        done = _products(recorder, rows * shape[-1], size, args)
        first = recorder.scratch(size * rows * shape[-1], "product without outliers", args)
        for one in done:
            one()
        out = torch.empty(shape, dtype=tensor.dtype, device=tensor.device)
        recorder.see(out, func, args)
        self.matmul.workspace(recorder)
        first()
        return out, torch.empty((*tensor.shape[:-1], 0), dtype=tensor.dtype, device=tensor.device)


def _int8_scaled(recorder, func, args, kwargs):
    rows, columns = args[0].numel() // args[0].shape[-1], args[1].shape[0]
    dtype = kwargs.get("dtype") or (args[5] if len(args) > 5 else None)
    done = _products(recorder, rows * columns, dtype.itemsize if dtype else 2, args)
    result = func(*args, **kwargs)
    recorder.see(result, func, args)
    for one in done:
        one()
    return result


def _products(recorder, elements, size, args):
    # int32 from the tensor cores, scaled into float16, cast from there if something else is wanted.
    done = [recorder.scratch(4 * elements, "int32 product", args)]
    return done + ([recorder.scratch(2 * elements, "float16 product", args)] if size != 2 else [])

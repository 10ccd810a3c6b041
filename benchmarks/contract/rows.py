"""Every row of the GPU contract by name, at full size and at toy size. Importing this loads no torch."""

from dataclasses import dataclass

LIMITS = {"llama-2-7b": 4096, "llama-3.1-8b": 8192, "llama-2-13b": 4096}  # 3.1 goes on to 131,072; the issue asks 8,192
TITLES = {"llama-2-7b": "Llama-2-7B", "llama-3.1-8b": "Llama-3.1-8B", "llama-2-13b": "Llama-2-13B"}
LLM, DIFFUSION = ("transformers", "bitsandbytes"), ("diffusers", "transformers", "accelerate")


@dataclass(frozen=True)
class Row:
    """One measurement: `work` is "module.function" in this package, called with `settings`, and with `tiny` over them.

    A row is skipped where a package of `packages` is missing, or where the row named in `after`,
    which needs less, ran out of memory.
    """

    name: str
    what: str
    work: str
    settings: dict
    tiny: dict
    packages: tuple[str, ...] = ()
    after: str | None = None


def resnet():
    """ResNet-18 with the stem for small pictures, one training step."""
    precisions = {
        "fp32": "fp32 (convolutions may use TF32, torch's default)",
        "amp": "AMP (autocast to fp16, gradient scaler)",
    }
    return [
        Row(
            f"resnet18-{batch}-{precision}",
            f"ResNet-18, 32×32 pixels, batch {batch}, {words}, SGD with momentum: training steps, data on the device",
            "vision.train_resnet",
            {"batch": batch, "amp": precision == "amp", "side": 32, "warm": 3, "steps": 20},
            {"batch": 1 + batch // 128, "side": 8, "warm": 0, "steps": 1},
            ("torchvision",),
        )
        for batch in (128, 256, 512)
        for precision, words in precisions.items()
    ]


def gpt():
    """A small GPT on characters, one training step."""
    size = {"vocabulary": 65, "context": 256, "width": 384, "layers": 6, "heads": 6, "batch": 64}
    tiny = {"context": 16, "width": 32, "layers": 2, "heads": 2, "batch": 2, "warm": 1, "steps": 1}
    return [
        Row(
            f"gpt-{precision}",
            f"GPT, 6 layers of width 384, batch 64 × 256 characters, {words}, AdamW: training steps",
            "text.train_gpt",
            size | {"amp": precision == "amp", "warm": 3, "steps": 20},
            tiny,
        )
        for precision, words in {"fp32": "fp32", "amp": "AMP (autocast to bf16)"}.items()
    ]


def llama():
    """Decoding with 4-bit and 8-bit weights at three lengths, the longest at most the model's own limit."""
    words = {"nf4": "NF4 with double quantisation, computing in bf16", "int8": "int8 (LLM.int8, threshold 6), fp16"}
    found = []
    for weights in words:
        for shape, limit in LIMITS.items():
            for context in (512, 2048, min(8192, limit)):
                name = f"{shape}-{weights}-{context}"
                at_limit = ", the model's limit (8,192 asked)" if context == limit < 8192 else ""
                what = f"{TITLES[shape]}, {words[weights]}: load, then decode up to {context:,} tokens{at_limit}"
                settings = {"shape": shape, "weights": weights, "context": context, "warm": 4, "steps": 24}
                tiny = {"shape": f"tiny-{shape}", "context": 8 + context // 256, "warm": 1, "steps": 2}
                after = f"{shape}-{weights}-512" if context > 512 else None
                found.append(Row(name, what, "llama.decode", settings, tiny, LLM, after))
    return found


def qlora():
    """Training steps of LoRA adapters on an NF4 model."""
    return [
        Row(
            f"qlora-{shape}-{tokens}-{'checkpointing' if checkpointing else 'plain'}",
            f"QLoRA on {TITLES[shape]} in NF4: r 16 on all seven linear layers, fp32 adapters, bf16 autocast, 8-bit AdamW "
            f"(not paged), batch 1 × {tokens:,} tokens, checkpointing {'on' if checkpointing else 'off'}: training steps",
            "llama.train_qlora",
            {"shape": shape, "tokens": tokens, "checkpointing": checkpointing, "rank": 16, "warm": 1, "steps": 3},
            {"shape": f"tiny-{shape}", "tokens": tokens // 64, "rank": 4, "steps": 1},
            (*LLM, "peft"),
        )
        for shape in ("llama-2-7b", "llama-3.1-8b")
        for tokens in (512, 1024)
        for checkpointing in (True, False)
    ]


def diffusion():
    """One picture and four, as they are and with each way of saving memory."""
    savings = {"plain": "as is", "slicing": "attention and VAE slicing", "offload": "model offload to RAM"}
    sizes = {"sd15": ("Stable Diffusion 1.5", 512), "sdxl": ("SDXL (decoder in fp32)", 1024)}
    return [
        Row(
            f"{shape}-{batch}-{saving}",
            f"{title} in fp16, {side}×{side}, batch {batch}, guided, {words}: 4 denoising steps and the decoder; "
            "the rate is that of steps 2 to 4",
            "diffusion.draw",
            {"shape": shape, "batch": batch, "saving": saving, "side": side, "steps": 4},
            {"shape": f"tiny-{shape}", "side": 16, "steps": 2},
            DIFFUSION,
        )
        for shape, (title, side) in sizes.items()
        for batch in (1, 4)
        for saving, words in savings.items()
    ]


def every_row():
    """All rows, in the order in which they run: cheap ones first, since the time may run out."""
    what = "The CUDA context: what a process holds besides tensors, once a matrix product and a convolution have run"
    context = Row("context", what, "context.load_kernels", {}, {})
    return [context, *resnet(), *gpt(), *llama(), *qlora(), *diffusion()]

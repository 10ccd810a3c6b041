"""The parts of a Stable Diffusion pipeline on `meta`, from the configurations of its folders."""

from dataclasses import dataclass

from course_utils.gpu.plan import tracing

LORA_TARGETS = ["to_q", "to_k", "to_v", "to_out.0"]  # those that diffusers' own training script adapts


@dataclass(frozen=True)
class Parts:
    """Modules in the order in which a picture passes them; `checker` is None where the pipeline has none."""

    text_encoders: tuple
    unet: object
    vae: object
    checker: object
    dtype: object
    force_upcast: bool

    @property
    def modules(self):
        return [*self.text_encoders, self.unet, self.vae, *([self.checker] if self.checker is not None else [])]


def build(request, config):
    """The `Parts` in the request's dtype (fp16 unless given), with adapters, checkpointing, slicing and tiling."""
    import torch
    import transformers
    from diffusers import AutoencoderKL, UNet2DConditionModel

    dtype = tracing.torch_dtype(request.dtype or "fp16")
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(config["unet"])
        vae = AutoencoderKL.from_config(config["vae"]).to(dtype)
        encoders = tuple(
            getattr(transformers, name)._from_config(transformers.CLIPTextConfig(**values), dtype=dtype)
            for name, values in (_without_type(one) for one in config["text_encoders"])
        )
        checker = None if request.trains else _checker(config.get("safety_checker"), dtype)
    frozen = [*encoders, vae, checker]
    for one in frozen:
        if one is not None:
            one.requires_grad_(False).eval()
    _ready(request, unet, dtype)
    vae.use_slicing, vae.use_tiling = request.slicing, request.tiling
    return Parts(encoders, unet, vae, checker, dtype, config["vae"]["force_upcast"])


def _without_type(pair):
    name, values = pair
    return name, {key: value for key, value in values.items() if key != "model_type"}


def _checker(config, dtype):
    import torch
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    if config is None:
        return None
    checker = CLIPVisionModelWithProjection._from_config(CLIPVisionConfig(**config["vision_config"]), dtype=dtype)
    # 17 concepts and 3 of special care, each with an embedding and a threshold.
    for name, shape in (("concepts", (17, 768)), ("special", (3, 768)), ("limits", (17,)), ("care", (3,))):
        checker.register_buffer(name, torch.empty(shape, dtype=dtype))
    return checker


def _ready(request, unet, dtype):
    import torch

    if request.task == "train":  # the trained weights stay in float32
        unet.train()
    else:
        unet.to(dtype).requires_grad_(False)
        unet.train(request.trains)
    if request.task == "lora":
        from peft import LoraConfig

        with torch.device("meta"):
            unet.add_adapter(LoraConfig(r=request.rank, lora_alpha=request.rank, target_modules=LORA_TARGETS))
        for one in unet.parameters():
            if one.requires_grad:
                one.data = one.data.float()
    if request.trains and request.checkpointing:
        unet.enable_gradient_checkpointing()

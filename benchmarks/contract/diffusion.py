"""Stable Diffusion shapes with random weights, in diffusers' own pipelines.

The shapes are those of the published `config.json` files (stable-diffusion-v1-5 and
stable-diffusion-xl-base-1.0). Prompts are random token ids: tokenizers cost no video memory.
"""

import torch

from contract.clock import Timing, made_on, now

CROSS_DOWN, DOWN, CROSS_UP, UP = "CrossAttnDownBlock2D", "DownBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"
SD15_UNET = {
    "sample_size": 64,
    "block_out_channels": (320, 640, 1280, 1280),
    "down_block_types": (CROSS_DOWN, CROSS_DOWN, CROSS_DOWN, DOWN),
    "up_block_types": (UP, CROSS_UP, CROSS_UP, CROSS_UP),
    "cross_attention_dim": 768,
    "attention_head_dim": 8,
}
SDXL_UNET = {
    "sample_size": 128,
    "block_out_channels": (320, 640, 1280),
    "down_block_types": (DOWN, CROSS_DOWN, CROSS_DOWN),
    "up_block_types": (CROSS_UP, CROSS_UP, UP),
    "cross_attention_dim": 2048,
    "attention_head_dim": (5, 10, 20),
    "transformer_layers_per_block": (1, 2, 10),
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
VAE = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
    "sample_size": 512,
    "force_upcast": False,
}
CLIP_L = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "projection_dim": 768,
}
CLIP_BIGG = {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 20,
    "hidden_act": "gelu",
    "projection_dim": 1280,
}
TINY_VAE = VAE | {"block_out_channels": (8, 8, 8, 8), "norm_num_groups": 4, "layers_per_block": 1, "sample_size": 32}
TINY_CLIP = {
    "vocab_size": 100,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "projection_dim": 32,
    "bos_token_id": 98,
    "eos_token_id": 99,
}
TINY = {"sample_size": 8, "layers_per_block": 1, "norm_num_groups": 8}
# What each shape is made of: U-Net, VAE and one or two text encoders. SDXL's VAE overflows in fp16,
# so its pipeline decodes in fp32 ("force_upcast"), which its peak shows.
SHAPES = {
    "sd15": (SD15_UNET, VAE, (CLIP_L,)),
    "sdxl": (
        SDXL_UNET,
        VAE | {"sample_size": 1024, "force_upcast": True, "scaling_factor": 0.13025},
        (CLIP_L, CLIP_BIGG),
    ),
    "tiny-sd15": (
        SD15_UNET | TINY | {"block_out_channels": (16, 16, 16, 16), "cross_attention_dim": 32, "attention_head_dim": 2},
        TINY_VAE,
        (TINY_CLIP,),
    ),
    "tiny-sdxl": (
        SDXL_UNET
        | TINY
        | {
            "block_out_channels": (16, 16, 16),
            "cross_attention_dim": 64,
            "attention_head_dim": (2, 2, 2),
            "transformer_layers_per_block": (1, 1, 1),
            "projection_class_embeddings_input_dim": 32 + 6 * 8,
            "addition_time_embed_dim": 8,
        },
        TINY_VAE | {"force_upcast": True},
        (TINY_CLIP, TINY_CLIP),
    ),
}


def unet(shape):
    """The shape's U-Net."""
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(**SHAPES[shape][0])


def vae(shape):
    """The shape's autoencoder."""
    from diffusers import AutoencoderKL

    return AutoencoderKL(**SHAPES[shape][1])


def text_encoders(shape):
    """The shape's text encoders: SDXL's second one ends in a projection."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    kinds = (CLIPTextModel, CLIPTextModelWithProjection)
    return [kind(CLIPTextConfig(**config)) for kind, config in zip(kinds, SHAPES[shape][2], strict=False)]


def pipeline(shape, device, dtype, offload=False):
    """The shape's pipeline with random weights on the device; with `offload`, each part waits in RAM."""
    from diffusers import EulerDiscreteScheduler, StableDiffusionPipeline, StableDiffusionXLPipeline

    home = "cpu" if offload else device
    parts = [_part(make, shape, device, dtype, home) for make in (text_encoders, vae, unet)]
    encoders, autoencoder, net = parts[0], parts[1][0], parts[2][0]
    scheduler = EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1, timestep_spacing="leading"
    )
    if len(encoders) == 1:
        pipe = StableDiffusionPipeline(autoencoder, encoders[0], None, net, scheduler, None, None, None, False)
    else:
        pipe = StableDiffusionXLPipeline(autoencoder, *encoders, None, None, net, scheduler, add_watermarker=False)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def _part(make, shape, device, dtype, home):
    # Made on the device, where random numbers are fast, and in 16 bits: SDXL's U-Net alone has 10 GB in fp32.
    with made_on(device, dtype):
        made = make(shape)
    return [one.to(home).requires_grad_(False).eval() for one in (made if isinstance(made, list) else [made])]


def _save(pipe, saving, device):
    if saving == "slicing":
        pipe.enable_attention_slicing()
        pipe.vae.enable_slicing()
    if saving == "offload":
        pipe.enable_model_cpu_offload(device=device)
        if device == "cuda":  # the parts were made on the card: that is over, and must not count
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()


@torch.no_grad()
def prompts(pipe, device, batch):
    """Embeddings of random prompts and their negatives, by the argument's name in the pipeline's call."""
    encoders = [pipe.text_encoder, getattr(pipe, "text_encoder_2", None)]
    found = {"prompt_embeds": [], "negative_prompt_embeds": []}
    pooled = {}
    for encoder in filter(None, encoders):
        for sign in ("", "negative_"):
            ids = torch.randint(encoder.config.vocab_size, (batch, 77), device=device)
            answer = encoder(ids, output_hidden_states=True)
            # SD takes the last layer, SDXL the one before it, and the second encoder's pooled vector.
            hidden = answer.last_hidden_state if encoders[1] is None else answer.hidden_states[-2]
            found[f"{sign}prompt_embeds"].append(hidden)
            if encoder is encoders[1]:
                pooled[f"{sign}pooled_prompt_embeds"] = answer.text_embeds
    return {name: torch.cat(several, dim=-1) for name, several in found.items()} | pooled


def draw(device, shape, batch, saving, side, steps):
    """One call of the pipeline: `batch` pictures at once; the steps after the first are timed."""
    dtype = torch.float16 if device == "cuda" else torch.float32
    started = now(device)
    pipe = pipeline(shape, device, dtype, offload=saving == "offload")
    _save(pipe, saving, device)
    loaded = now(device)
    words = prompts(pipe, device, batch)
    ends = []

    def note(pipe, step, timestep, values):
        ends.append(now(device))
        return values

    pipe(**words, height=side, width=side, num_inference_steps=steps, output_type="pt", callback_on_step_end=note)
    done = now(device)
    each = (ends[-1] - ends[0]) / (steps - 1)
    details = {
        "load_seconds": loaded - started,
        "seconds_per_step": each,
        "decode_seconds": done - ends[-1],
        "images_per_second_at_20_steps": batch / (20 * each + done - ends[-1]),
        "dtype": str(dtype).removeprefix("torch."),
    }
    return Timing(ends[-1] - ends[0], steps - 1, "steps/s", details)

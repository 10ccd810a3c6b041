"""Stable Diffusion's own classes with random weights and small numbers: a picture of 32×32 in a tenth of a second."""

import json

LENGTH = 24
START, END = "<|startoftext|>", "<|endoftext|>"


def pipeline(folder):
    """A StableDiffusionPipeline as the course's own: VAE factor 4, prompts of 24 tokens, v-prediction, DDIM."""
    import torch
    from diffusers import StableDiffusionPipeline

    torch.manual_seed(0)
    pieces = tokenizer(folder)
    made = StableDiffusionPipeline(
        vae=vae(),
        text_encoder=text_encoder(pieces),
        tokenizer=pieces,
        unet=unet(cross_attention_dim=32),
        scheduler=scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    made.set_progress_bar_config(disable=True)
    return made


def pipeline_xl(folder):
    """A StableDiffusionXLPipeline with two tokenizers and two text encoders."""
    import torch
    from diffusers import StableDiffusionXLPipeline

    torch.manual_seed(0)
    one, two = tokenizer(folder / "one"), tokenizer(folder / "two")
    added = {"addition_embed_type": "text_time", "addition_time_embed_dim": 8}
    made = StableDiffusionXLPipeline(
        vae=vae(),
        text_encoder=text_encoder(one),
        text_encoder_2=text_encoder(two, projected=True),
        tokenizer=one,
        tokenizer_2=two,
        unet=unet(cross_attention_dim=64, projection_class_embeddings_input_dim=6 * 8 + 32, **added),
        scheduler=scheduler(),
        add_watermarker=False,
    )
    made.set_progress_bar_config(disable=True)
    return made


def one_thread():
    """As a fixture: models this small are fastest in one thread, above all beside other programs."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def tokenizer(folder):
    """A CLIP tokenizer without merges but for "fox": any other letter is a token of its own."""
    from tokenizers import pre_tokenizers
    from transformers import CLIPTokenizer

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [*letters, *(f"{one}</w>" for one in letters), "ox</w>", "fox</w>", START, END]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\no x</w>\nf ox</w>\n")
    files = str(folder / "vocab.json"), str(folder / "merges.txt")
    return CLIPTokenizer(*files, model_max_length=LENGTH, pad_token=END, unk_token=END)


def text_encoder(pieces, projected=False):
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        vocab_size=len(pieces),
        hidden_size=32,
        projection_dim=32,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=LENGTH,
        bos_token_id=pieces.bos_token_id,
        eos_token_id=pieces.eos_token_id,
        pad_token_id=pieces.pad_token_id,
    )
    return (CLIPTextModelWithProjection if projected else CLIPTextModel)(config).eval()


def vae():
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        sample_size=32,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(16, 16, 16),
        layers_per_block=1,
        norm_num_groups=8,
        scaling_factor=1.0,
    ).eval()


def unet(**more):
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=8,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        block_out_channels=(16, 16),
        layers_per_block=1,
        attention_head_dim=2,
        norm_num_groups=8,
        **more,
    ).eval()


def scheduler():
    from diffusers import DDIMScheduler

    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )

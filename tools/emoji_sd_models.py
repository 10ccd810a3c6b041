"""Tokenizer, text encoder, VAE and U-Net of Emoji-SD: Stable Diffusion's classes with small numbers."""

import json

import torch

LENGTH = 24  # tokens of a prompt, start and end included
LATENT_SIDE, LATENT_CHANNELS = 8, 4
START, END = "<|startoftext|>", "<|endoftext|>"


def tokenizer(texts, folder):
    """A CLIP tokenizer whose pieces come from these texts; writes vocab.json and merges.txt into `folder`."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
    from transformers import CLIPTokenizer

    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>", unk_token=END))
    learner.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    learner.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.ByteLevel(False)])
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=2827,
        min_frequency=2,
        # Named beforehand, or the trainer numbers them in another order in each run, and breaks ties by number.
        special_tokens=[*letters, *(f"{one}</w>" for one in letters)],
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    learner.train_from_iterator(texts, trainer)
    made = json.loads(learner.to_str())["model"]
    words = sorted(made["vocab"], key=made["vocab"].get)
    vocabulary = {word: number for number, word in enumerate([*words, START, END])}
    merges = [one if isinstance(one, str) else " ".join(one) for one in made["merges"]]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    return CLIPTokenizer(
        str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=LENGTH, pad_token=END, unk_token=END
    )


def text_encoder(pieces):
    """CLIP's text encoder, 128 wide, for the tokenizer's pieces."""
    from transformers import CLIPTextConfig, CLIPTextModel

    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(pieces),
            hidden_size=128,
            intermediate_size=384,
            num_hidden_layers=3,
            num_attention_heads=4,
            max_position_embeddings=LENGTH,
            bos_token_id=pieces.bos_token_id,
            eos_token_id=pieces.eos_token_id,
            pad_token_id=pieces.pad_token_id,
            attn_implementation="eager",  # the fused kernel's backward is slow in bfloat16 on a CPU
        )
    )


def vae():
    """The autoencoder between 32×32×3 pictures and 8×8×4 latents."""
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        sample_size=32,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(24, 48, 96),
        layers_per_block=1,
        norm_num_groups=8,
        latent_channels=LATENT_CHANNELS,
        scaling_factor=1.0,
    )


def unet():
    """The denoiser of latents, steered by the text through cross-attention."""
    from diffusers import UNet2DConditionModel
    from diffusers.models.attention_processor import AttnProcessor

    made = UNet2DConditionModel(
        sample_size=LATENT_SIDE,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        mid_block_type="UNetMidBlock2DCrossAttn",
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        block_out_channels=(96, 128),
        layers_per_block=1,
        cross_attention_dim=128,
        attention_head_dim=4,
        norm_num_groups=16,
    )
    made.set_attn_processor(AttnProcessor())
    return made


def scheduler():
    """The noise schedule that training and sampling share."""
    from diffusers import DDIMScheduler

    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )


@torch.no_grad()
def whiten(coder, latents):
    """Fold mean and whitening of `latents` (N×4×8×8) into the VAE, so that its latents have mean 0 and covariance 1."""
    flat = latents.permute(1, 0, 2, 3).flatten(1).double()
    mean = flat.mean(1)
    values, vectors = torch.linalg.eigh(torch.cov(flat))
    white = (vectors * values.clamp_min(1e-6).rsqrt()) @ vectors.T
    back = torch.linalg.inv(white)
    means = (
        coder.quant_conv.weight[:LATENT_CHANNELS, :, 0, 0].double(),
        coder.quant_conv.bias[:LATENT_CHANNELS].double(),
    )
    coder.quant_conv.weight[:LATENT_CHANNELS, :, 0, 0] = (white @ means[0]).float()
    coder.quant_conv.bias[:LATENT_CHANNELS] = (white @ (means[1] - mean)).float()
    coder.quant_conv.weight[LATENT_CHANNELS:] = 0  # the posterior's own noise: small and the same everywhere
    coder.quant_conv.bias[LATENT_CHANNELS:] = -6.0
    after = coder.post_quant_conv
    weight = after.weight[:, :, 0, 0].double()
    after.bias += (weight @ mean).float()
    after.weight[:, :, 0, 0] = (weight @ back).float()
    return values.float()

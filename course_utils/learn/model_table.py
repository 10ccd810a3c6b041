"""The table of models with weights of their own: where each comes from, and under which licence."""

from dataclasses import dataclass

GATE = (
    "Meta gives these weights to people who accept its licence: sign in at huggingface.co, open the page of the model, "
    "accept, make a token under Settings, then type `hf auth login` in a terminal and paste it."
)


@dataclass(frozen=True)
class Converted:
    """The model is written from a GGUF file of the asset table, once."""

    asset: str


@dataclass(frozen=True)
class Shipped:
    """The model's folder comes with the course, beside the bundled assets."""

    folder: str


@dataclass(frozen=True)
class Hub:
    """The model lies on the Hugging Face hub at a pinned revision; a gated one asks for a token.

    `is_pipeline` says that the repository holds a diffusers pipeline, of which the 16-bit weights are taken.
    """

    repository: str
    revision: str
    gated: bool = False
    is_pipeline: bool = False


@dataclass(frozen=True)
class Model:
    """A model; `size_bytes` is what its folder takes on disk."""

    name: str
    title: str
    size_bytes: int
    licence: str
    sources: tuple


MODELS = {
    one.name: one
    for one in (
        Model(
            "smollm2-135m",
            "SmolLM2-135M-Instruct",
            541_700_000,
            "Apache-2.0",
            (Converted("smollm2-135m-gguf"),),
        ),
        Model(
            "llama-3.1-8b-instruct",
            "Llama-3.1-8B-Instruct",
            16_070_000_000,
            "Llama 3.1 Community License",
            (
                Hub("meta-llama/Llama-3.1-8B-Instruct", "0e9e39f249a16976918f6564b8830bc894c89659", gated=True),
                Hub("NousResearch/Meta-Llama-3.1-8B-Instruct", "d10aef7999a2b5ba950ab3974312feeedbfe0b77"),
            ),
        ),
        Model(
            "llama-2-7b-chat",
            "Llama-2-7B-chat",
            13_480_000_000,
            "Llama 2 Community License",
            (
                Hub("meta-llama/Llama-2-7b-chat-hf", "f5db02db724555f92da89c216ac04704f23d4590", gated=True),
                Hub("NousResearch/Llama-2-7b-chat-hf", "351844e75ed0bcbbe3f10671b3c808d2b83894ee"),
            ),
        ),
        Model(
            "llama-2-13b-chat",
            "Llama-2-13B-chat",
            26_030_000_000,
            "Llama 2 Community License",
            # No stand-in without the gate: no revision of one is known to hold these weights.
            (Hub("meta-llama/Llama-2-13b-chat-hf", "a2cb7a712bb6e5e736ca7f8cd98167f81a0b5bd8", gated=True),),
        ),
        Model("emoji-sd", "Emoji-SD", 16_000_000, "MIT", (Shipped("emoji_sd"),)),
        Model(
            "sd-1.5",
            "Stable Diffusion 1.5",
            2_740_000_000,
            "CreativeML Open RAIL-M",
            (
                Hub(
                    "stable-diffusion-v1-5/stable-diffusion-v1-5",
                    "451f4fe16113bff5a5d2269ed5ad43b0592e9a14",
                    is_pipeline=True,
                ),
            ),
        ),
        Model(
            "sdxl",
            "Stable Diffusion XL",
            6_940_000_000,
            "CreativeML Open RAIL++-M",
            (
                Hub(
                    "stabilityai/stable-diffusion-xl-base-1.0",
                    "462165984030d82259a11f4367a4eed129e94a7b",
                    is_pipeline=True,
                ),
            ),
        ),
    )
}

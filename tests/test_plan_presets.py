"""The models that ship: their sizes as published, and their weights as a safetensors file of the same architecture holds them."""

import struct

import pytest
import torch
from tiny_families import FAMILIES, tiny

from course_utils.errors import CourseError
from course_utils.gpu.plan import builders, imports, language, language_model, presets, tracing
from course_utils.gpu.plan.request import parse
from course_utils.gpu.planner.kernels import Chip

transformers = pytest.importorskip("transformers")
safetensors = pytest.importorskip("safetensors")

ADA = Chip((8, 9), 60)
# Width, blocks, heads, heads of keys and values, inner width, vocabulary, positions: Lightning-AI/litgpt, litgpt/config.py.
SIZES = {
    "llama-2-7b": (4096, 32, 32, 32, 11008, 32000, 4096),
    "llama-2-13b": (5120, 40, 40, 40, 13824, 32000, 4096),
    "llama-2-70b": (8192, 80, 64, 8, 28672, 32000, 4096),
    "llama-3.1-8b": (4096, 32, 32, 8, 14336, 128256, 131072),
    "llama-3.1-70b": (8192, 80, 64, 8, 28672, 128256, 131072),
    "llama-3.2-1b": (2048, 16, 32, 8, 8192, 128256, 131072),
    "llama-3.2-3b": (3072, 28, 24, 8, 8192, 128256, 131072),
    "mistral-7b": (4096, 32, 32, 8, 14336, 32768, 32768),  # v0.3
    "qwen2.5-0.5b": (896, 24, 14, 2, 4864, 151936, 32768),
    "qwen2.5-1.5b": (1536, 28, 12, 2, 8960, 151936, 131072),
    "qwen2.5-3b": (2048, 36, 16, 2, 11008, 151936, 32768),
    "qwen2.5-7b": (3584, 28, 28, 4, 18944, 152064, 131072),
    "qwen2.5-14b": (5120, 48, 40, 8, 13824, 152064, 131072),
    "gemma-2-2b": (2304, 26, 8, 4, 9216, 256000, 8192),
    "gemma-2-9b": (3584, 42, 16, 8, 14336, 256000, 8192),
    "phi-3-mini": (3072, 32, 32, 32, 8192, 32064, 4096),
    "tinyllama": (2048, 22, 32, 4, 5632, 32000, 2048),
    "smollm2-135m": (576, 30, 9, 3, 1536, 49152, 8192),
}
NAMES = (
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "intermediate_size",
    "vocab_size",
    "max_position_embeddings",
)


@pytest.mark.parametrize("name", SIZES)
def test_a_decoder_has_the_published_sizes(name):
    config = presets.find(name).config
    assert tuple(config[one] for one in NAMES) == SIZES[name]


def test_vicuna_is_llama_2s_architecture_with_2048_positions():
    config = presets.find("vicuna-7b").config
    assert config == presets.find("llama-2-7b").config | {"max_position_embeddings": 2048}


@pytest.mark.parametrize(("name", "kind"), [("bert-base", "Bert"), ("distilbert", "DistilBert"), ("gpt2", "GPT2")])
def test_the_small_models_are_the_librarys_defaults(name, kind):
    values = {
        key: value for key, value in presets.find(name).config.items() if key not in ("model_type", "architectures")
    }
    default = getattr(transformers, f"{kind}Config")()
    assert values == {key: getattr(default, key) for key in values}


def test_minigpt_4_has_the_librarys_picture_encoder_and_q_former():
    config = presets.find("minigpt-4").config
    for part, default in (
        ("vision_config", transformers.Blip2VisionConfig()),
        ("qformer_config", transformers.Blip2QFormerConfig()),
    ):
        values = {key: value for key, value in config[part].items() if key != "model_type"}
        assert values == {key: getattr(default, key) for key in values}


SMALL = {  # what makes the models with other names for their sizes tiny
    "bert-large": {"hidden_size": 64, "num_hidden_layers": 8, "num_attention_heads": 4, "intermediate_size": 96},
    "distilbert": {"dim": 64, "n_layers": 8, "n_heads": 4, "hidden_dim": 96},
    "gpt2": {"n_embd": 64, "n_layer": 8, "n_head": 4, "vocab_size": 1200},
}


def small(name):
    if name in SMALL:
        return presets.Preset(name, "transformers", presets.find(name).config | SMALL[name])
    return tiny(name, 8)


def saved(preset, folder, dtype):
    """Bytes of the tensors in the safetensors file that transformers writes for the model."""
    config = language.configuration(preset)
    model = language_model.model_class(config)._from_config(config, dtype=dtype)
    model.save_pretrained(folder)
    file = folder / "model.safetensors"
    (header,) = struct.unpack("<Q", file.read_bytes()[:8])
    return file.stat().st_size - 8 - header


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize("name", [*FAMILIES, *SMALL])
def test_traced_weights_are_the_files_to_the_byte(name, dtype, tmp_path):
    request = parse(f"{name} --dtype {dtype} --context 32")
    traced = builders.traced(request, small(name), ADA)
    assert traced.weights_bytes == saved(small(name), tmp_path, tracing.torch_dtype(dtype))


@pytest.mark.slow
@pytest.mark.parametrize("quant", ["nf4", "nf4-dq", "fp4", "int8"])
def test_traced_quantised_weights_are_those_that_bitsandbytes_makes(quant, tmp_path):
    preset = tiny("llama-3.1-8b", 8)
    saved(preset, tmp_path, torch.bfloat16)
    four = quant != "int8"
    options = {"bnb_4bit_quant_type": quant[:3], "bnb_4bit_use_double_quant": quant.endswith("dq")} if four else {}
    model = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path,
        dtype=torch.bfloat16,
        device_map="cpu",
        quantization_config=transformers.BitsAndBytesConfig(load_in_4bit=four, load_in_8bit=not four, **options),
    )
    traced = builders.traced(parse(f"llama-3.1-8b --quant {quant} --context 32"), preset, ADA)
    assert traced.weights_bytes == tracing.weights_bytes(model)


@pytest.mark.parametrize(("name", "extra"), [("llama-2-7b", "llm"), ("sdxl", "diffusion")])
def test_a_library_that_is_missing_is_named_with_the_extra_that_brings_it(name, extra, monkeypatch):
    def without_transformers(module):
        if module.startswith("transformers"):
            raise ModuleNotFoundError(module)

    monkeypatch.setattr(imports.importlib, "import_module", without_transformers)
    with pytest.raises(CourseError, match=f"needs transformers, .* Type `make extra NAME={extra}`"):
        imports.bring(presets.find(name), parse(name))

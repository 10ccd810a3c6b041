import numpy as np
import pytest

from course_utils.errors import CourseError
from course_utils.learn.gguf_export import write_gguf

gguf = pytest.importorskip("gguf")
CHAT = "{% for message in messages %}<|im_start|>{{ message['content'] }}<|im_end|>{% endfor %}"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A Llama with random weights, grouped-query attention and a byte-level tokenizer, saved by transformers."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tiny")
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {name: number for number, name in enumerate(["<|im_start|>", "<|im_end|>", *letters, "th"])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[("t", "h")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    marks = {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "chat_template": CHAT}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **marks).save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "vocab_size": 288}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256}
    LlamaForCausalLM(LlamaConfig(**sizes, **heads, tie_word_embeddings=True)).save_pretrained(folder)
    return folder


def test_every_tensor_of_the_file_loads_back_into_transformers_as_it_was(tiny, tmp_path):
    import torch
    from transformers import AutoModelForCausalLM, GgufConfig

    write_gguf(tiny, tmp_path / "tiny.gguf", "F32")
    before = AutoModelForCausalLM.from_pretrained(tiny).state_dict()
    again = AutoModelForCausalLM.from_pretrained(
        tmp_path, gguf_file="tiny.gguf", quantization_config=GgufConfig(dequantize=True), dtype=torch.float32
    ).state_dict()
    assert before.keys() == again.keys()
    for name, tensor in before.items():
        torch.testing.assert_close(again[name], tensor, rtol=0, atol=0)


def test_a_quantised_file_holds_what_gguf_makes_of_the_matrices(tiny, tmp_path):
    from safetensors.numpy import load_file

    reader = gguf.GGUFReader(write_gguf(tiny, tmp_path / "tiny.gguf", "Q4_1"))
    found = {tensor.name: tensor for tensor in reader.tensors}
    kinds = {name: tensor.tensor_type.name for name, tensor in found.items()}
    assert kinds["token_embd.weight"] == "Q8_0"
    assert kinds["blk.1.ffn_down.weight"] == "Q4_1"
    assert kinds["output_norm.weight"] == "F32"
    weights = load_file(tiny / "model.safetensors")["model.layers.1.mlp.down_proj.weight"]
    blocks = weights.reshape(-1, 32)
    step = (blocks.max(1) - blocks.min(1)) / 15
    back = gguf.dequantize(found["blk.1.ffn_down.weight"].data, gguf.GGMLQuantizationType.Q4_1).reshape(-1, 32)
    assert np.all(np.abs(back - blocks).max(1) <= 0.6 * step)


def test_an_unknown_kind_and_another_architecture_are_refused_and_leave_nothing(tiny, tmp_path):
    from transformers import GPT2Config

    with pytest.raises(CourseError, match="'Q4_K_M' cannot be written here; there are F32, F16, Q8_0"):
        write_gguf(tiny, tmp_path / "tiny.gguf", "Q4_K_M")
    GPT2Config().save_pretrained(tmp_path / "gpt2")
    with pytest.raises(CourseError, match="this one is 'gpt2'"):
        write_gguf(tmp_path / "gpt2", tmp_path / "tiny.gguf")
    assert [path.name for path in tmp_path.iterdir()] == ["gpt2"]


def test_an_unmerged_adapter_is_named(tiny, tmp_path):
    from safetensors.numpy import load_file, save_file

    for file in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / file).write_bytes((tiny / file).read_bytes())
    (tmp_path / "chat_template.jinja").write_text(CHAT)
    tensors = load_file(tiny / "model.safetensors")
    tensors["model.layers.0.self_attn.q_proj.lora_A.weight"] = np.zeros((2, 64), np.float32)
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(CourseError, match="lora_A.weight' is not part of a plain Llama; merge the adapter"):
        write_gguf(tmp_path, tmp_path / "tiny.gguf")
    assert not list(tmp_path.glob("tiny.gguf*"))


def test_llama_3s_frequencies_are_divided_as_transformers_divides_them(tmp_path):
    from transformers import LlamaConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    from course_utils.learn.gguf_export import _rope_factors

    long = {"rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
    config = LlamaConfig(rope_parameters=long | {"original_max_position_embeddings": 8192}, head_dim=128)
    factors = _rope_factors(config)
    plain = 5e5 ** -(np.arange(0, 128, 2) / 128)
    np.testing.assert_allclose(plain / factors, ROPE_INIT_FUNCTIONS["llama3"](config, "cpu")[0], rtol=1e-5)
    assert factors[0] == pytest.approx(1)
    assert factors[-1] == pytest.approx(8)


@pytest.mark.slow
def test_llama_cpp_answers_from_the_file_as_transformers_does_from_the_folder(smollm2, tmp_path):
    import torch
    import xllamacpp
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder, _ = smollm2
    params = xllamacpp.CommonParams()
    params.model.path = str(write_gguf(folder, tmp_path / "smollm2.gguf", "F16"))
    params.n_ctx, params.n_parallel, params.warmup = 512, 1, False
    server = xllamacpp.Server(params)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    for question in ("What is the capital of France?", "Name three colours."):
        messages = [{"role": "user", "content": question}]
        answer = server.handle_chat_completions({"messages": messages, "max_tokens": 16, "temperature": 0})
        ours = tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        with torch.no_grad():
            tokens = model.generate(**ours, max_new_tokens=16, do_sample=False)[0, ours["input_ids"].shape[1] :]
        text = tokenizer.decode(tokens, skip_special_tokens=True)
        assert answer["choices"][0]["message"]["content"].strip() == text.strip()

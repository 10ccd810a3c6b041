"""GGUF in closed forms, held against files that others published."""

import pytest

from course_utils.errors import CourseError
from course_utils.gpu.plan import gguf, presets


def sizes(model, quant, context=4096, batch=1):
    return gguf.sizes(presets.find(model).config, quant, context, batch)


def test_bits_a_weight_are_those_of_the_formats_blocks():
    assert gguf.bits_per_weight("Q4_K") == 144 * 8 / 256 == 4.5
    assert gguf.bits_per_weight("Q6_K") == 6.5625
    assert gguf.bits_per_weight("Q8_0") == 8.5


# GB of the files of Llama-3-8B-Instruct that are listed beside llama.cpp's types on the Hugging Face Hub.
LLAMA_3_8B = {
    "Q2_K": 3.18,
    "Q3_K_M": 4.02,
    "Q4_0": 4.66,
    "Q4_K_S": 4.69,
    "Q4_K_M": 4.92,
    "Q5_K_S": 5.60,
    "Q5_K_M": 5.73,
    "Q6_K": 6.60,
    "Q8_0": 8.54,
    "F16": 16.07,
}


@pytest.mark.parametrize("quant, published_gb", LLAMA_3_8B.items())
def test_llama_3_8b_has_the_published_file_sizes(quant, published_gb):
    vocabulary = 0.008  # GB: the file also holds 128,256 tokens and 280,147 merges as text
    assert sizes("llama-3.1-8b", quant).file_bytes / 1e9 + vocabulary == pytest.approx(published_gb, abs=0.012)


@pytest.mark.parametrize("model, published_gb", [("llama-2-7b", 4.08), ("llama-2-70b", 41.42), ("phi-3-mini", 2.39)])
def test_other_models_have_the_published_sizes_in_q4_k_m(model, published_gb):
    assert sizes(model, "Q4_K_M").file_bytes / 1e9 == pytest.approx(published_gb, abs=0.01)


def test_the_tensors_of_smollm2_are_counted_to_the_byte():
    # The sum of `n_bytes` over the tensors of SmolLM2-135M-Instruct.Q4_1.gguf, read with the package gguf.
    assert sizes("smollm2-135m", "Q4_1").file_bytes == 96_576_768


def test_the_kv_cache_is_two_float16_numbers_for_every_layer_head_and_token():
    assert sizes("llama-3.1-8b", "Q4_K_M", context=8192).kv_cache_bytes == 2 * 2 * 32 * 8 * 128 * 8192
    assert (
        sizes("llama-3.1-8b", "Q4_K_M", 8192, batch=3).kv_cache_bytes
        == 3 * sizes("llama-3.1-8b", "Q8_0", 8192).kv_cache_bytes
    )


def test_the_compute_buffer_is_what_llama_cpp_reports_for_llama_3_8b_with_flash_attention():
    assert sizes("llama-3.1-8b", "Q4_K_M").compute_bytes == 258.5 * 1024**2


def test_the_table_of_embeddings_stays_in_ram_unless_it_is_the_head():
    untied, tied = sizes("llama-3.1-8b", "Q8_0"), sizes("llama-3.2-1b", "Q8_0")
    assert untied.file_bytes - untied.weights_bytes == 128_256 * 4096 // 32 * 34
    assert tied.file_bytes == tied.weights_bytes


def test_a_network_that_llama_cpp_does_not_run_is_named():
    with pytest.raises(CourseError, match="not for 'bert'. Give --quant nf4 or int8"):
        sizes("bert-base", "Q4_K_M")

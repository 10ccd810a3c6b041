"""Week 07's hand-written pieces equal those of transformers and bitsandbytes, on a tiny Llama."""

import pytest
import torch

from course_utils.learn.catalog import exercises_of

transformers = pytest.importorskip("transformers")
bitsandbytes = pytest.importorskip("bitsandbytes")
pytestmark = pytest.mark.slow

HAND = {id.partition(".")[2]: one.reference for id, one in exercises_of("week07").items()}
LENGTH = 12


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(3)
    config = transformers.LlamaConfig(
        vocab_size=64,
        hidden_size=48,
        intermediate_size=80,
        num_hidden_layers=2,
        num_attention_heads=6,
        num_key_value_heads=2,
        head_dim=8,
        rope_parameters={"rope_type": "default", "rope_theta": 5000.0},
    )
    made = transformers.LlamaForCausalLM(config).eval().requires_grad_(False)
    for name, weight in made.named_parameters():
        weight.copy_(torch.randn_like(weight) * 0.1 + (1.0 if "norm" in name else 0.0))
    return made


def hidden(model, length=LENGTH):
    return torch.randn(1, length, model.config.hidden_size, generator=torch.Generator().manual_seed(1))


def cos_and_sin(model, x, start=0):
    return model.model.rotary_emb(x, torch.arange(start, start + x.shape[1])[None])


def test_rms_norm_is_that_of_transformers(model):
    norm, x = model.model.norm, 3 * hidden(model) + 1
    expected = norm(x)
    torch.testing.assert_close(HAND["rms_norm"](x, norm.weight, norm.variance_epsilon), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("start", [0, 100, 4000])
def test_rope_is_that_of_transformers(model, start):
    from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

    x = torch.randn(1, 6, LENGTH, 8, generator=torch.Generator().manual_seed(2))
    expected, _ = apply_rotary_pos_emb(x, x, *cos_and_sin(model, hidden(model), start))
    got = HAND["rope"](x, torch.arange(start, start + LENGTH), 5000.0)
    # An angle of 4,000 radians in fp32 is known to about 2e-4.
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5 if start < 1000 else 1e-3)


def by_hand_attention(model, attention, x):
    positions, theta = torch.arange(x.shape[1]), model.config.rope_parameters["rope_theta"]

    def heads(projection):
        return projection(x)[0].unflatten(-1, (-1, attention.head_dim)).transpose(0, 1)

    q, k = (HAND["rope"](heads(one), positions, theta) for one in (attention.q_proj, attention.k_proj))
    mixed = HAND["gqa"](q, k, heads(attention.v_proj))
    return attention.o_proj(mixed.transpose(0, 1).flatten(1))[None]


@pytest.mark.parametrize("kind", ["eager", "sdpa"])
def test_grouped_attention_is_that_of_transformers(model, kind):
    x, attention = hidden(model), model.model.layers[0].self_attn
    model.set_attn_implementation(kind)
    mask = torch.full((LENGTH, LENGTH), float("-inf")).triu(1)[None, None]
    expected, _ = attention(x, position_embeddings=cos_and_sin(model, x), attention_mask=mask)
    torch.testing.assert_close(by_hand_attention(model, attention, x), expected, rtol=1e-4, atol=1e-5)


def test_swiglu_is_that_of_transformers(model):
    x, mlp = hidden(model), model.model.layers[1].mlp
    gate = x @ mlp.gate_proj.weight.T
    by_hand = (gate * torch.sigmoid(gate) * (x @ mlp.up_proj.weight.T)) @ mlp.down_proj.weight.T
    torch.testing.assert_close(by_hand, mlp(x), rtol=1e-4, atol=1e-6)


def test_a_whole_model_of_hand_written_pieces_gives_the_logits_of_transformers(model):
    tokens = torch.arange(LENGTH)[None] % 64
    expected = model(tokens).logits
    x = model.model.embed_tokens(tokens)
    for layer in model.model.layers:
        norm = layer.input_layernorm
        x = x + by_hand_attention(model, layer.self_attn, HAND["rms_norm"](x, norm.weight, norm.variance_epsilon))
        norm = layer.post_attention_layernorm
        x = x + layer.mlp(HAND["rms_norm"](x, norm.weight, norm.variance_epsilon))
    norm = model.model.norm
    logits = model.lm_head(HAND["rms_norm"](x, norm.weight, norm.variance_epsilon))
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)


def levels_from_the_normal_distribution():
    """The recipe of the notebook: 8 steps up from 0, 7 down, equal in probability, scaled to ±1."""
    quantile = torch.distributions.Normal(0.0, 1.0).icdf
    offset = 1 - (1 / 32 + 1 / 30) / 2
    up = quantile(torch.linspace(0.5, offset, 9))
    down = -quantile(torch.linspace(0.5, offset, 8))
    levels = torch.cat([down[1:], up]).sort().values
    return levels / levels.abs().max()


def test_the_sixteen_levels_are_those_of_bitsandbytes():
    table = bitsandbytes.functional.get_4bit_type("nf4", device="cpu")
    torch.testing.assert_close(levels_from_the_normal_distribution(), table, rtol=0, atol=1e-4)


@pytest.mark.parametrize("block", [64, 128])
def test_nf4_is_that_of_bitsandbytes(block):
    w = torch.randn(32, 256, generator=torch.Generator().manual_seed(5)) * 0.02
    table = bitsandbytes.functional.get_4bit_type("nf4", device="cpu")
    packed, state = bitsandbytes.functional.quantize_4bit(w, blocksize=block, quant_type="nf4")
    expected = torch.stack([packed.flatten() >> 4, packed.flatten() & 15], dim=1).flatten().long()
    codes, scales, restored = HAND["nf4"](w, table, block)
    torch.testing.assert_close(scales, state.absmax)
    # bitsandbytes compares with rounded middles between levels: a weight in the middle may fall to either side.
    differ = codes.flatten() != expected
    assert differ.float().mean() < 1e-3
    theirs = bitsandbytes.functional.dequantize_4bit(packed, state)
    torch.testing.assert_close(restored.flatten()[~differ], theirs.flatten()[~differ], rtol=1e-6, atol=1e-8)


def test_top_p_is_that_of_transformers():
    logits = torch.randn(200, generator=torch.Generator().manual_seed(7)) * 2
    expected = transformers.TopPLogitsWarper(0.85)(None, logits[None])[0].softmax(0)
    torch.testing.assert_close(HAND["top_p"](logits.softmax(0), 0.85), expected, rtol=1e-5, atol=1e-7)

"""KV caches, held against arithmetic by hand: bytes that a cache holds after a prompt and some tokens."""

import pytest
import torch
from test_planner_trace import ADA, meta

from course_utils.errors import CourseError
from course_utils.gpu.plan import caches, card, verdict
from course_utils.gpu.plan.request import Request, parse
from course_utils.gpu.planner import events
from course_utils.gpu.planner.trace import trace

transformers = pytest.importorskip("transformers")

BLOCKS, HEADS, KV_HEADS, SIZE, WINDOW = 4, 4, 2, 64, 32
PROMPT = 100
SIZES = {
    "hidden_size": HEADS * SIZE,
    "num_hidden_layers": BLOCKS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS,
    "head_dim": SIZE,
    "intermediate_size": 64,
    "vocab_size": 1000,
    "pad_token_id": 0,
}
TOKEN = KV_HEADS * SIZE  # numbers of keys, and as many of values, in a block for a token


def held(kind, config=None, tokens=1, batch=1):
    """Bytes of the cache that live on after a prompt and `tokens` single tokens, in bfloat16."""
    config = config or transformers.LlamaConfig(**SIZES)
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).eval()
    kept = []

    def step(model, ids, token):
        with torch.no_grad():
            cache = model(ids, past_key_values=caches.make(kind, config, PROMPT + 30), use_cache=True).past_key_values
            for _ in range(tokens):
                model(token, past_key_values=cache, use_cache=True)
        kept.append(cache)

    ids, token = (meta(batch, length, dtype=torch.int64) for length in (PROMPT, 1))
    return trace(step, model, ids, token, chip=ADA, repeat=1).live_bytes(events.KV_CACHE)


def both(numbers):
    return 2 * BLOCKS * numbers  # keys and values of every block


def test_a_dynamic_cache_holds_grouped_heads_for_every_token():
    for tokens, batch in ((0, 1), (1, 1), (5, 1), (1, 3)):
        assert held("dynamic", tokens=tokens, batch=batch) == both(2 * batch * TOKEN * (PROMPT + tokens))


def test_a_static_cache_is_made_whole_at_once_and_counts_its_tokens():
    assert held("static", tokens=0) == held("static", tokens=5) == both(2 * TOKEN * (PROMPT + 30)) + 8 * BLOCKS


def test_an_fp8_cache_has_a_byte_a_number_and_a_scale_a_tensor():
    assert held("fp8", tokens=1) == both(TOKEN * (PROMPT + 1) + 4)


@pytest.mark.slow
@pytest.mark.parametrize("bits", [2, 4])
def test_a_packed_cache_has_its_bits_and_a_scale_and_shift_for_64_numbers(bits):
    packed = both(PROMPT * TOKEN * bits // 8 + PROMPT * TOKEN // 64 * 2 * 2)
    assert held(f"int{bits}", tokens=0) == packed
    assert held(f"int{bits}", tokens=5) == packed + both(2 * 5 * TOKEN)  # new tokens stay in 16 bits …
    after = held(f"int{bits}", tokens=caches.RESIDUAL)  # … until there are 128 of them
    assert after == packed * (PROMPT + caches.RESIDUAL) // PROMPT


def test_packing_is_undone_by_unpacking():
    torch.manual_seed(0)
    tensor = torch.randn(2, 3, 16, 64)
    for bits in (2, 4):
        back = caches._unpack(*caches._pack(tensor, bits), bits)
        step = (tensor.amax() - tensor.amin()) / (2**bits - 1)
        assert back.shape == tensor.shape and (back - tensor).abs().max() <= step / 2 + 1e-6


def test_a_sliding_window_keeps_its_tokens_once_the_prompts_tensor_is_let_go():
    config = transformers.MistralConfig(**SIZES, sliding_window=WINDOW)
    number = 8 * BLOCKS  # every layer keeps the window's size as a tensor
    assert held("dynamic", config, tokens=0) == number + both(
        2 * TOKEN * PROMPT
    )  # a view of the last 31, which keeps them all
    assert held("dynamic", config, tokens=1) == number + both(2 * TOKEN * WINDOW)
    assert held("static", config, tokens=1) == pytest.approx(both(2 * TOKEN * WINDOW), rel=0.001)


def test_gemma_2_has_a_window_in_every_second_block():
    config = transformers.Gemma2Config(**SIZES, sliding_window=WINDOW)
    half = BLOCKS * 2 * TOKEN  # bytes a token of the keys and values of half of the blocks
    assert held("dynamic", config, tokens=1) == half * WINDOW + 8 * BLOCKS // 2 + half * (PROMPT + 1)


@pytest.mark.slow
def test_plans_with_smaller_caches_need_less_and_the_shares_say_how_much():
    where = card.target(Request("any", card="RTX 4070 Ti"))
    line = "tinyllama --quant nf4 --context 2048 --batch 8 --cache"
    plans = {kind: verdict.plan(parse(f"{line} {kind}"), where) for kind in caches.KINDS}
    exact = 8 * 2 * 22 * 4 * 64 * 2048  # numbers
    shares = {kind: dict(plan.shares)["KV cache"] for kind, plan in plans.items()}
    bits = {"dynamic": 16, "static": 16, "fp8": 8, "int4": 4.5, "int2": 2.5}
    for kind, size in bits.items():
        assert shares[kind] == pytest.approx(exact * size / 8, rel=0.03), kind
    sizes = [plans[kind].allocated_bytes for kind in ("int2", "int4", "fp8", "dynamic")]
    assert sizes == sorted(set(sizes))


def test_what_has_no_such_cache_is_refused():
    with pytest.raises(CourseError, match="cache='int5' is not known; it is one of dynamic, static, fp8"):
        Request("gpt2", cache="int5")
    with pytest.raises(CourseError, match="for inference: training keeps no KV cache"):
        Request("gpt2", "lora", cache="fp8")
    gemma = transformers.Gemma2Config(**SIZES)
    with pytest.raises(CourseError, match="full attention in every block"):
        caches.make("int4", gemma, 10)
    with pytest.raises(CourseError, match="multiple of 64, and 1 × 1 × 3 × 16 is not"):
        caches._pack(torch.ones(1, 1, 3, 16), 4)

"""Language models as transformers, PEFT and bitsandbytes build them, on `meta`."""

import warnings
from functools import partial

import pytest
import torch
from test_planner_trace import T4, meta

from course_utils.errors import CourseError
from course_utils.gpu.planner import events, layers, loading, quantise
from course_utils.gpu.planner.events import Alloc, Free
from course_utils.gpu.planner.kernels import Chip
from course_utils.gpu.planner.trace import trace

transformers = pytest.importorskip("transformers")
peft = pytest.importorskip("peft")
bitsandbytes = pytest.importorskip("bitsandbytes")
transformers.logging.set_verbosity_error()
warnings.filterwarnings("ignore", module="(transformers|peft|bitsandbytes|torch).*")

pytestmark = pytest.mark.slow

HALF = torch.float16
SMALL = {
    "hidden_size": 128,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 256,
    "vocab_size": 2000,
}


def build(blocks=6, quant=None, rank=4, checkpointing=False, double_quant=False, dtype=HALF, **sizes):
    config = transformers.LlamaConfig(**({"use_cache": False} | SMALL | sizes), num_hidden_layers=blocks)
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=dtype)
    if quant:
        quantise.quantise(model, quant, dtype, double_quant)
        model = peft.prepare_model_for_kbit_training(model, use_gradient_checkpointing=checkpointing)
    if rank:
        with torch.device("meta"):
            model = peft.get_peft_model(model, peft.LoraConfig(r=rank, target_modules=["q_proj", "v_proj"]))
    if checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": checkpointing != "once"})
        model.enable_input_require_grads()
    return model.train()


def train(model, quant=None, batch=2, length=64, optimiser=torch.optim.AdamW, chip=T4):
    weights = [one for one in model.parameters() if one.requires_grad]

    def step(model, optimiser, ids):
        optimiser.zero_grad()
        model(input_ids=ids, labels=ids).loss.backward()
        optimiser.step()

    def prepare(recorder):
        loading.quantised(recorder, model, upcast=True) if quant else loading.plainly(recorder, model)

    ids = meta(batch, length, dtype=torch.int64)
    return trace(step, model, optimiser(weights), ids, chip=chip, stack="model.layers", prepare=prepare)


def plain(found):
    """Events with their own numbers; the order in which memory is let go does not matter until more is asked for."""
    numbers, written, freed = {}, [], []
    for event in found.events:
        if isinstance(event, Free):
            freed.append(numbers[event.id])
            continue
        written.append(sorted(freed))
        freed = []
        if isinstance(event, Alloc):
            numbers[event.id] = len(numbers)
            written.append((event.bytes, event.category))
        else:
            written.append(event.name)
    return [*written, sorted(freed)]


@pytest.mark.parametrize(("quant", "checkpointing"), [(None, False), ("nf4", "once"), ("nf4", "again")])
def test_a_lengthened_trace_equals_the_full_one_event_for_event(quant, checkpointing):
    short, full = (train(build(n, quant, checkpointing=checkpointing), quant) for n in (layers.ENOUGH, 8))
    assert plain(layers.extend(short, 8)) == plain(full)
    assert layers.extend(short, 8).peak() == full.peak()


@pytest.mark.parametrize("kind", ["8 bits", "one tensor at a time"])
def test_it_is_equal_for_other_optimisers_too(kind):
    one_by_one = partial(torch.optim.AdamW, foreach=False)
    optimiser = bitsandbytes.optim.AdamW8bit if kind == "8 bits" else one_by_one
    short, full = (train(build(n), optimiser=optimiser) for n in (layers.ENOUGH, 8))
    assert plain(layers.extend(short, 8)) == plain(full)


def test_blocks_that_differ_are_refused():
    model = build(6)
    model.base_model.model.model.layers[3].mlp.act_fn = torch.nn.Sequential(torch.nn.SiLU(), torch.nn.Tanh())
    with pytest.raises(layers.NotPeriodic, match="do not do the same"):
        layers.extend(train(model), 32)


def test_a_stack_that_is_too_short_is_refused():
    with pytest.raises(layers.NotPeriodic, match="8 blocks cannot be told from 4"):
        layers.extend(train(build(4)), 8)


def parameters(model):
    return sum(one.numel() for one in model.parameters())


def test_weights_on_the_card_are_the_parameters_of_the_model():
    model = build(3, rank=0)
    found = trace(lambda model: None, model, repeat=1)
    frequencies = 4 * (128 // 4) // 2  # of the rotary embedding, which keeps a copy
    assert found.live_bytes(events.WEIGHTS) == 2 * parameters(model) + 2 * frequencies


def linear_weights(blocks, width):
    return blocks * (2 * width * width + 2 * width * width // 2 + 3 * width * 256)


@pytest.mark.parametrize(
    ("kind", "double_quant", "bits"),
    [
        ("nf4", False, 4 + 32 / 64),
        ("fp4", False, 4 + 32 / 64),
        ("nf4", True, 4 + 8 / 64 + 32 / (64 * 256)),
    ],
)
def test_four_bit_weights_cost_their_bits_and_their_scales(kind, double_quant, bits):
    model = build(3, kind, rank=0, double_quant=double_quant, hidden_size=256)
    stored = 0
    for module in model.modules():
        if isinstance(module, bitsandbytes.nn.Linear4bit):
            state = module.weight.quant_state
            stored += module.weight.nbytes + state.absmax.nbytes + (state.state2.absmax.nbytes if state.state2 else 0)
    assert stored == linear_weights(3, 256) * bits / 8


def test_weights_shrink_from_float32_to_nf4():
    def weights(quant, dtype=HALF):
        model = build(6, quant, rank=0, dtype=dtype, hidden_size=512, intermediate_size=2048)

        def prepare(recorder):
            loading.quantised(recorder, model) if quant else loading.plainly(recorder, model)

        return trace(lambda model: None, model, repeat=1, prepare=prepare).live_bytes(events.WEIGHTS)

    sizes = [weights("nf4"), weights("int8"), weights(None), weights(None, torch.float32)]
    assert sizes == sorted(set(sizes))


def test_preparing_for_training_makes_what_is_not_quantised_float32():
    model = build(2, "nf4")
    assert model.get_input_embeddings().weight.dtype == torch.float32
    found = train(model, "nf4")
    table = 4 * 2000 * 128
    assert [event.bytes for event in found.events if isinstance(event, Alloc) and event.bytes == table][:2] == [
        table
    ] * 2


def test_the_weight_is_dequantised_for_each_product_of_many_rows_and_not_for_one():
    def scratch(length):
        model = build(2, "nf4")
        ids = meta(1, length, dtype=torch.int64)
        found = trace(lambda model, ids: model(input_ids=ids), model, ids, chip=T4, repeat=1)
        return [one.bytes for one in found.events if isinstance(one, Alloc) and one.op == "dequantised weight"]

    assert scratch(1) == []
    assert set(scratch(2048)) == {2 * 128 * 128, 2 * 128 * 64, 2 * 128 * 256}


def test_int8_training_makes_whole_numbers_of_32_bits_first():
    found = train(build(2, "int8"), "int8")
    tokens = 2 * 64
    products = {event.bytes for event in found.events if isinstance(event, Alloc) and event.op == "int32 product"}
    assert products == {4 * tokens * 128, 4 * tokens * 64, 4 * tokens * 256}


@pytest.mark.parametrize("what", ["batch", "length", "rank"])
def test_memory_never_falls_when_batch_length_or_rank_grows(what):
    peaks = []
    for size in (1, 2, 5):
        model = build(2, "nf4", rank=8 * size if what == "rank" else 8)
        peaks.append(
            train(model, "nf4", batch=size if what == "batch" else 1, length=64 * size if what == "length" else 64)
            .peak()
            .allocated_bytes
        )
    assert peaks == sorted(peaks)


def test_paged_states_are_not_on_the_card_and_eight_bit_states_are_a_quarter():
    def states(optimiser):
        wide = build(2, rank=128, hidden_size=1024)
        return train(wide, optimiser=optimiser).live_bytes(events.OPTIMISER)

    adam, eight, paged = (
        states(one) for one in (torch.optim.AdamW, bitsandbytes.optim.AdamW8bit, bitsandbytes.optim.PagedAdamW32bit)
    )
    assert eight == pytest.approx(adam / 4 * (1 + 4 / 256), rel=0.02)  # and a float32 for each block of 256
    # Tensors of less than 100,000 numbers stay: of the four factors that of v's 512 outputs.
    assert paged == adam * 512 / (3 * 1024 + 512)


@pytest.mark.parametrize("training", [False, True])
def test_an_attention_mask_of_ones_makes_no_matrix_of_tokens_times_tokens(training):
    model, length = build(2, rank=0, dtype=torch.bfloat16).train(training), 2048
    ids = meta(2, length, dtype=torch.int64)

    def step(model, ids):
        out = model(input_ids=ids, attention_mask=torch.ones_like(ids), labels=ids)
        return out.loss.backward() if training else None

    found = trace(step, model, ids, chip=Chip((8, 9)), repeat=1)
    kernels = {event.op for event in found.events if isinstance(event, Alloc) and "attention" in event.op}
    assert kernels and all("flash" in one or one.startswith("attention: ") for one in kernels)
    assert not [event for event in found.events if isinstance(event, Alloc) and event.bytes == 2 * length * length]


@pytest.mark.parametrize("cache", ["dynamic", "static"])
def test_generating_fills_the_cache_of_grouped_heads(cache):
    model = build(2, rank=0).eval()
    model.config.use_cache = model.generation_config.use_cache = True
    more = {"cache_implementation": "static"} if cache == "static" else {}

    def step(model, ids):
        return model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=8,
            do_sample=False,
            pad_token_id=0,
            **more,
        )

    found = trace(step, model, meta(1, 1000, dtype=torch.int64), chip=Chip((8, 9)), repeat=1)
    held = dict(found.peak().shares)[events.KV_CACHE]
    # 2 blocks × keys and values × 1,000 tokens × 64 numbers of 2 bytes; while it grows, one block has two.
    assert 2 * 2 * 1000 * 64 * 2 <= held <= 1.3 * 2 * 2 * 1008 * 64 * 2


def test_an_unknown_kind_of_quantisation_is_an_error_that_lists_them():
    with pytest.raises(CourseError, match="quant='nf5' is not known; it is one of nf4, fp4, int8"):
        quantise.quantise(build(1, rank=0), "nf5", HALF)


@pytest.mark.slow
def test_seventy_billion_parameters_take_less_than_200_mb_of_ram():
    import subprocess
    import sys

    code = """
import torch, sys
sys.path.insert(0, "tests")
from course_utils.gpu.memory import ram
from test_planner_models import build, train
import bitsandbytes.backends.cuda.ops
train(build(6, "nf4", rank=16), "nf4")
before = ram()[1]
sizes = dict(hidden_size=8192, num_attention_heads=64, num_key_value_heads=8, intermediate_size=28672, vocab_size=32000)
train(build(80, "nf4", rank=16, checkpointing="once", **sizes), "nf4", batch=1, length=1024)
print(ram()[1] - before)
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert 0 < int(done.stdout.split()[-1]) < 200e6

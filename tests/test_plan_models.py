"""Plans of the models that ship: their published sizes, and what must hold whatever the numbers."""

import subprocess
import sys
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from course_utils.errors import CourseError
from course_utils.gpu.plan import builders, card, language, language_model, presets, remedies, search, tracing, verdict
from course_utils.gpu.plan.request import Request, parse

pytestmark = pytest.mark.slow


def target(name="RTX 4070 Ti"):
    return card.target(Request("any", card=name))


def planned(line, where=None):
    return verdict.plan(parse(line), where or target())


def parameters(name):
    import torch

    preset = presets.find(name)
    with torch.device("meta"):
        if preset.kind == "torchvision":
            import torchvision

            model = torchvision.models.get_model(name)
        elif preset.kind == "own":
            from course_utils.gpu.plan import nets

            model = nets.Yolo()
        else:
            config = language.configuration(preset)
            model = language_model.model_class(config)._from_config(config)
    return sum(one.numel() for one in model.parameters())


@pytest.mark.parametrize("name", presets.PARAMETERS)
def test_a_preset_has_the_published_number_of_parameters(name):
    assert parameters(name) == presets.PARAMETERS[name]


@pytest.mark.slow
def test_stable_diffusion_has_the_published_number_of_parameters():
    from course_utils.gpu.plan import diffusion_parts

    def counts(name):
        parts = diffusion_parts.build(Request(name, dtype="fp16"), presets.find(name).config)
        return [sum(one.numel() for one in module.parameters()) for module in parts.modules]

    encoder, unet, vae, checker = counts("sd-1.5")
    assert (encoder, unet, vae) == (123_060_480, 859_520_964, 83_653_863)
    assert 2 * checker == pytest.approx(608e6, rel=0.001)  # MB of the safety checker's float16 file
    small, large, unet, vae = counts("sdxl")
    assert (small, large, unet, vae) == (123_060_480, 694_659_840, 2_567_463_684, 83_653_863)


def test_dcgan_has_the_parameters_of_pytorchs_example():
    import torch

    from course_utils.gpu.plan import nets

    with torch.device("meta"):
        made = nets.Generator(), nets.Discriminator()
    assert [sum(p.numel() for p in one.parameters()) for one in made] == [3_576_704, 2_765_568]


@pytest.mark.slow
def test_minigpt_4_is_vicuna_with_a_picture_encoder_of_a_billion_and_a_q_former():
    import torch

    config = language.configuration(presets.find("minigpt-4"))
    with torch.device("meta"):
        model = language_model.model_class(config)._from_config(config)
    counts = {name: sum(p.numel() for p in part.parameters()) for name, part in model.named_children()}
    assert counts["language_projection"] == 768 * 4096 + 4096
    assert counts["vision_model"] == pytest.approx(986e6, rel=0.01)  # BLIP-2's paper: ViT-g without its last block
    # The paper's 188 million of the Q-Former include what only its text branch uses, which MiniGPT-4 takes out.
    text = 12 * (2 * 768 * 3072 + 3072 + 768 + 2 * 768) + (30_523 + 512) * 768
    assert counts["qformer"] + text == pytest.approx(188e6, rel=0.02)
    assert counts["language_model"] == presets.PARAMETERS["vicuna-7b"] + 2 * 4096  # one more token, for pictures


def test_traced_weights_are_the_bytes_of_the_safetensors_file():
    assert planned("smollm2-135m --dtype bf16").weights_bytes == 2 * presets.PARAMETERS["smollm2-135m"]
    assert planned("llama-2-70b --dtype fp16").weights_bytes == 2 * presets.PARAMETERS["llama-2-70b"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "line, sizes",
    [
        ("tinyllama --lora --seq 256 --batch", (1, 2, 3, 8)),
        ("tinyllama --qlora --checkpointing --seq", (64, 100, 512, 1024)),
        ("tinyllama --lora --seq 128 --rank", (1, 8, 16, 64)),
        ("tinyllama --quant nf4 --context", (64, 500, 1000, 2048)),
        ("resnet18 --train --amp --batch", (1, 16, 64)),
    ],
)
def test_memory_never_falls_when_a_size_grows(line, sizes):
    peaks = [planned(f"{line} {size}").allocated_bytes for size in sizes]
    assert peaks == sorted(peaks) and peaks[0] < peaks[-1]


@pytest.mark.slow
def test_fewer_bits_take_less():
    names = ("--quant nf4-dq", "--quant nf4", "--quant int8", "--dtype bf16", "--dtype fp32")
    weights = [planned(f"tinyllama {one}").weights_bytes for one in names]
    assert weights == sorted(weights) and len(set(weights)) == len(weights)


@pytest.mark.parametrize(
    "line", ["tinyllama --lora --seq 512", "gpt2 --train --seq 512", "bert-base --train --batch 8"]
)
def test_checkpointing_never_raises_the_peak_of_a_deep_model(line):
    assert planned(f"{line} --checkpointing").allocated_bytes < planned(line).allocated_bytes


@pytest.mark.slow
@pytest.mark.parametrize(
    "line",
    [
        "--qlora --checkpointing --seq 128",
        "--train --seq 16",
        "--train --amp --checkpointing --seq 16",
        "--train --seq 16 --optimizer adamw-8bit",
        "--train --seq 16 --optimizer paged-adamw-8bit",
        "--train --seq 16 --optimizer sgd",
        "--train --seq 16 --optimizer adafactor",
        "--quant int8 --context 100",
    ],
)
def test_a_lengthened_trace_is_the_full_one(line):
    request, preset = parse(f"tinyllama {line}"), presets.find("tinyllama")
    long = builders.traced(request, preset, target().chip)
    full, model = language._trace(request, language.configuration(preset), target().chip)
    assert long.trace.peak() == full.peak() and long.weights_bytes == tracing.weights_bytes(model)


def test_the_kv_cache_of_a_plan_is_that_of_hand_arithmetic():
    shares = dict(planned("tinyllama --context 2048").shares)
    assert shares["KV cache"] == pytest.approx(2 * 2 * 22 * 4 * 64 * 2048, rel=0.001)


@pytest.mark.slow
def test_offload_keeps_the_largest_part_and_then_the_largest_layer():
    whole, parts, layers = (
        planned(f"sd-1.5 --offload {kind}").allocated_bytes for kind in ("none", "model", "sequential")
    )
    unet = 2 * 859_520_964
    checker = 2 * 304_000_000  # stays, by the pipeline's own exception
    assert unet + checker < parts < whole and checker < layers < checker + unet / 2


@pytest.mark.slow
def test_8_bit_states_take_a_quarter_and_paged_ones_leave_the_card():
    preset = presets.find("tinyllama")
    states = [
        builders.traced(parse(f"tinyllama --train --seq 8 --optimizer {one}"), preset, target().chip).trace.live_bytes(
            "optimiser"
        )
        for one in ("adamw", "adamw-8bit", "paged-adamw-8bit")
    ]
    count = presets.PARAMETERS["tinyllama"]
    assert states[0] == pytest.approx(8 * count, rel=0.01)
    assert states[1] == pytest.approx((2 + 2 * 4 / 256) * count, rel=0.01)
    assert states[2] < 0.1 * states[1]


def test_the_numbers_are_apart_and_add_up():
    plan = planned("resnet18 --train --batch 32")
    assert sum(size for _, size in plan.shares) == plan.allocated_bytes < plan.reserved_bytes
    assert plan.process_bytes == plan.reserved_bytes + plan.context_bytes and plan.band_bytes > 0


@pytest.mark.slow
def test_what_fits_needs_no_remedy_and_what_does_not_gets_some_that_were_planned():
    request = parse("resnet50 --train --batch 256")
    plan = verdict.plan(request, target())
    assert plan.verdict == "does not fit"
    found = remedies.find(request, plan)
    assert found and "accumulated" in found[0].text
    for one in found:
        again = verdict.plan(parse(one.command.removeprefix("course plan ")), target())
        assert again.verdict == one.verdict != "does not fit"
        assert one.saves_bytes == plan.process_bytes - again.process_bytes > 0
    assert remedies.find(parse("resnet18"), planned("resnet18")) == []


@pytest.mark.slow
def test_two_changes_are_joined_where_one_is_not_enough():
    request = parse("llama-2-13b --lora --seq 1024")
    found = remedies.find(request, verdict.plan(request, target()))
    assert found and ", and " in found[0].text and len(found[0].options) == 2


def test_the_largest_batch_fits_and_the_next_does_not():
    request, where = parse("minigpt --train --dtype fp32"), target("RTX 4060")
    value, plan = search.largest("batch", request, where)
    assert plan.verdict == "fits" and verdict.plan(request.but(batch=value), where) == plan
    assert verdict.plan(request.but(batch=value + 1), where).verdict != "fits"


@pytest.mark.parametrize("largest, top", [(13, 64), (1, 64), (40, 64), (64, 64), (50, 63)])
def test_a_search_that_has_bounds_foretells_how_many_plans_it_makes_at_most(largest, top):
    tried, told = [], []

    def fits(count):
        tried.append(count)
        return count <= largest

    found = search.bisected(fits, top, lambda more: told.append((len(tried), more)))
    assert found == largest and len(set(tried)) == len(tried)
    assert all(len(tried) <= done + more for done, more in told if more)
    if largest == 13:  # 2, 4, 8, 16, then three between 8 and 16
        assert told == [(1, None), (2, None), (3, None), (4, 3), (5, 2), (6, 1)]


def test_each_change_that_is_tried_is_counted(monkeypatch):
    bars, request = [], parse("minigpt --train --dtype fp32")
    plan = SimpleNamespace(verdict="does not fit", target=target(), process_bytes=2**40)

    @contextmanager
    def recorded(title, total, unit):
        bars.append((title, total, unit, counts := []))
        yield counts.append

    monkeypatch.setattr(remedies, "bar", recorded)
    monkeypatch.setattr(remedies, "_planned", lambda request, changes, target: None)
    assert remedies.find(request, plan) == []
    (_, total, unit, counts), (*_, pairs) = bars
    assert unit == "changes" and counts == list(range(total)) and total == len(list(remedies.candidates(request))) > 1
    assert pairs == []  # none of the changes saves anything


def test_what_has_no_rank_or_never_fits_is_refused():
    with pytest.raises(CourseError, match="needs --lora or --qlora"):
        search.largest("rank", parse("resnet18"), target())
    with pytest.raises(CourseError, match="Not even batch 1 fits"):
        search.largest("batch", parse("llama-2-70b"), target())


@pytest.mark.parametrize(
    "line, sentence",
    [
        ("resnet18 --lora", "--lora is for transformers models"),
        ("resnet18 --train --offload none --rank 3", "rank=3 means nothing for resnet18"),
        ("resnet18 --context 10", "context=10 means nothing for resnet18"),
        ("minigpt --size 10", "size=10 means nothing for minigpt"),
        ("yolo-n --size 500", "size=500 must be a multiple of 32 pixels here, such as 512"),
        ("sdxl --size 1001", "must be a multiple of 8"),
        ("sdxl --qlora", "give --lora for sdxl"),
        ("bert-base --context 600", "600 tokens are more than the model's 512 positions"),
        ("gemma-2-2b --attention sdpa", "has no sdpa attention"),
        ("tinyllama --lora --target-modules foo", "target_modules='foo'.*Give all-linear"),
    ],
)
def test_parts_that_do_not_go_together_are_named(line, sentence):
    with pytest.raises(CourseError, match=sentence):
        planned(line)


def test_an_unknown_architecture_is_sent_to_the_notebook(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "perceptron-9000"}')
    with pytest.raises(CourseError, match="is no architecture that transformers .* knows.*course.plan"):
        planned(str(tmp_path))


@pytest.mark.slow
def test_planning_70b_takes_less_than_200_mb_of_ram():
    code = (
        # Not getrusage, which starts from pytest's own peak: the difference could never show.
        "from course_utils.gpu.memory import ram\nfrom tests.test_plan_models import planned\n"
        "planned('tinyllama --quant nf4')\nbefore = ram()[1]\n"
        "planned('llama-3.1-70b --quant nf4 --context 8192')\nprint(ram()[1] - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 0 <= int(done.stdout.split()[-1]) < 200e6

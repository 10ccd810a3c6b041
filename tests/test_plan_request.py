"""What can be asked of `course plan`, and what it answers to wrong questions."""

import json

import pytest

from course_utils.errors import CourseError
from course_utils.gpu.device import GIB
from course_utils.gpu.plan import card, command, presets
from course_utils.gpu.plan.request import Request, parse


@pytest.mark.parametrize(
    "values, sentence",
    [
        ({"quant": "nf5"}, "quant='nf5' is not known; it is one of none, nf4, .*The nearest is nf4"),
        ({"dtype": "float16"}, "it is one of fp16, bf16, fp32"),
        ({"attention": "flsh"}, "The nearest is flash"),
        ({"optimizer": "adam", "task": "train"}, "The nearest is adamw"),
        ({"batch": 0}, "batch=0 must be a whole number of 1 or more"),
        ({"batch": -3}, "batch=-3 must be"),
        ({"rank": 1.5}, "rank=1.5 must be a whole number"),
        ({"seq": True}, "seq=True must be"),
        ({"context_mib": -1}, "context_mib=-1 must be a number of 0 or more"),
        ({"desktop_gib": float("nan")}, "desktop_gib=nan must be"),
        ({"seq": 5, "context": 5}, "give seq for training, context for inference"),
        ({"quant": "Q4_K_M", "task": "lora"}, "nobody trains: use nf4"),
        ({"quant": "nf4", "task": "train"}, "give --qlora"),
        ({"offload": "model", "task": "train"}, "for inference"),
        ({"optimizer": "sgd"}, "inference has none"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(values, sentence):
    with pytest.raises(CourseError, match=sentence):
        Request("llama-2-7b", **values)


def test_a_line_and_its_request_say_the_same():
    line = "llama-3.1-8b --qlora --rank 8 --seq 512 --checkpointing --card 'RTX 4090'"
    request = parse(line)
    assert request == Request("llama-3.1-8b", "qlora", rank=8, seq=512, checkpointing=True, card="RTX 4090")
    assert parse(request.words().removeprefix("course plan ")) == request


@pytest.mark.parametrize("line", ["gpt2 --bach 3", "gpt2 --batch", "gpt2 batch 3"])
def test_a_line_with_an_unknown_or_unfinished_option_is_refused(line):
    with pytest.raises(CourseError, match="is no option of `course plan`, or lacks a value"):
        parse(line)


def test_qlora_stores_weights_in_nf4_unless_told_otherwise():
    assert parse("gpt2 --qlora").storage == "nf4" and parse("gpt2 --qlora --quant int8").storage == "int8"


def test_names_are_found_however_they_are_spelled():
    assert presets.find("Llama 3.1 8B").name == "llama-3.1-8b" and presets.find("SD1.5").name == "sd-1.5"


def test_an_unknown_model_gets_the_nearest_name():
    with pytest.raises(CourseError, match="The nearest is 'llama-3.1-8b'"):
        presets.find("llama-31-8bb")


@pytest.mark.parametrize(
    "content, sentence",
    [("{", "is no JSON file"), ("[]", "has no entry model_type"), ('{"hidden_size": 4}', "has no entry model_type")],
)
def test_a_file_that_is_no_config_is_refused(tmp_path, content, sentence):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(CourseError, match=sentence):
        presets.find(str(tmp_path / "config.json"))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(CourseError, match="There is no file"):
        presets.find(str(tmp_path / "config.json"))


def test_a_config_file_and_its_folder_are_the_same_model(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(presets.find("gpt2").config))
    assert presets.find(str(tmp_path)).config == presets.find(str(tmp_path / "config.json")).config


def no_card():
    return None


def test_without_a_card_the_plan_is_for_the_courses_own():
    target = card.target(Request("gpt2"), found=no_card)
    assert target.name == "RTX 4070 Ti (12 GB)" and target.multiprocessors == 60
    assert target.visible_bytes == int(11.70 * GIB) and target.budget_bytes == target.visible_bytes - int(0.8 * GIB)
    assert "default" in target.context.source and target.context.spread_bytes > 0


@pytest.mark.parametrize(
    "name, memory_gb",
    [("rtx 4070 ti", 12), ("NVIDIA GeForce RTX 4090", 24), ("RTX 3060 8GB", 8), ("RTX 3060 12 GB", 12)],
)
def test_a_card_is_found_by_its_name(name, memory_gb):
    assert card.target(Request("gpt2", card=name), found=no_card).name.endswith(f"({memory_gb} GB)")


def test_an_unknown_card_gets_the_nearest():
    with pytest.raises(CourseError, match="There is no card 'RTX 4071'.*The nearest is 'RTX 407"):
        card.target(Request("gpt2", card="RTX 4071"), found=no_card)


def test_a_given_context_counts_and_has_no_band():
    given = card.target(Request("gpt2", context_mib=141), found=no_card).context
    assert (given.bytes, given.spread_bytes) == (141 * 1024**2, 0)


def test_a_measured_context_is_of_this_machine_only():
    measured = card.Context(200, 5, "measured here")
    assert card.target(Request("gpt2"), measured, no_card).context == measured
    assert card.target(Request("gpt2", card="RTX 4090"), measured, no_card).context != measured


def test_a_lesson_without_a_plan_says_so():
    with pytest.raises(CourseError, match="week01 needs no GPU"):
        command.of_lesson("week01", None)
    with pytest.raises(CourseError, match="names no plan in its passport"):
        command.of_lesson("week00", {"estimated_bytes": 1})
    assert command.of_lesson("week09", {"plan": "gpt2 --train"}) == "gpt2 --train"

"""Remedies from made-up breakdowns, against hand arithmetic: what is offered, what it saves, in which order."""

import pytest

from course_utils.gpu.device import GIB
from course_utils.gpu.oom.breakdown import Breakdown
from course_utils.gpu.oom.remedies import rank
from course_utils.gpu.oom.remedy import missing

MIB = 1024**2


def training(**changes):
    """A step of Adam on a card: 1 GiB of weights, gradients to come, 6 GiB of activations; 2 GiB asked, 1 GiB free."""
    given = {
        "place": "card",
        "asked_bytes": 2 * GIB,
        "free_bytes": 1 * GIB,
        "weights_bytes": 1 * GIB,
        "activations_bytes": 6 * GIB,
        "optimiser": "Adam",
        "trains": True,
        "graph": True,
        "gradients_to_come_bytes": 1 * GIB,
        "optimiser_to_come_bytes": 2 * GIB,
        "adam_bytes": 2 * GIB,
        "float32_weights_bytes": 1 * GIB,
        "layers": 16,
    }
    return Breakdown(**given | changes)


def inference(**changes):
    """The forward pass of a 16-bit model of 4 GiB; 1 GiB asked, half of it free."""
    given = {
        "place": "card",
        "asked_bytes": 1 * GIB,
        "free_bytes": GIB // 2,
        "weights_bytes": 4 * GIB,
        "half_weights_bytes": 4 * GIB,
        "activations_bytes": 3 * GIB,
    }
    return Breakdown(**given | changes)


def titles(found):
    return [one.title for one in rank(found)]


def saved(found):
    return {one.title.split(":")[0]: one.saves_bytes for one in rank(found)}


def test_what_is_missing_is_what_was_asked_less_what_was_free():
    assert missing(training()) == (1 * GIB, 0), "1 + 2 GiB to come fit where 6 GiB of activations were"
    assert missing(training(activations_bytes=GIB // 2)) == (1 * GIB, int(1.5 * GIB))
    assert missing(training(asked_bytes=None)) == (None, 0)


def test_where_the_sum_was_free_the_whole_request_is_missing():
    assert missing(inference(free_bytes=2 * GIB)) == (1 * GIB, 0)


def test_a_training_step_gets_three_by_cost():
    first, second, third = rank(training())
    # 6 + 2 = 8 GiB at the peak, 7 of them fit; half of that room is kept for the rest of the step: 8 / 4 = 2 < 3.5.
    assert first.title == "Split the batch into 4 and accumulate the gradients" and first.saves_bytes == 6 * GIB
    assert first.arithmetic == "(6.00 GiB of activations + 2.00 GiB asked) × 3/4: one part at a time"
    assert second.title == "Keep activations in 16 bits" and second.saves_bytes == 4 * GIB
    assert third.title.startswith("Recompute activations") and third.saves_bytes == 4 * GIB, "8 GiB × (1 − 2/√16)"
    assert first.enough and second.enough and third.enough


def test_the_optimisers_step_is_helped_by_8_bits_and_not_by_a_smaller_batch():
    found = training(
        in_step=True, gradients_bytes=GIB, gradients_to_come_bytes=0, activations_bytes=0, free_bytes=0, asked_bytes=GIB
    )
    assert missing(found) == (1 * GIB, 2 * GIB)
    assert titles(found) == ["8-bit Adam", "SGD with momentum in place of Adam"]
    assert saved(found) == {"8-bit Adam": int(1.5 * GIB), "SGD with momentum in place of Adam": GIB}
    assert [one.enough for one in rank(found)] == [False, False]


def test_8_bits_save_only_what_is_there_when_the_forward_pass_fails():
    late = training(optimiser_bytes=2 * GIB, optimiser_to_come_bytes=0, activations_bytes=None, layers=0)
    assert saved(late)["8-bit Adam"] == int(1.5 * GIB), "3 of 4 bytes of 2 GiB"


@pytest.mark.parametrize("optimiser", ["SGD", None])
def test_without_adam_there_is_no_8_bit_adam(optimiser):
    found = training(optimiser=optimiser, adam_bytes=0, activations_bytes=GIB, asked_bytes=8 * GIB)
    assert not any("8-bit" in title or "SGD" in title for title in titles(found))


def test_inference_is_not_told_to_train_differently():
    found = inference(graph=True)
    assert titles(found) == [
        "No gradients where nothing is trained",
        "Divide the batch by 4",
        "Load the weights in 4 bits (NF4)",
    ]
    assert saved(found)["No gradients where nothing is trained"] == 2 * GIB, "3 GiB kept less 1 GiB at work"
    assert saved(found)["Divide the batch by 4"] == 3 * GIB, "(3 + 1) GiB × 3/4"
    assert saved(found)["Load the weights in 4 bits (NF4)"] == int(4 * GIB * (1 - 4.127 / 16))


def test_without_a_graph_gradients_are_off_already():
    assert "No gradients where nothing is trained" not in titles(inference())


def test_32_bit_weights_are_halved_first():
    found = inference(float32_weights_bytes=4 * GIB, half_weights_bytes=0)
    assert saved(found)["Load the weights in 16 bits"] == 2 * GIB


def test_a_forgotten_variable_and_other_programs_come_first():
    found = training(idle=(("old_batch", 2 * GIB), ("copy", GIB // 2)), others_bytes=int(1.25 * GIB))
    first, second, third = rank(found)
    assert first.title == "Delete what this cell does not use: old_batch, copy"
    assert first.saves_bytes == int(2.5 * GIB) and first.arithmetic == "2.00 GiB old_batch + 512.00 MiB copy"
    assert second.title == "Close other programs on the card" and second.saves_bytes == int(1.25 * GIB)
    assert third.title.startswith("Split the batch")


def test_under_a_cap_other_programs_do_not_matter():
    assert "Close other programs on the card" not in titles(training(others_bytes=4 * GIB, capped=True))


def test_what_does_not_suffice_comes_after_what_does_and_crumbs_are_not_offered():
    found = training(idle=(("small", GIB // 2),), others_bytes=50 * MIB, layers=0)
    assert titles(found) == [
        "Split the batch into 4 and accumulate the gradients",
        "Keep activations in 16 bits",
        "Delete what this cell does not use: small",
    ]
    assert rank(found)[-1].enough is False


def test_losses_kept_as_tensors_are_found_out():
    found = training(graph_lists=(("losses", 5),))
    assert rank(found)[0].title == "Keep numbers, not tensors, in losses"
    assert rank(found)[0].saves_bytes == 5 * GIB, "5 of 6 graphs in 6 GiB"


def test_fragments_are_a_remedy_only_where_the_cache_could_hold_the_request():
    assert "Join the pieces of torch's cache" in titles(training(cache_bytes=3 * GIB))
    assert "Join the pieces of torch's cache" not in titles(training(cache_bytes=GIB))


def test_a_language_model_may_read_less():
    found = training(tokens=2048, float32_activations=False, layers=0)
    assert titles(found) == [
        "Split the batch into 4 and accumulate the gradients",
        "A shorter context: 1024 tokens instead of 2048",
    ]
    assert rank(found)[1].saves_bytes == 4 * GIB


def test_a_pipeline_gets_offload_and_slicing():
    found = inference(offload_bytes=2 * GIB, decode_batch=4, half_weights_bytes=0, weights_bytes=0)
    assert saved(found) == {
        "Decode the pictures one by one (slicing)": 3 * GIB,
        "Keep only the part at work on the card": 2 * GIB,
    }


def test_a_numpy_array_gets_smaller_numbers_and_no_training_advice():
    found = training(array_dtype="float64", asked_bytes=4 * GIB, free_bytes=3 * GIB, trains=False, place="RAM")
    assert titles(found) == ["An array of float32 instead of float64"]
    assert rank(found)[0].saves_bytes == 2 * GIB


def test_a_slip_in_a_shape_is_no_remedys_business():
    assert rank(training(asked_bytes=500_000 * GIB)) == ()


def test_with_an_unknown_request_the_largest_come_first_and_nothing_is_called_enough():
    found = training(asked_bytes=None)
    assert [one.enough for one in rank(found)] == [None] * 3
    sizes = [one.saves_bytes for one in rank(found)]
    assert sizes == sorted(sizes, reverse=True)


def test_shares_are_listed_largest_first_and_the_unreadable_last():
    found = training(context_bytes=None, others_bytes=3 * GIB, cache_bytes=0)
    assert found.rows() == [
        ("activations, temporaries", 6 * GIB),
        ("other programs", 3 * GIB),
        ("weights and buffers", GIB),
        ("CUDA context", None),
    ]

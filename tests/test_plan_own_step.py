"""Remedies for a learner's own step: each one, done by hand as its words say, needs what it promised."""

import pytest
import torch

from course_utils.gpu.device import GIB
from course_utils.gpu.plan import notebook, own_step

WIDTH, ROWS = 1024, 4096


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_DATA_DIR", str(tmp_path))


def network(blocks=4):
    layers = (part for _ in range(blocks) for part in (torch.nn.Linear(WIDTH, WIDTH), torch.nn.ReLU()))
    return torch.nn.Sequential(*layers).to("meta")


def training(model, optimiser, x):
    optimiser.zero_grad()
    model(x).square().mean().backward()
    optimiser.step()


def planned(step, *args, gib=1000.0):
    return notebook.plan(step, *args, budget_gib=gib, card="RTX 4070 Ti", context_mib=100)


def needs(kind, rows=ROWS, optimiser=torch.optim.AdamW, autocast=False):
    """What the step needs with the change done by hand, in bytes."""
    model = network()

    def step(model, optimiser, x):
        with torch.autocast("cuda", torch.bfloat16, enabled=autocast):
            training(model, optimiser, x)

    return planned(step, model, optimiser(model.parameters()), torch.empty(rows, WIDTH, device="meta")).process_bytes


def by_hand(text):
    eight = pytest.importorskip("bitsandbytes").optim.AdamW8bit
    changes = {"autocast": False, "rows": ROWS, "optimiser": torch.optim.AdamW}
    for part in text.split(", and "):
        if part.startswith("batches of"):
            changes["rows"] = int(part.split()[2])
        elif "autocast" in part:
            changes["autocast"] = True
        elif "AdamW8bit" in part:
            changes["optimiser"] = eight
        elif "SGD" in part:
            changes["optimiser"] = lambda weights: torch.optim.SGD(weights, 1e-3)
    return changes


@pytest.mark.parametrize("missing", [0.05, 0.15, 0.3])
def test_every_remedy_needs_what_it_promised(missing):
    model = network()
    args = (training, model, torch.optim.AdamW(model.parameters()), torch.empty(ROWS, WIDTH, device="meta"))
    whole = planned(*args)
    plan = planned(*args, gib=(1 - missing) * whole.process_bytes / GIB)
    assert plan.verdict != "fits" and plan.remedies
    for one in plan.remedies:
        assert one.process_bytes == needs("", **by_hand(one.text))
        assert one.saves_bytes == plan.process_bytes - one.process_bytes > 0


def test_an_optimiser_in_a_closure_is_replaced_and_the_learners_own_is_not():
    model = network(8)
    optimiser = torch.optim.AdamW(model.parameters())

    def step(x):
        training(model, optimiser, x)

    x = torch.empty(8, WIDTH, device="meta")
    weights = 4 * sum(one.numel() for one in model.parameters())
    whole = planned(step, x).process_bytes  # weights, gradients, two states and their square roots
    plan = planned(step, x, gib=(whole - weights) / GIB)
    texts = [one.text for one in plan.remedies]
    assert any("SGD" in one for one in texts) and type(optimiser) is torch.optim.AdamW
    assert plan.process_bytes - min(one.process_bytes for one in plan.remedies) > 2 * weights


@pytest.mark.slow
def test_a_model_that_offers_checkpointing_is_asked_for_it():
    transformers = pytest.importorskip("transformers")
    sizes = {"n_embd": 256, "n_layer": 8, "n_head": 4, "vocab_size": 1000, "use_cache": False}
    with torch.device("meta"):
        model = transformers.GPT2LMHeadModel(transformers.GPT2Config(**sizes)).train()
        ids = torch.empty(16, 512, dtype=torch.long)
    optimiser = torch.optim.SGD(model.parameters(), 1e-3)

    def step(model, optimiser, ids):
        model(ids, labels=ids).loss.backward()
        optimiser.step()

    whole = planned(step, model, optimiser, ids).process_bytes
    plan = planned(step, model, optimiser, ids, gib=0.6 * whole / GIB)
    (one,) = [one for one in plan.remedies if "checkpointing" in one.text and ", and " not in one.text]
    assert not model.is_gradient_checkpointing  # the learner's own is as it was
    model.activation_checkpointing_enable()
    assert planned(step, model, optimiser, ids).process_bytes == one.process_bytes


def test_where_nothing_helps_it_says_what_cannot_be_tried():
    model = torch.nn.Linear(4096, 4096, device="meta", dtype=torch.bfloat16)

    def step(model, x):
        model(x).sum().backward()

    plan = planned(step, model, torch.empty(1, 4096, device="meta", dtype=torch.bfloat16), gib=0.1)
    assert plan.verdict == "does not fit" and not plan.remedies
    assert own_step.NOTHING in str(plan)

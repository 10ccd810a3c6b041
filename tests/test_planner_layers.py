"""A trace of few blocks, lengthened, against the full trace: event for event, for every family of decoders."""

import copy

import pytest
import torch
from test_planner_models import build, plain, train
from tiny_families import FAMILIES, tiny

from course_utils.gpu.plan import language
from course_utils.gpu.plan.request import parse
from course_utils.gpu.planner import layers
from course_utils.gpu.planner.kernels import Chip

transformers = pytest.importorskip("transformers")
peft = pytest.importorskip("peft")
bitsandbytes = pytest.importorskip("bitsandbytes")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore:Unable to fetch remote file"),
]


@pytest.mark.parametrize(
    "line",
    [
        "--context 100 --batch 2",
        "--lora --rank 4 --batch 2 --seq 100",
        "--qlora --rank 4 --seq 100 --checkpointing",
    ],
)
@pytest.mark.parametrize("name", FAMILIES)
def test_a_lengthened_trace_of_every_family_is_the_full_one(name, line):
    request, chip = parse(f"{name} {line}"), Chip((8, 9), 60)
    whole = language.configuration(tiny(name, 12))
    period = language._period(whole)
    few, _ = language._trace(request, language._shortened(whole, layers.ENOUGH + 2 * (period - 1)), chip)
    full, _ = language._trace(request, copy.deepcopy(whole), chip)
    long = layers.extend(few, 12, period)
    assert plain(long) == plain(full)
    assert long.peak() == full.peak()


def test_gemma_2_takes_turns_and_the_others_do_not():
    periods = {name: language._period(language.configuration(tiny(name, 12))) for name in FAMILIES}
    assert periods == dict.fromkeys(FAMILIES, 1) | {"gemma-2-2b": 2}


class Shapes(torch.optim.Optimizer):
    """Makes its states from shapes alone, which say nothing about the block."""

    def __init__(self, weights):
        super().__init__(weights, {})

    @torch.no_grad()
    def step(self, closure=None):
        weights = self.param_groups[0]["params"]
        for one in weights:
            if not self.state[one]:
                self.state[one]["mean"] = torch.zeros(one.shape, device=one.device)
        for one in weights:
            mean = self.state[one]["mean"].mul_(0.9).add_(one.grad)
            one.add_(mean.sign(), alpha=-1e-3)


class Hidden(Shapes):
    """Keeps its states where nobody looks for them, made at once."""

    def __init__(self, weights):
        super().__init__(weights)
        self.means = [torch.zeros(one.shape, device=one.device) for one in self.param_groups[0]["params"]]

    @torch.no_grad()
    def step(self, closure=None):
        for one, mean in zip(self.param_groups[0]["params"], self.means, strict=True):
            one.add_(mean.mul_(0.9).add_(one.grad).sign(), alpha=-1e-3)


class HiddenAndLate(Hidden):
    """The same, made in the first step."""

    def __init__(self, weights):
        super().__init__(weights)
        self.means = []

    def step(self, closure=None):
        if not self.means:
            self.means = [torch.zeros(one.shape, device=one.device) for one in self.param_groups[0]["params"]]
        super().step()


@pytest.mark.parametrize("optimiser", [Shapes, torch.optim.Adagrad, torch.optim.NAdam, bitsandbytes.optim.AdamW8bit])
def test_states_are_found_however_an_optimiser_makes_them(optimiser):
    short, full = (train(build(n, rank=64), optimiser=optimiser) for n in (layers.ENOUGH, 8))
    long = layers.extend(short, 8)
    assert plain(long) == plain(full)
    assert long.live_bytes("optimiser") == full.live_bytes("optimiser") > 0


def test_states_that_no_block_owns_are_counted_and_not_lengthened():
    made = train(build(layers.ENOUGH, rank=64), optimiser=Hidden)
    adapters = layers.ENOUGH * 64 * (128 + 128 + 128 + 64)  # of q and v: two factors each
    assert made.live_bytes("optimiser") == 4 * adapters
    for optimiser in (Hidden, HiddenAndLate):
        with pytest.raises(layers.NotPeriodic, match="keeps states that no block of it owns"):
            layers.extend(train(build(layers.ENOUGH, rank=64), optimiser=optimiser), 8)

"""Tracing on `meta`: what lives when, against arithmetic by hand."""

import gc
import subprocess
import sys

import pytest
import torch

from course_utils.errors import CourseError
from course_utils.gpu.planner import events, layers, twin
from course_utils.gpu.planner.events import Alloc, Free
from course_utils.gpu.planner.kernels import Chip
from course_utils.gpu.planner.trace import trace

T4, ADA = Chip((7, 5), 40), Chip((8, 9), 60)
WORKSPACE = 2 * 4096 * 1024 + 8 * 16 * 1024  # cuBLAS's default below Hopper, from its documentation


def meta(*shape, dtype=torch.float32, **kwargs):
    return torch.empty(*shape, dtype=dtype, device="meta", **kwargs)


def made(found, op):
    return [event.bytes for event in found.events if isinstance(event, Alloc) and op in event.op]


def most(found):
    """The largest sum of live storages, not rounded, and without the workspaces of cuBLAS."""
    live, best = {}, 0
    for event in found.events:
        if isinstance(event, Alloc) and event.op != "cuBLAS workspace":
            live[event.id] = event.bytes
        elif isinstance(event, Free):
            live.pop(event.id, None)
        best = max(best, sum(live.values()))
    return best


def test_a_chain_keeps_two_tensors_at_a_time():
    def step(x):
        for _ in range(5):
            x = x + 1
        return None

    assert most(trace(step, meta(1024), repeat=1)) == 3 * 4096  # the input, the old and the new


def test_views_and_in_place_operations_take_nothing():
    def step(x):
        x.view(2, 512).t().add_(1)
        x[3:].mul_(2)

    assert [event.op for event in trace(step, meta(1024), repeat=1).events if isinstance(event, Alloc)] == ["placed"]


def test_a_training_step_holds_weights_gradients_and_adams_two_averages():
    model = torch.nn.Linear(1000, 1000, bias=False, device="meta")
    optimiser = torch.optim.AdamW(model.parameters())

    def step(model, optimiser, x):
        optimiser.zero_grad()
        model(x).sum().backward()
        optimiser.step()

    found = trace(step, model, optimiser, meta(8, 1000), chip=ADA)
    size = 4 * 1000 * 1000
    assert found.live_bytes(events.WEIGHTS) == size
    assert found.live_bytes(events.GRADIENTS) == size
    assert found.live_bytes(events.OPTIMISER) == 2 * size
    assert most(found) == 5 * size + 4 * 8 * 1000  # weights, gradient, averages, foreach's square roots, the input


def test_a_fused_optimiser_saves_the_square_roots():
    def run(**kind):
        model = torch.nn.Linear(1000, 1000, bias=False, device="meta")
        optimiser = torch.optim.AdamW(model.parameters(), **kind)

        def step(model, optimiser, x):
            model(x).sum().backward()
            optimiser.step()
            optimiser.zero_grad()

        return most(trace(step, model, optimiser, meta(8, 1000), chip=ADA))

    saved = run() - run(fused=True)
    assert 0 <= 4 * 1000 * 1000 - saved < 512  # its count of steps lies on the card


def test_shares_add_up_to_the_allocated_peak_and_every_category_is_named():
    model = torch.nn.Sequential(torch.nn.Embedding(5000, 64), torch.nn.Linear(64, 5000)).to("meta")
    ids = meta(4, 32, dtype=torch.int64)

    def step(model, ids):
        torch.nn.functional.cross_entropy(model(ids).flatten(0, 1), ids.flatten()).backward()

    peak = trace(step, model, ids, chip=ADA).peak()
    assert [name for name, _ in peak.shares] == list(events.CATEGORIES)
    assert sum(size for _, size in peak.shares) == peak.allocated_bytes
    assert dict(peak.shares)[events.LOGITS] >= 3 * 4 * 4 * 32 * 5000
    assert peak.process_bytes(100) == peak.reserved_bytes + 100


def test_item_is_answered_and_numbers_that_are_needed_are_an_error_that_says_so():
    assert trace(lambda x: float(x.sum()) + int(x.argmax()), meta(8), repeat=1)
    with pytest.raises(CourseError, match=r"knows shapes, not numbers.*Leave \.item\(\), \.tolist\(\)"):
        trace(lambda x: x.tolist(), meta(8))


def test_a_mask_is_taken_to_be_all_ones_however_that_is_asked():
    answers = []

    def step(mask):
        questions = (mask.all(), mask.sum() == mask.numel(), mask.sum() == 5, mask.any())
        answers.append([bool(one) for one in questions] + [mask.sum().item()])

    trace(step, meta(2, 3, dtype=torch.bool), repeat=1)
    assert answers == [[True, True, False, False, 6]]  # a question that nobody foresaw is answered with no


def test_an_error_of_the_step_itself_passes_through():
    with pytest.raises(ZeroDivisionError):
        trace(lambda x: 1 / 0, meta(8))


def test_code_that_asks_for_cuda_is_counted_and_what_it_moves_to_the_cpu_is_not():
    def step():
        x = torch.zeros(1024, device="cuda")
        y = torch.ones(512).to("cuda")
        host = x.cpu()
        del x
        back = host.cuda()
        torch.cuda.synchronize()
        return y, back

    found = trace(step, repeat=1)
    sizes = [event.bytes for event in found.events if isinstance(event, Alloc)]
    assert sorted(sizes) == [2048, 4096, 4096]
    assert most(found) == 6144


def test_autocast_casts_weights_once_and_keeps_the_casts_until_it_ends():
    model = torch.nn.Linear(64, 64, bias=False, device="meta")

    def step(model, x):
        with torch.autocast("cuda", dtype=torch.float16):
            y = model(model(x))
        assert y.dtype == torch.float16
        return y.float().sum().backward()

    found = trace(step, model, meta(8, 64), repeat=1)
    casts = [size for size in made(found, "_to_copy") if size == 2 * 64 * 64]
    assert len(casts) == 1
    assert not torch.is_autocast_enabled("cuda")


def test_autocast_computes_losses_and_norms_in_float32():
    def step(x, weight):
        with torch.autocast("cuda", dtype=torch.bfloat16):
            y = x @ weight
            assert y.dtype == torch.bfloat16
            assert torch.nn.functional.layer_norm(y, (64,)).dtype == torch.float32
            assert y.exp().dtype == torch.float32
            assert (y + x).dtype == torch.float32

    trace(step, meta(8, 64), meta(64, 64), repeat=1)


def test_each_thread_that_multiplies_takes_cublas_its_workspace():
    model = torch.nn.Linear(8, 8, device="meta")
    forward = trace(lambda model, x: model(x).sum(), model, meta(2, 8), chip=ADA)
    both = trace(lambda model, x: model(x).sum().backward(), model, meta(2, 8), chip=ADA)
    assert made(forward, "cuBLAS") == [WORKSPACE]
    assert made(both, "cuBLAS") == [WORKSPACE, WORKSPACE]
    hopper = trace(lambda model, x: model(x), model, meta(2, 8), chip=Chip((9, 0), 132))
    assert made(hopper, "cuBLAS") == [32 * 1024**2]


def test_checkpointing_never_raises_the_peak_of_a_deep_model():
    from torch.utils.checkpoint import checkpoint

    def peak(again):
        blocks = torch.nn.ModuleList(
            torch.nn.Sequential(torch.nn.Linear(64, 256), torch.nn.GELU(), torch.nn.Linear(256, 64)) for _ in range(8)
        ).to("meta")

        def step(blocks, x):
            for block in blocks:
                x = checkpoint(block, x, use_reentrant=again == "reentrant") if again else block(x)
            x.sum().backward()

        return most(trace(step, blocks, meta(4096, 64, requires_grad=True)))

    assert peak("") > 2 * peak("once")
    assert peak("") > 2 * peak("reentrant")


@pytest.mark.parametrize("what", ["batch", "width"])
def test_memory_never_falls_when_the_batch_or_the_model_grows(what):
    def peak(size):
        width = 64 * size if what == "width" else 64
        model = torch.nn.Sequential(torch.nn.Linear(64, width), torch.nn.ReLU(), torch.nn.Linear(width, 64)).to("meta")
        x = meta(32 * size if what == "batch" else 32, 64)
        return trace(lambda model, x: model(x).sum().backward(), model, x).peak().allocated_bytes

    found = [peak(size) for size in range(1, 9)]
    assert found == sorted(found)


def test_dropout_keeps_a_mask_of_one_byte_an_element():
    def step(x):
        torch.nn.functional.dropout(x, 0.1).sum().backward()

    assert 1024 in made(trace(step, meta(1024, requires_grad=True), repeat=1), "native_dropout")


def test_nothing_lives_on_and_torch_is_as_it_was():
    import torch.utils._foreach_utils as foreach

    before = (foreach._get_foreach_kernels_supported_devices, torch.autograd._engine_run_backward)
    kept = []

    def step(x):
        y = (x * 2).sum()
        kept.append(torch._C._autograd._get_sequence_nr())
        y.backward()

    trace(step, meta(1024, requires_grad=True))
    gc.collect()
    assert not [one for one in gc.get_objects() if isinstance(one, torch.UntypedStorage) and one.nbytes() == 4096]
    assert before == (foreach._get_foreach_kernels_supported_devices, torch.autograd._engine_run_backward)


def test_twins_leave_the_originals_alone_and_share_what_they_shared():
    model = torch.nn.Linear(4, 4)
    optimiser = torch.optim.SGD(model.parameters(), lr=1, momentum=0.9)
    weight = model.weight.detach().clone()
    inputs = torch.ones(2, 4)

    def loss():
        return model(inputs).sum()

    def step():
        loss().backward()
        optimiser.step()

    (copy,) = twin.to_meta(step)
    found = trace(copy, chip=ADA)
    assert torch.equal(model.weight, weight)
    assert model.weight.grad is None
    assert not optimiser.state
    assert found.live_bytes(events.WEIGHTS) == 4 * (16 + 4)
    assert found.live_bytes(events.OPTIMISER) == 4 * (16 + 4)


def test_a_twin_of_an_optimiser_keeps_what_its_class_added():
    class Counting(torch.optim.SGD):
        def __init__(self, weights):
            super().__init__(weights, lr=1)
            self.average = torch.zeros(10)

    model = torch.nn.Linear(4, 4)
    twins = twin.to_meta(model, Counting(model.parameters()))
    assert twins[1].average.device.type == "meta" and twins[1].average.shape == (10,)
    assert twins[1].param_groups[0]["params"][0] is twins[0].weight
    assert "__deepcopy__" not in vars(torch.optim.Optimizer)


def test_on_a_machine_without_a_card_cpu_can_mean_the_card():
    device = "cpu"
    model = torch.nn.Linear(4, 4)

    def step(model):
        return model(torch.ones(2, 4).to(device)).sum().backward()

    found = trace(step, *twin.to_meta(model), devices=("cuda", "cpu"))
    assert 32 in [event.bytes for event in found.events if isinstance(event, Alloc)]


def test_importing_the_planner_loads_no_torch():
    names = "trace, events, layers, loading, quantise, twin, kernels, allocator"
    command = f"from course_utils.gpu.planner import {names}; import sys; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", command], capture_output=True, text=True).stdout == "False\n"


class Alternating(torch.nn.Module):
    """A stack in which narrow and wide blocks take turns."""

    def __init__(self, blocks):
        super().__init__()
        widths = [128 if number % 2 else 64 for number in range(blocks)]
        self.blocks = torch.nn.ModuleList(
            torch.nn.Sequential(torch.nn.Linear(32, width), torch.nn.ReLU(), torch.nn.Linear(width, 32))
            for width in widths
        )

    def forward(self, x):
        for block in self.blocks:
            x = x + block(x)
        return x


def test_blocks_that_take_turns_are_lengthened_in_pairs():
    def run(blocks):
        model = Alternating(blocks).to("meta")
        return trace(lambda model, x: model(x).sum().backward(), model, meta(8, 32), stack="blocks")

    longer = layers.extend(run(8), 14, period=2)
    assert longer.peak() == run(14).peak()
    assert longer.live_bytes() == run(14).live_bytes()
    with pytest.raises(layers.NotPeriodic, match="do not do the same"):
        layers.extend(run(8), 14)
    with pytest.raises(layers.NotPeriodic, match="13 blocks cannot be told from 8 with period 2"):
        layers.extend(run(8), 13, period=2)


def test_a_stack_that_is_not_there_is_an_error():
    with pytest.raises(CourseError, match="stack='layers': no module has a list of that name"):
        trace(lambda model: None, Alternating(2).to("meta"), stack="layers")


def test_parts_that_are_moved_off_the_card_make_room():
    parts = [torch.nn.Linear(1000, 1000, bias=False, device="meta") for _ in range(3)]

    def step(parts, x):
        for part in parts:
            x = part.to("cuda")(x)
            part.to("cpu")

    with torch.no_grad():
        found = trace(step, parts, meta(8, 1000))
    one = 4 * 1000 * 1000
    assert found.peak().allocated_bytes > 3 * one  # all of them lie on the card at first
    second = found.peak(after_step=2).allocated_bytes - WORKSPACE
    assert one < second < 1.5 * one  # later each is brought when it is needed
    assert found.live_bytes(events.WEIGHTS) == 0

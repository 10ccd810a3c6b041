"""`course.plan` and `course.compare` on a step of one's own."""

import json

import pytest

from course_utils.errors import CourseError
from course_utils.gpu import memory
from course_utils.gpu.device import GIB
from course_utils.gpu.monitor.track import Track, track
from course_utils.gpu.plan import bar, card, history, notebook

WIDTH = 256


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(notebook, "_made", [])


def network():
    import torch

    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(WIDTH, 4 * WIDTH), torch.nn.ReLU(), torch.nn.Linear(4 * WIDTH, WIDTH))


def training(model, optimiser, x):
    optimiser.zero_grad()
    loss = model(x).square().mean()
    loss.backward()
    optimiser.step()


def test_an_own_network_is_planned_and_left_alone():
    import torch

    model, x = network(), torch.randn(64, WIDTH)
    optimiser = torch.optim.AdamW(model.parameters())
    before = {name: one.clone() for name, one in model.state_dict().items()}
    plan = notebook.plan(training, model, optimiser, x)
    weights = 4 * sum(one.numel() for one in model.parameters())
    assert plan.weights_bytes == weights and plan.verdict == "fits"
    assert dict(plan.shares)["optimiser"] == pytest.approx(2 * weights, rel=0.01)
    assert all(torch.equal(before[name], one) for name, one in model.state_dict().items())
    assert all(one.grad is None for one in model.parameters()) and not optimiser.state


def test_a_step_without_optimiser_is_planned_once():
    import torch

    def forward(model, x):
        with torch.no_grad():
            return model(x)

    plan = notebook.plan(forward, network(), torch.empty(1000, WIDTH))
    assert dict(plan.shares)["gradients"] == 0
    assert plan.allocated_bytes >= plan.weights_bytes + 4 * 1000 * (WIDTH + 4 * WIDTH)


def test_a_small_budget_asks_for_smaller_batches_that_were_planned():
    import torch

    model = network()
    optimiser = torch.optim.AdamW(model.parameters())
    plan = notebook.plan(training, model, optimiser, torch.empty(100_000, WIDTH), budget_gib=1.0)
    assert plan.verdict == "does not fit" and plan.target.budget_bytes == GIB
    remedy = next(one for one in plan.remedies if one.text.startswith("batches of"))
    count = int(remedy.text.split()[2])
    again = notebook.plan(training, model, optimiser, torch.empty(count, WIDTH), budget_gib=1.0)
    assert again.process_bytes == remedy.process_bytes and again.verdict == remedy.verdict != "does not fit"


def test_a_step_that_needs_numbers_gets_a_sentence():
    import torch

    with pytest.raises(CourseError, match="knows shapes, not numbers"):
        notebook.plan(lambda x: x.tolist(), torch.ones(3))
    with pytest.raises(CourseError, match="cannot be called"):
        notebook.plan(torch.ones(3))
    with pytest.raises(CourseError, match="budget_gib=-1 must be a positive number"):
        notebook.plan(lambda x: x, torch.ones(3), budget_gib=-1)


def some_plan():
    import torch

    model = network()
    return notebook.plan(training, model, torch.optim.AdamW(model.parameters()), torch.empty(64, WIDTH))


def test_the_bar_adds_up_to_the_process_and_its_words_say_so():
    from matplotlib import pyplot

    plan = some_plan()
    assert sum(size for _, size in bar.parts(plan.plan)) == plan.process_bytes
    assert plan.alt.startswith("A bar of the memory that this step needs: weights 2.") and "Verdict: fits" in plan.alt
    figure = plan.plot()
    assert sum(patch.get_width() for patch in figure.axes[0].patches) == pytest.approx(plan.process_bytes / GIB)
    pyplot.close(figure)
    assert 'role="img"' in plan._repr_html_() and "Fits" in plan._repr_html_()


def on_a_card(allocated, reserved, process):
    reading = memory.Reading(0, 0, process, 0, 0, 0, 0)
    measured = Track("training", 0, "made up", reading, reading, 1.0)
    measured.peak_allocated_bytes, measured.peak_reserved_bytes = allocated, reserved
    measured.peak_process_bytes = process
    return measured


def test_a_pair_is_kept_and_only_the_context_is_learned_from_it(tmp_path):
    file = tmp_path / "own.jsonl"
    plan = some_plan()
    for context in (150, 170, 400):
        measured = on_a_card(plan.allocated_bytes, 1000, 1000 + context)
        done = notebook.compare(plan, measured, file)
    assert done.rows[1] == ("allocated", plan.allocated_bytes, plan.allocated_bytes) and "+0.0 %" in str(done)
    kept = [json.loads(line) for line in file.read_text().splitlines()]
    assert [one["measured_context_bytes"] for one in kept] == [150, 170, 400]
    assert history.context(file) == card.Context(170, 230, "measured here, 3 times")


def test_the_next_plan_takes_the_measured_context():
    plan = some_plan()
    assert "default" in plan.target.context.source
    notebook.compare(plan, on_a_card(1, 1000, 1000 + 777))
    assert some_plan().context_bytes == 777 and some_plan().reserved_bytes == plan.reserved_bytes


@pytest.mark.slow
def test_on_a_cpu_the_rise_of_ram_is_compared_and_labelled():
    import torch

    model, x = network(), torch.randn(50_000, WIDTH)
    plan = notebook.plan(lambda model, x: model(x), model, x)
    with track("forward") as measured:
        kept = model(x)  # noqa: F841
    done = notebook.compare(plan, measured)
    assert done.memory == "RAM" and "rise of resident RAM" in str(done)
    ((name, predicted, rise),) = done.rows
    assert name == "rise" and predicted == pytest.approx(
        4 * 50_000 * (4 + 4) * WIDTH, rel=0.03
    )  # before and after the ReLU
    assert rise > 0 and history.context() is None


def test_compare_inside_the_block_is_refused():
    with track("block") as measured, pytest.raises(CourseError, match="is still running: call compare"):
        notebook.compare(some_plan(), measured)


def test_a_damaged_history_names_its_line(tmp_path):
    (tmp_path / "plans.jsonl").write_text('{"a": 1}\nnonsense\n')
    with pytest.raises(CourseError, match="Line 2 of .*plans.jsonl is damaged"):
        history.context()


def test_compare_takes_the_last_plan_and_what_was_tracked_since(tmp_path):
    import torch

    model, x = network(), torch.randn(20_000, WIDTH)
    with track("too early"):
        model(x)
    with pytest.raises(CourseError, match="No plan was made here yet. Before the cell, type"):
        notebook.compare()
    plan = notebook.plan(lambda model, x: model(x), model, x)
    with pytest.raises(CourseError, match="Nothing was tracked since the plan"):
        notebook.compare()
    with track("in time") as measured:
        kept = model(x)  # noqa: F841
    assert notebook.compare(file=tmp_path / "a") == notebook.compare(plan, measured, tmp_path / "b")


def test_compare_takes_a_cell_measured_by_the_magic(tmp_path):
    from course_utils.gpu.monitor.track import begin, measured

    some_plan()
    done = begin("a cell")
    with measured(done):
        pass
    assert notebook.compare().label == "a cell"


def test_the_inputs_of_a_step_count_where_its_optimiser_has_states():
    import torch

    model, x = network(), torch.randn(5000, WIDTH)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    training(model, optimiser, x)
    plan = notebook.plan(training, model, optimiser, x)
    weights = 4 * sum(one.numel() for one in model.parameters())
    velocity = weights  # gradients are the step's own: it begins by forgetting them
    assert plan.before_bytes == pytest.approx(weights + velocity + 4 * 5000 * WIDTH, rel=0.01)

"""`course.plan` and `course.compare`: what a cell of one's own will need, and what it took."""

import time
from dataclasses import dataclass, field, replace

from course_utils.errors import CourseError
from course_utils.gpu import cap
from course_utils.gpu.device import show_bytes
from course_utils.gpu.monitor import track as monitor
from course_utils.gpu.plan import bar, card, history, own_step, show, verdict
from course_utils.gpu.plan.request import Request
from course_utils.gpu.plan.tracing import Traced

_made = []  # at most one (plan, the track before it): what `compare()` takes


@dataclass(frozen=True)
class StepPlan:
    """A `Plan` of a step with its remedies; `before_bytes` were there when the step began (weights, inputs).

    `plan` has the numbers, which are also here by name: `allocated_bytes`, `reserved_bytes`, `process_bytes`, ….
    """

    plan: verdict.Plan
    before_bytes: int
    seconds: float
    remedies: tuple = field(default=())

    def __getattr__(self, name):
        if name.startswith("_") or name == "plan":
            raise AttributeError(name)
        return getattr(self.plan, name)

    def plot(self):
        """A matplotlib figure: the shares stacked in a bar, and the budget; `alt` describes it in a sentence."""
        return bar.draw(self.plan)

    @property
    def alt(self):
        """What `plot()` shows, for those who do not see it."""
        return bar.describe(self.plan)

    def __str__(self):
        return show.as_text(self.plan, self.remedies, self.seconds)

    __repr__ = __str__

    def _repr_html_(self):
        return bar.html(self.plan, show.sentence(self.plan, self.remedies))


def plan(step, *args, budget_gib=None, card=None, context_mib=None, label="this step"):
    """The `StepPlan` of calling `step(*args)`: nothing is computed, and args, which may be on any device, stay as they are.

    `card` names a GeForce card; this machine's, else the course's by default. `budget_gib` (GiB) replaces what
    that card leaves to a process. A step with an optimiser is planned twice in a row, for the first call makes
    its state. Raises CourseError where the step needs numbers (`.tolist()`), or for a budget or card that is none.
    """
    from course_utils.gpu.planner.twin import to_meta

    if not callable(step):
        raise CourseError(
            f"step={type(step).__name__} cannot be called. Give the function and its arguments: course.plan(step, model, x)."
        )
    started = time.perf_counter()
    target = _target(Request(label, card=card, context_mib=context_mib), budget_gib)
    twin, *twins = to_meta(step, *args)
    traced, before = _traced(twin, twins, target)
    made = verdict.of_trace(label, traced, target)
    found = ()
    if made.verdict != verdict.FITS:
        found = tuple(own_step.find(step, args, target, made, lambda step, args: _traced(step, args, target)[0]))
        made = made if found else replace(made, notes=(*made.notes, own_step.NOTHING))
    answer = StepPlan(made, before, time.perf_counter() - started, found)
    _made[:] = [(answer, monitor.latest())]
    return answer


def _target(request, budget_gib):
    target = card.target(request, history.context() or card.measured(opened_only=True))
    limit = cap.current()
    if budget_gib is not None:
        return replace(target, name="your budget", visible_bytes=cap.budget_of(budget_gib).bytes, desktop_bytes=0)
    if limit is not None and request.card is None:
        return replace(target, visible_bytes=limit.visible_bytes, desktop_bytes=limit.desktop_bytes)
    return target


def _traced(step, args, target):
    from course_utils.gpu.planner.events import WEIGHTS, Alloc, Mark
    from course_utils.gpu.planner.trace import found, trace

    _, optimisers, _ = found([*args, step])
    made = trace(step, *args, chip=target.chip, repeat=2 if optimisers else 1)
    before = 0
    for event in made.events:
        if isinstance(event, Mark) and event.name == "step":
            break
        before += event.bytes if isinstance(event, Alloc) else 0
    return Traced(made, made.live_bytes(WEIGHTS)), before


@dataclass(frozen=True)
class Comparison:
    """Predicted and measured bytes side by side: `rows` are (name, predicted, measured or None); `memory` is "VRAM" or "RAM"."""

    label: str
    memory: str
    rows: tuple[tuple[str, int, int | None], ...]

    def __str__(self):
        lines = [f"{self.label}: {self.memory}", f"{'':<12}{'predicted':>12}{'measured':>12}{'error':>9}"]
        for name, predicted, measured in self.rows:
            error = f"{100 * (predicted / measured - 1):+.1f} %" if measured else "n/a"
            lines.append(f"{name:<12}{show_bytes(predicted):>12}{show_bytes(measured):>12}{error:>9}")
        if self.memory == "RAM":
            lines.append(
                "Without a card this is the rise of resident RAM, and CPU kernels take other temporaries than CUDA's."
            )
        return "\n".join(lines)

    __repr__ = __str__


def compare(plan=None, track=None, file=None):
    """The `Comparison` of a `StepPlan` (or `Plan`) with the `Track` of the cell that ran; the pair is kept in `file`.

    Left out, they are the plan made last and the block tracked last, which must come after the plan. `file` is the learner's own history by default. From it the next plan takes this machine's CUDA context,
    and nothing else. Raises CourseError where the track is still running, or where one of the two is missing.
    """
    plan, track = plan or _plan_made(), track or _tracked_since()
    if track.after is None:
        raise CourseError(f"{track.label!r} is still running: call compare() after the with block, not inside it.")
    rows = _rows(plan, track)
    measured = [track.peak_process_bytes, track.peak_reserved_bytes]
    context = measured[0] - measured[1] if None not in measured else None
    pair = {
        "label": track.label,
        "when": time.time(),
        "memory": track.memory,
        "card": plan.target.name,
        "predicted": {name: size for name, size, _ in rows},
        "measured": {name: size for name, _, size in rows},
        "measured_context_bytes": context,
    }
    history.append(pair, file)
    return Comparison(track.label, track.memory, rows)


def _plan_made():
    if not _made:
        raise CourseError("No plan was made here yet. Before the cell, type: plan = course.plan(step, model, x).")
    return _made[0][0]


def _tracked_since():
    track = monitor.latest()
    if track is None or (_made and track is _made[0][1]):
        raise CourseError(
            'Nothing was tracked since the plan. Run the cell inside `with course.track("step"):`, or with %%vram on top.'
        )
    return track


def _rows(plan, track):
    before = getattr(plan, "before_bytes", plan.weights_bytes)
    rise = plan.allocated_bytes - before
    if track.memory == "RAM":
        return (("rise", rise, track.peak_bytes),)
    # What else lies on the card, such as a data set, is in the last three measurements and not in the plan.
    return (
        ("rise", rise, track.peak_allocated_bytes - track.before.allocated_bytes),
        ("allocated", plan.allocated_bytes, track.peak_allocated_bytes),
        ("reserved", plan.reserved_bytes, track.peak_reserved_bytes),
        ("process", plan.process_bytes, track.peak_process_bytes),
    )

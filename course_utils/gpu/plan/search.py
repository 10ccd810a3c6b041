"""The largest batch, context or rank that fits, by bisection over plans."""

from course_utils.bars import bar
from course_utils.errors import CourseError
from course_utils.gpu.plan import verdict
from course_utils.gpu.plan.request import GROWING

LIMIT = {"batch": 65_536, "context": 1_048_576, "rank": 4_096}
STEP = {"batch": 1, "context": 64, "rank": 1}


def largest(name, request, target):
    """The (value, `Plan`) of the largest value of "batch", "context" or "rank" whose plan does not fail to fit.

    "Tight" counts as too large, for it may fail. Contexts are searched in steps of 64 tokens. Raises CourseError
    where the smallest does not fit, or the request has no such size.
    """
    if name not in GROWING:
        raise CourseError(f"--max {name!r} is not known; it is one of {', '.join(GROWING)}.")
    if name == "rank" and request.task not in ("lora", "qlora"):
        raise CourseError("--max rank needs --lora or --qlora: only adapters have a rank.")
    made = {}

    def fits(count):
        if count not in made:
            made[count] = _at(name, request, target, count * STEP[name])
        return made[count] is not None and made[count].verdict == verdict.FITS

    with bar(f"looking for the largest {name}", unit="plans") as tell:
        if not fits(1):
            raise CourseError(f"Not even {name} {STEP[name]} fits on {target.name}. Leave --max out to see remedies.")
        found = bisected(fits, LIMIT[name] // STEP[name], lambda more: tell(len(made), more and len(made) + more))
    return found * STEP[name], made[found]


def bisected(fits, top, left):
    """The largest count up to `top` that fits, as 1 does; `left` is told how many are still to try, None while doubling."""
    low = high = 1
    while high < top and fits(min(2 * high, top)):
        low = high = min(2 * high, top)
        left(None)
    high = min(2 * high, top)
    while high - low > 1:
        left((high - low - 1).bit_length())
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _at(name, request, target, value):
    field = "seq" if name == "context" and request.trains else name
    changes = {field: value} if name != "context" else {"seq": None, "context": None} | {field: value}
    try:
        return verdict.plan(request.but(**changes), target)
    except CourseError:
        if value == STEP[name]:
            raise
        return None  # more than the model's positions

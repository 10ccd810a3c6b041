"""What would make a cell fit, cheapest first: from a `Breakdown` by arithmetic that the reader can repeat."""

from dataclasses import replace

from course_utils.gpu.oom import remedies_any as anyway
from course_utils.gpu.oom import remedies_training as training
from course_utils.gpu.oom.remedy import missing

MIB = 1024**2
SHOWN = 3
WORTH = 0.1  # a remedy that covers less than a tenth of what is missing only distracts
_ALL = (
    anyway.delete,
    anyway.no_grad,
    anyway.others,
    anyway.fragments,
    anyway.smaller_batch,
    anyway.lower_precision,
    anyway.offload,
    anyway.slice_decoder,
    anyway.smaller_numbers,
    training.accumulate,
    training.keep_numbers,
    training.autocast,
    training.checkpoint,
    training.eight_bit,
    training.one_average,
    training.shorter,
)


def absurd(found):
    """Whether the request alone is more than sixteen times all that there is: a slip in a shape, and no remedy's business."""
    there = (found.free_bytes or 0) + sum(size or 0 for _, size in found.rows())
    return found.asked_bytes is not None and found.asked_bytes > 16 * there


def rank(found):
    """The three cheapest remedies for this `Breakdown`: those that suffice alone first, by cost, then the largest."""
    now, step = missing(found)
    if absurd(found):
        return ()
    offers = [
        one for make in _ALL if (one := make(found)) is not None and one.saves_bytes + one.saves_in_step_bytes >= MIB
    ]
    if now is not None:
        offers = [
            one
            for one in offers
            if one.saves_bytes >= WORTH * now or (step and one.saves_in_step_bytes >= WORTH * step)
        ]
        offers = [replace(one, enough=one.saves_bytes >= now and one.saves_in_step_bytes >= step) for one in offers]
    offers.sort(key=lambda one: (0, one.cost) if one.enough else (1, -one.saves_bytes))
    return tuple(offers[:SHOWN])

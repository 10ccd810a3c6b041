"""Lengthens a trace: from a model of a few equal blocks to one of many, event for event.

A trace falls into runs, in which blocks 0, 1, 2, … (or the other way round) are at work one after the
other. In each run the events of the blocks in the middle are the same but for the numbers of the
storages; where they are, one more block means one more copy of them. `extend` checks that before it copies.
"""

from dataclasses import dataclass, replace

from course_utils.gpu.planner.events import Alloc, Free, Mark

EDGE = 2  # blocks at either end that are taken as they are
ENOUGH = 2 * EDGE + 2  # with so many blocks, two in the middle can be compared


class NotPeriodic(Exception):
    """The blocks of the stack differ, so that a short trace says nothing about a long one."""


@dataclass(frozen=True)
class _Part:
    run: int
    layer: int | None
    events: tuple


def extend(trace, blocks, period=1):
    """The `Trace` of the same step for a stack of `blocks` blocks.

    `period` is 2 where two kinds of blocks alternate; the short stack needs `2 * EDGE + 2 * period` blocks at
    least, and differs from `blocks` by a multiple of `period`. Raises NotPeriodic where middle blocks differ.
    """
    if trace.layers is None:
        raise NotPeriodic("no stack was named, or an optimiser keeps states that no block of it owns")
    short = trace.layers
    if short < 2 * EDGE + 2 * period or (blocks - short) % period or blocks < short:
        raise NotPeriodic(f"{blocks} blocks cannot be told from {short} with period {period}")
    parts = _parts(trace.events)
    where = {}  # id → (run, layer, position among the allocations of its part)
    for part in parts:
        made = [event for event in part.events if isinstance(event, Alloc)]
        where |= {event.id: (part.run, part.layer, place) for place, event in enumerate(made)}
    _check(parts, where, short, period)
    more, written, numbers = blocks - short, [], {}
    for part, layer in _lengthened(parts, short - EDGE, more, period):
        _write(part, layer, where, (short, more), written, numbers)
    return replace(trace, events=tuple(written), layers=blocks)


def _parts(events):
    parts, run, direction = [], 0, 0
    for event in events:
        before = parts[-1] if parts else None
        if before and event.layer == before[1] and not isinstance(event, Mark):
            before[2].append(event)
            continue
        step = event.layer - before[1] if before and None not in (event.layer, before[1]) else 0
        run, direction = (run, step) if abs(step) == 1 and direction in (0, step) else (run + 1, 0)
        parts.append((run, event.layer, [event]))
    return [_Part(run, layer, tuple(found)) for run, layer, found in parts]


def _check(parts, where, short, period):
    runs = {}
    for part in parts:
        if part.layer is not None:
            runs.setdefault(part.run, {})[part.layer] = part
    for found in runs.values():
        middle = [found.get(layer) for layer in range(EDGE, short - EDGE)]
        if not any(middle):
            continue
        shapes = [part and _shape(part, where) for part in middle]
        for one, other in zip(shapes, shapes[period:], strict=False):
            if one != other or one is None:
                raise NotPeriodic("the blocks in the middle of the stack do not do the same")


def _shape(part, where):
    shape = []
    for event in part.events:
        if isinstance(event, Alloc):
            shape.append((event.bytes, event.category))
        else:
            run, layer, place = where[event.id]
            shape.append((run, None if layer is None else layer - part.layer, place))
    return shape


def _lengthened(parts, upper, more, period):
    """Every part with the block it becomes; in each run the copies come beside the last block in the middle."""
    runs = {}
    for part in parts:
        runs.setdefault(part.run, {})[part.layer] = part
    for part in parts:
        templates = runs[part.run]
        new = range(upper, upper + more) if part.layer == upper - 1 else ()
        copies = [(templates[_like(layer, upper, period)], layer) for layer in new]
        upwards = list(templates) == sorted(templates) if part.layer is not None else True
        itself = (part, part.layer if part.layer is None or part.layer < upper else part.layer + more)
        yield from [itself, *copies] if upwards else [*reversed(copies), itself]


def _like(layer, upper, period):
    return upper - period + (layer - upper) % period


def _write(part, layer, where, sizes, written, numbers):
    short, more = sizes
    place = 0
    for event in part.events:
        if isinstance(event, Mark):
            written.append(event)
        elif isinstance(event, Alloc):
            number = numbers[part.run, layer, place] = len(numbers)
            written.append(event._replace(id=number, layer=layer))
            place += 1
        else:
            written.append(Free(numbers[_target(where[event.id], part.layer, layer, short, more, numbers)], layer))


def _target(made, at, layer, short, more, numbers):
    run, maker, place = made
    if maker is None:
        return made
    if at is None:
        if EDGE <= maker < short - EDGE:
            raise NotPeriodic("something outside the stack lets go of what a block in the middle made")
        shift = more if maker >= EDGE else 0
    else:
        shift = layer - at
    if (run, maker + shift, place) not in numbers:
        raise NotPeriodic("a block lets go of what another kind of block made")
    return run, maker + shift, place

"""A plan for reading: a table and a sentence, or JSON."""

from course_utils.gpu.device import show_bytes


def as_dict(plan, remedies, seconds, import_seconds=None):
    """The plan with plain keys, sizes in bytes."""
    names = ("weights", "allocated", "reserved", "context", "process", "band")
    return {
        "command": plan.what,
        "card": plan.target.name,
        "budget_bytes": plan.target.budget_bytes,
        **{f"{name}_bytes": getattr(plan, f"{name}_bytes") for name in names},
        "shares": dict(plan.shares),
        "verdict": plan.verdict,
        "remedies": [
            {
                "text": one.text,
                "command": one.command,
                "process_bytes": one.process_bytes,
                "saves_bytes": one.saves_bytes,
                "verdict": one.verdict,
            }
            for one in remedies
        ],
        "context_source": plan.target.context.source,
        "notes": list(plan.notes),
        "seconds": round(seconds, 3),
        "import_seconds": None if import_seconds is None else round(import_seconds, 3),
    }


def rows(plan):
    """(name, bytes, remark) of the table: the shares of what is allocated, then the three numbers."""
    for name, size in plan.shares:
        if size:
            yield f"  {name}", size, ""
    yield "allocated", plan.allocated_bytes, "tensors at the peak"
    yield "reserved", plan.reserved_bytes, "with torch's cache"
    yield "  CUDA context", plan.context_bytes, plan.target.context.source
    yield "process", plan.process_bytes, f"what nvidia-smi shows, ± {show_bytes(plan.band_bytes)}"
    yield "budget", plan.target.budget_bytes, budget_words(plan.target)


def budget_words(target):
    """What the budget consists of."""
    return f"{target.name}: {show_bytes(target.visible_bytes)} visible less {show_bytes(target.desktop_bytes)} for the desktop"


def sentence(plan, remedies):
    """The verdict in a sentence, with the cheapest remedy where there is one."""
    difference = plan.target.budget_bytes - plan.process_bytes
    much = f"{show_bytes(abs(difference))} {'to spare' if difference >= 0 else 'too much'}"
    text = f"{plan.verdict[0].upper()}{plan.verdict[1:]}: {show_bytes(plan.process_bytes)} of {show_bytes(plan.target.budget_bytes)}, {much}"
    if plan.verdict == "tight":
        text += (
            ", which is less than the plan's uncertainty" if difference >= 0 else " unless torch gives back its cache"
        )
    if plan.verdict == "fits":
        return f"{text}."
    if not remedies:
        return f"{text}. No change that this planner knows makes it fit; take a smaller model."
    return f"{text}. Cheapest remedy: {remedies[0].text} (saves {show_bytes(remedies[0].saves_bytes)})."


def as_text(plan, remedies, seconds, import_seconds=0.0):
    """The whole answer as lines of text."""
    lines = [plan.what, ""]
    lines += [f"{name:<16}{show_bytes(size):>12}  {remark}".rstrip() for name, size, remark in rows(plan)]
    lines += ["", sentence(plan, remedies)]
    lines += [
        f"  {one.verdict} with {one.text}: {show_bytes(one.process_bytes)}\n    {one.command}" for one in remedies
    ]
    lines += [f"Note: {one}." for one in plan.notes]
    return "\n".join([*lines, f"Planned in {seconds:.1f} s, {import_seconds:.1f} s of them for importing libraries."])

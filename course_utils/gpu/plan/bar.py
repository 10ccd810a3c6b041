"""A plan as a stacked bar against its budget: a matplotlib figure, HTML, and the sentence that describes both."""

from html import escape

from course_utils.gpu.device import GIB, show_bytes

# Colours that also differ in lightness, for print and for colour-blind readers.
COLOURS = {
    "weights": "#1e3a8a",
    "gradients": "#7c3aed",
    "optimiser": "#c026d3",
    "activations": "#0f766e",
    "logits": "#65a30d",
    "KV cache": "#eab308",
    "temporaries": "#93c5fd",
    "torch's cache": "#d4d4d8",
    "CUDA context": "#71717a",
}
BUDGET = "#c2410c"


def parts(plan):
    """(name, bytes) from the left to the right, which add up to the process; empty ones are left out."""
    rest = [("torch's cache", plan.reserved_bytes - plan.allocated_bytes), ("CUDA context", plan.context_bytes)]
    return [(name, size) for name, size in [*plan.shares, *rest] if size > 0]


def draw(plan):
    """A matplotlib figure with one horizontal bar in GiB, the budget as a line, and the band as a whisker."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7.5, 2.6))
    left = 0
    for name, size in parts(plan):
        axes.barh(0, size / GIB, left=left, color=COLOURS[name], height=0.5, label=f"{name}, {show_bytes(size)}")
        left += size / GIB
    axes.errorbar(left, 0, xerr=plan.band_bytes / GIB, color="black", capsize=4)
    budget = plan.target.budget_bytes
    axes.axvline(budget / GIB, color=BUDGET, linestyle="--", label=f"budget, {show_bytes(budget)}")
    axes.set(xlabel="process on the card (GiB)", yticks=[], title=f"{plan.what}: {plan.verdict}")
    axes.set_xlim(0, 1.05 * max(budget, plan.process_bytes + plan.band_bytes) / GIB)
    axes.set_ylim(-0.5, 0.5)
    axes.spines[["right", "top", "left"]].set_visible(False)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1.1), frameon=False)
    return figure


def describe(plan):
    """The bar in words."""
    shares = ", ".join(f"{name} {show_bytes(size)}" for name, size in parts(plan))
    return (
        f"A bar of the memory that {plan.what} needs: {shares}; together {show_bytes(plan.process_bytes)}, give or take "
        f"{show_bytes(plan.band_bytes)}, against a budget of {show_bytes(plan.target.budget_bytes)}. Verdict: {plan.verdict}."
    )


def html(plan, sentence):
    """The bar as HTML, with a legend; screen readers get the description."""
    whole = max(plan.process_bytes, plan.target.budget_bytes)
    cells = "".join(
        f'<div title="{escape(name)}" style="width:{100 * size / whole:.2f}%;background:{COLOURS[name]}"></div>'
        for name, size in parts(plan)
    )
    line = f'<div style="position:absolute;left:calc({100 * plan.target.budget_bytes / whole:.2f}% - 2px);top:-4px;bottom:-4px;border-left:2px dashed {BUDGET}"></div>'
    legend = " ".join(
        f'<span style="white-space:nowrap"><span style="color:{COLOURS[name]}">■</span> {escape(name)} {show_bytes(size)}</span>'
        for name, size in parts(plan)
    )
    return (
        f'<div class="course-plan" style="max-width:760px"><b>{escape(sentence)}</b>'
        f'<div role="img" aria-label="{escape(describe(plan))}" '
        f'style="position:relative;display:flex;height:22px;margin:8px 0">{cells}{line}</div>'
        f'<div>{legend} <span style="white-space:nowrap;color:{BUDGET}">┆ budget {show_bytes(plan.target.budget_bytes)}</span></div></div>'
    )

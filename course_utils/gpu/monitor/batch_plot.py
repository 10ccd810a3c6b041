"""The figure of a `Fit`: batch size against memory, with the budget."""

from course_utils.gpu.device import GIB, show_bytes


def draw(fit):
    """A matplotlib figure: x the batch sizes tried, y their peak in GiB; a size without a reading stands on the axis."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7.5, 3))
    measured = [one for one in fit.curve if one.peak_bytes is not None]
    axes.plot([one.batch_size for one in measured], [one.peak_bytes / GIB for one in measured], color="#94a3b8")
    for chosen, marker, color, name in (
        ([one for one in measured if one.fits], "o", "#1d4ed8", "fits"),
        ([one for one in measured if not one.fits], "X", "#c2410c", "over the budget"),
    ):
        axes.plot(
            [one.batch_size for one in chosen],
            [one.peak_bytes / GIB for one in chosen],
            marker,
            color=color,
            label=name,
        )
    failed = [one.batch_size for one in fit.curve if one.peak_bytes is None]
    if failed:
        axes.plot(failed, [0] * len(failed), "X", color="#7f1d1d", label="out of memory or not tried", clip_on=False)
    axes.axhline(
        fit.budget_bytes / GIB, color="#c2410c", linestyle="--", label=f"budget {show_bytes(fit.budget_bytes)}"
    )
    axes.set(xlabel="batch size", ylabel=f"peak {fit.memory} (GiB)", title=f"largest batch that fits: {fit.batch_size}")
    axes.set_ylim(bottom=0)
    axes.spines[["right", "top"]].set_visible(False)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    return figure

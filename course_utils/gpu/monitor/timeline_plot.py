"""The figure of a `Track`: memory over time with its budget, and the sentence that describes it."""

from course_utils.errors import CourseError
from course_utils.gpu.device import GIB, show_bytes

# Colours that also differ in lightness, for print and for colour-blind readers.
LAYERS = {
    "live tensors (allocated)": "#1d4ed8",
    "torch's cache": "#60a5fa",
    "CUDA context": "#94a3b8",
    "other programs": "#d6d3d1",
    "CUDA context and other programs": "#d6d3d1",
    "resident RAM of this process": "#1d4ed8",
}
FAR = 3  # a budget this many times above the peak would flatten the curve, and is only named


def draw(track):
    """A matplotlib figure: on a card the shares of its memory stacked, else resident RAM; x in seconds, y in GiB."""
    from matplotlib import pyplot

    _check_finished(track)
    seconds, layers = stack(track.samples)
    figure, axes = pyplot.subplots(figsize=(7.5, 3))
    heights = [[value / GIB for value in values] for values in layers.values()]
    axes.stackplot(seconds, *heights, colors=[LAYERS[name] for name in layers], labels=list(layers), step="post")
    _budget_line(axes, track, max(sum(column) for column in zip(*heights, strict=True)))
    axes.set(xlabel="seconds", ylabel=f"{track.memory} (GiB)", title=track.label)
    axes.set_xlim(0, max(seconds[-1], 1e-3))
    axes.spines[["right", "top"]].set_visible(False)
    handles, names = axes.get_legend_handles_labels()
    axes.legend(handles[::-1], names[::-1], loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2, frameon=False)
    return figure


def stack(samples):
    """Seconds, and the layers from the bottom up as {name: bytes at each of them}.

    What the driver hides is joined with what lies above it: without a process's own figure (WSL2)
    its context cannot be told from other programs.
    """
    seconds = [one.seconds for one in samples]
    if all(one.allocated_bytes is None for one in samples):
        return seconds, {"resident RAM of this process": [one.rss_bytes for one in samples]}
    layers = {
        "live tensors (allocated)": [one.allocated_bytes or 0 for one in samples],
        "torch's cache": [(one.reserved_bytes or 0) - (one.allocated_bytes or 0) for one in samples],
    }
    return seconds, layers | _driver_layers(samples)


def _driver_layers(samples):
    # The driver is asked twice a second, torch far more often: a difference may be negative in between.
    opened = [one for one in samples if one.reserved_bytes is not None]
    if any(one.used_bytes is None for one in opened):
        return {}
    if any(one.process_bytes is None for one in opened[-1:]):
        rest = [max(0, (one.used_bytes or 0) - (one.reserved_bytes or 0)) for one in samples]
        return {"CUDA context and other programs": rest}
    return {
        "CUDA context": [max(0, (one.process_bytes or 0) - (one.reserved_bytes or 0)) for one in samples],
        "other programs": [max(0, (one.used_bytes or 0) - (one.process_bytes or 0)) for one in samples],
    }


def _budget_line(axes, track, top_gib):
    line = (track.budget_bytes + (track.before.rss_bytes if track.memory == "RAM" else 0)) / GIB
    name = f"budget {show_bytes(track.budget_bytes)} ({track.budget_reason})"
    if line > FAR * top_gib:
        axes.plot([], [], "--", color="#c2410c", label=f"{name}, above the picture")
        return
    axes.axhline(line, color="#c2410c", linestyle="--", label=name)
    axes.set_ylim(0, 1.1 * max(line, top_gib))


def describe(track):
    """The figure in words."""
    _check_finished(track)
    what = "Allocated VRAM, torch's cache and the rest of the card" if track.memory == "VRAM" else "Resident RAM"
    levels = [one.level_bytes for one in track.samples]
    peak = track.peak_bytes if track.memory == "VRAM" else track.peak_rss_bytes
    where = f", at {track.where}" if track.where else ""
    verdict = "within" if track.fits else "over"
    return (
        f"{what} over {track.seconds:.1f} seconds of {track.label}: it starts at {show_bytes(levels[0])}, peaks at "
        f"{show_bytes(peak)}{where}, and ends at {show_bytes(levels[-1])}; "
        f"{verdict} the budget of {show_bytes(track.budget_bytes)} ({track.budget_reason})."
    )


def _check_finished(track):
    if track.after is None:
        raise CourseError(f"{track.label!r} is still running: call plot() after the with block, not inside it.")

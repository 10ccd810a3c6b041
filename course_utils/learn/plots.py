"""Showing figures with the words that describe them."""

import base64
import io
from html import escape

from course_utils.errors import CourseError


def number(value):
    """A number for reading: thousands separated, four significant digits below a thousand."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def show(fig, alt):
    """Display a matplotlib figure with its alternative text and close it.

    The text travels inside the output, so that a screen reader, the HTML export and the run
    report all have it. Raises ValueError where `alt` is shorter than 20 characters.
    """
    from IPython.display import display
    from matplotlib import pyplot

    if len(alt.strip()) < 20:
        raise ValueError(f"alt={alt!r} does not describe a figure: say in a sentence what there is to see")
    fig.tight_layout()
    buffer = io.BytesIO()
    fig.savefig(buffer, format="png", dpi=110, bbox_inches="tight", facecolor="white")
    pyplot.close(fig)
    data = base64.b64encode(buffer.getvalue()).decode()
    html = f'<img alt="{escape(alt)}" src="data:image/png;base64,{data}" style="max-width:100%">'
    display({"text/html": html, "text/plain": f"[figure: {alt}]"}, raw=True)


def against_guess(guess, actual, label, unit="", low=None, high=None):
    """Draw the learner's guess beside what came out.

    `low` and `high` bound the axis (default: 0 to the larger of the two, and a margin).
    A guess of None is said to be missing. Raises CourseError where the guess is no number.
    """
    from matplotlib import pyplot

    if guess is not None and not isinstance(guess, int | float):
        raise CourseError(f"A guess is a number, not {guess!r}. Write it without unit or quotes, such as guess = 12.5.")

    figure, axes = pyplot.subplots(figsize=(7, 1.5))
    bottom, top = _limits(guess, actual, low, high)
    axes.set(xlim=(bottom, top), ylim=(-1, 1), yticks=[], xlabel=f"{label}{f' ({unit})' if unit else ''}")
    axes.xaxis.set_major_formatter(lambda value, _: number(value))
    _mark(axes, actual, "result", "#c2410c", "o", 0.35)
    if guess is not None:
        _mark(axes, guess, "your guess", "#1d4ed8", "D", -0.75)
    axes.spines[["left", "right", "top"]].set_visible(False)
    show(figure, alt=f"{label}: {compare(guess, actual, unit)}")
    print(compare(guess, actual, unit))


def _limits(guess, actual, low, high):
    values = [actual] if guess is None else [actual, guess]
    bottom = min([0, *values]) if low is None else min([low, *values])
    top = max(values) if high is None else max([high, *values])
    return bottom, top + 0.08 * (top - bottom)


def _mark(axes, value, name, color, marker, height):
    axes.plot([value], [0], marker, color=color, markersize=10, clip_on=False)
    axes.annotate(f"{name}: {number(value)}", (value, height), ha="center", color=color)


def compare(guess, actual, unit=""):
    """One sentence that puts a guess beside the result."""
    result = f"The result is {number(actual)} {unit}".rstrip()
    if guess is None:
        return f"{result}. You made no guess: put a number in place of None and run the cell again."
    return f"{result}; you guessed {number(guess)}, which is {number(abs(guess - actual))} off."

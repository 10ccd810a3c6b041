"""A lesson while it runs: its passport, seeds and sizes, what it measured, and the receipt at its end."""

import json
import math
import os
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape
from pathlib import Path

from course_utils.errors import CourseError
from course_utils.gpu import device as gpu
from course_utils.gpu import memory
from course_utils.gpu.monitor import magic, peaks
from course_utils.gpu.oom import clinic, leftovers, oom
from course_utils.learn import bands, extras, passport, profiles
from course_utils.learn.paths import data_dir, write_atomically
from course_utils.learn.plots import number


@dataclass(frozen=True)
class Lesson:
    """What `course.start` returns; `device` is "cuda" only in a lesson that uses the GPU, on a machine that has one."""

    id: str
    passport: passport.Passport
    profile: str
    seed: int
    device: str
    started: float = field(default_factory=time.time)
    metrics: dict = field(default_factory=dict, repr=False)

    def pick(self, **sizes):
        """The sizes for this profile, else for the nearest smaller profile given."""
        return profiles.pick(self.profile, sizes)

    def record(self, name, value, unit="", machine=False):
        """Keep a measured value for the receipt, and draw it in its band over several seeds.

        `machine` marks a property of this machine, such as its speed: it has no band. Raises
        CourseError where the value is not a finite number.
        """
        measured = _finite(name, value)
        band = None if machine else bands.read(self.id, self.profile).get(name)
        low, high = (band.low, band.high) if band else (None, None)
        self.metrics[name] = {"value": measured, "unit": unit, "low": low, "high": high, "machine": machine}
        text = f"{name} = {number(measured)} {unit}".rstrip() if machine else metric_text(name, measured, unit, band)
        _show(_metric_html(text, measured, band), text)

    def quiz(self):
        """Show the recap questions of this notebook, which answer every choice with a reason."""
        from jupyterquiz import display_quiz

        display_quiz(list(self.passport.quiz), shuffle_answers=True, max_width=800)

    def finish(self):
        """Write the receipt and show its summary.

        The receipt goes to the path in `COURSE_RECEIPT` where a headless run set it, else
        beside the learner's progress.
        """
        receipt = _receipt(self)
        path = Path(os.environ.get("COURSE_RECEIPT") or data_dir() / "receipts" / f"{self.id}.json")
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(receipt, indent=1))
        _show(f"<pre>{escape(summary(receipt))}</pre>", summary(receipt))


def start(lesson, profile="auto", seed=0):
    """Begin a lesson: choose the profile, seed every random generator, show the passport.

    Raises CourseError for an unknown lesson or profile, and where packages of the lesson's extra are missing.
    """
    papers = passport.read(passport.find_notebook(lesson))
    extras.require(papers.extra)
    choice = profiles.choose(profile, gpu.find_card)
    card = gpu.find_card() if papers.gpu and choice.profile.startswith("gpu") else None
    seed_everything(seed)
    memory.follow("cuda" if card else "cpu")
    if shell := leftovers.shell():
        for part in (oom, magic, clinic):
            part.install(shell)
    setup = [("This run", f"profile {choice.profile} ({choice.reason}), seed {seed}"), *_memory_rows(card)]
    text = "\n".join(f"{label}: {words}" for label, words in [("Lesson", papers.title), *passport.rows(papers), *setup])
    _show(passport.as_html(papers, setup), text)
    return Lesson(lesson, papers, choice.profile, seed, "cuda" if card else "cpu")


def seed_everything(seed):
    """Seed Python, numpy, and torch where it is loaded already."""
    import random
    import sys

    import numpy

    random.seed(seed)
    numpy.random.seed(seed)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)


@contextmanager
def expect(error):
    """Run a block that is meant to fail with `error`; show the error calmly, and fail where it does not happen.

    Raises AssertionError where the block ends without an error; any other error passes through.
    """
    try:
        yield
    except error as caught:
        name, message = type(caught).__name__, str(caught).strip() or "(no message)"
        html = f'<div style="border-left:4px solid #c2410c;padding:.4em .8em"><b>As expected, this failed: {escape(name)}</b><pre>{escape(message)}</pre></div>'
        _show(html, f"As expected, this failed: {name}: {message}")
    else:
        raise AssertionError(f"This block was meant to fail with {error.__name__}, and it did not.")


def _finite(name, value):
    try:
        converted = float(value)
    except (TypeError, ValueError):
        raise CourseError(f"record({name!r}, …) needs a number, not {type(value).__name__}.") from None
    if not math.isfinite(converted):
        raise CourseError(f"record({name!r}, …) needs a finite number, not {converted}. Look at the cell before it.")
    return converted


def _memory_rows(card):
    if card is None:
        return []
    rows = [("Your card", f"{card.name}, {gpu.show_bytes(card.free_bytes)} of {gpu.show_bytes(card.total_bytes)} free")]
    if card.free_bytes is not None and card.free_bytes < 0.8 * card.total_bytes:
        rows.append(("Note", "other programs hold part of the card: shut other notebooks' kernels, browsers and games"))
    return rows


def metric_text(name, value, unit, band):
    """A recorded value in one line, with its band where one was measured."""
    text = f"{name} = {number(value)} {unit}".rstrip()
    if band is None:
        return f"{text} (no band was measured for this profile)"
    place = "inside" if band.holds(value) else "OUTSIDE"
    return f"{text}, {place} the band {number(band.low)} to {number(band.high)} of {band.seeds} seeds"


def _metric_html(text, value, band):
    html = f"<div>{escape(text)}</div>"
    return html if band is None or band.high == band.low else html + _band_svg(value, band)


def _band_svg(value, band):
    margin = 0.6 * (band.high - band.low)
    left, width = band.low - margin, band.high - band.low + 2 * margin
    x, low, high = (400 * (min(max(one, left), left + width) - left) / width for one in (value, band.low, band.high))
    return (
        '<svg width="400" height="22" role="img" aria-label="the value in its band">'
        '<line x1="0" x2="400" y1="11" y2="11" stroke="#94a3b8"/>'
        f'<rect x="{low:.1f}" y="5" width="{high - low:.1f}" height="12" rx="3" fill="#94a3b8"/>'
        f'<circle cx="{x:.1f}" cy="11" r="6" fill="#c2410c"/></svg>'
    )


def _receipt(lesson):
    peak, memory = _peak(lesson.device)
    return {
        "lesson": lesson.id,
        "profile": lesson.profile,
        "seed": lesson.seed,
        "device": lesson.device,
        "started": datetime.fromtimestamp(lesson.started, UTC).isoformat(timespec="seconds"),
        "seconds": round(time.time() - lesson.started, 2),
        "peak_bytes": peak,
        "memory": memory,
        "checks": _checks(lesson.id),
        "metrics": lesson.metrics,
        "versions": {name: gpu.installed_version(name) for name in ("course-utils", "numpy", "scikit-learn", "torch")},
    }


def _peak(device):
    done = peaks.of_process()
    return (done.allocated_bytes or 0, "VRAM") if device == "cuda" else (done.rss_bytes, "RAM")


def _checks(lesson):
    from course_utils.learn.catalog import exercises_of
    from course_utils.learn.progress import session_results

    results = session_results()
    return [
        {
            "id": one.id,
            "status": results[one.id].status if one.id in results else "not attempted",
            "points": results[one.id].points if one.id in results else 0,
            "max_points": one.points,
        }
        for one in exercises_of(lesson).values()
    ]


def summary(receipt):
    """The receipt in a few lines for the learner."""
    passed = [check for check in receipt["checks"] if check["status"] == "passed"]
    points = sum(check["points"] for check in receipt["checks"])
    most = sum(check["max_points"] for check in receipt["checks"])
    lines = [
        f"{receipt['lesson']} finished in {receipt['seconds']:.0f} s (profile {receipt['profile']}, {receipt['device']})",
        f"exercises passed: {len(passed)} of {len(receipt['checks'])}, {points} of {most} points",
        f"peak {receipt['memory']}: {gpu.show_bytes(receipt['peak_bytes'])}",
    ]
    return "\n".join(
        lines + [f"{name}: {number(one['value'])} {one['unit']}".rstrip() for name, one in receipt["metrics"].items()]
    )


def _show(html, text):
    from IPython.display import display

    display({"text/html": html, "text/plain": text}, raw=True)

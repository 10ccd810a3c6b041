"""A verdict as HTML for the notebook and as text for everything else.

The colours are JupyterLab's own variables, so that the verdict follows the theme; where they
are missing, as in an exported page, the fallbacks follow the reader's light or dark setting.
"""

import re
from html import escape

from course_utils.learn.verdict import INTERRUPTED, NOT_ATTEMPTED, NOT_YET, PASSED

PRINTED_LINES = 8
_EMPHASIS = re.compile(r"(?<![\w*])\*(\w(?:[^*]*\w)?)\*(?![\w*])")  # not the stars of a product
_MARKS = {PASSED: "✓", NOT_YET: "✗", NOT_ATTEMPTED: "○", INTERRUPTED: "■"}
_WORDS = {PASSED: "Passed", NOT_YET: "Not yet", NOT_ATTEMPTED: "Not attempted", INTERRUPTED: "Interrupted"}

_STYLE = """<style>
.course-verdict {
  --verdict-text: var(--jp-content-font-color1, #1f1f1f); --verdict-page: var(--jp-layout-color1, #ffffff);
  --verdict-panel: var(--jp-layout-color2, #f0f0f0); --verdict-line: #8a8a8a;
  --verdict-good: var(--jp-success-color0, #1b5e20); --verdict-bad: var(--jp-error-color0, #b71c1c);
  color: var(--verdict-text); background: var(--verdict-page); max-width: 52rem; margin: .25rem 0; padding: .5rem .9rem;
  border: 1px solid var(--verdict-line); border-left: 6px solid var(--verdict-line); border-radius: 4px;
  font-family: var(--jp-content-font-family, system-ui, sans-serif); font-size: var(--jp-content-font-size1, 14px);
  line-height: 1.5; }
@media (prefers-color-scheme: dark) { .course-verdict {
  --verdict-text: var(--jp-content-font-color1, #ececec); --verdict-page: var(--jp-layout-color1, #1c1c1c);
  --verdict-panel: var(--jp-layout-color2, #303030);
  --verdict-good: var(--jp-success-color0, #81c784); --verdict-bad: var(--jp-error-color0, #ef9a9a); } }
.course-verdict[data-status="passed"] { border-left-color: var(--verdict-good); }
.course-verdict[data-status="not yet"] { border-left-color: var(--verdict-bad); }
.course-verdict p { margin: .3rem 0; }
.course-verdict .course-status { font-weight: 600; }
.course-verdict pre, .course-verdict code { background: var(--verdict-panel); color: var(--verdict-text);
  font-family: var(--jp-code-font-family, monospace); font-size: .93em; border-radius: 3px; }
.course-verdict code { padding: 0 .25em; }
.course-verdict pre { margin: .3rem 0; padding: .45rem .6rem; white-space: pre-wrap; overflow-wrap: anywhere; }
.course-verdict pre code { padding: 0; }
.course-verdict details { margin: .2rem 0; }
.course-verdict summary { cursor: pointer; }
</style>"""


def verdict_html(exercise, verdict, reveal=True):
    """The verdict with hints and, with `reveal`, the solution folded; what came from the learner is escaped."""
    parts = [
        _status_html(verdict),
        f'<p class="course-message">{prose(verdict.message)}</p>',
        _inputs_html(verdict),
        _fold("What your code printed", _pre(_first_lines(verdict.printed)), "course-printed")
        if verdict.printed
        else "",
        "" if verdict.status == PASSED else _hints_html(exercise),
        _solution_html(exercise, verdict) if reveal and not exercise.is_recorded else "",
        "".join(f'<p class="course-substitute">{prose(line)}</p>' for line in _substitute(exercise, verdict)),
    ]
    return _box(verdict.status, f"Check of {exercise.id}: {_WORDS[verdict.status]}", "".join(parts))


def note_html(sentence):
    """A single sentence in the same box."""
    return _box("note", "Check", f'<p class="course-message">{prose(sentence)}</p>')


def verdict_text(exercise, verdict):
    """The verdict as plain text, without the hints and the solution that a text cannot fold."""
    lines = [_status_line(verdict), verdict.message]
    lines += [_case_line(verdict)] if verdict.inputs or verdict.case_note else []
    lines += [f"  {name} = {text}" for name, text in verdict.inputs]
    return "\n".join(lines + _substitute(exercise, verdict))


def _status_line(verdict):
    points = f"{verdict.points} of {verdict.max_points} point{'' if verdict.max_points == 1 else 's'}"
    return f"{_WORDS[verdict.status]} · {verdict.exercise_id} · {points}"


def _status_html(verdict):
    mark = f'<span aria-hidden="true">{_MARKS[verdict.status]}</span>'
    return f'<p class="course-status">{mark} {escape(_status_line(verdict))}</p>'


def _case_line(verdict):
    return f"The case: {verdict.case_note}" if verdict.case_note else "The case:"


def _inputs_html(verdict):
    if not verdict.inputs and not verdict.case_note:
        return ""
    inputs = "\n".join(f"{name} = {text}" for name, text in verdict.inputs)
    return f'<p class="course-case">{prose(_case_line(verdict))}</p>' + (_pre(inputs) if inputs else "")


def _hints_html(exercise):
    return "".join(
        _fold(f"Hint {number}", f"<p>{prose(hint)}</p>", "course-hint") for number, hint in enumerate(exercise.hints, 1)
    )


def _solution_html(exercise, verdict):
    title = "Another way to write it: the course's solution" if verdict.status == PASSED else "Solution"
    return _fold(title, _pre(exercise.solution_source()), "course-solution")


def _substitute(exercise, verdict):
    """In a list of at most one sentence, what stands in for an answer that did not pass."""
    if verdict.status == PASSED or exercise.is_recorded:
        return []
    name = exercise.reference.__name__
    return [f"So that the rest of the notebook runs, `{name}` is now the course's solution."]


def _first_lines(text):
    lines = text.rstrip("\n").splitlines()
    return "\n".join(lines[:PRINTED_LINES] + (["…"] if len(lines) > PRINTED_LINES else []))


def _fold(title, body, name):
    return f'<details class="{name}"><summary>{escape(title)}</summary>{body}</details>'


def _pre(text):
    return f"<pre><code>{escape(text)}</code></pre>"


def prose(text):
    """Escaped text in which `backticks` become code and *stars* emphasis."""
    pieces = escape(text).split("`")
    if len(pieces) % 2 == 0:  # an unpaired backtick is a backtick
        return escape(text)
    return "".join(
        f"<code>{piece}</code>" if place % 2 else _EMPHASIS.sub(r"<em>\1</em>", piece)
        for place, piece in enumerate(pieces)
    )


def _box(status, label, body):
    return (
        f'{_STYLE}<div class="course-verdict" data-status="{escape(status)}" role="group" aria-label="{escape(label)}">'
        f"{body}</div>"
    )

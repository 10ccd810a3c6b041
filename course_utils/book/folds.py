"""An exercise in a page: what it is worth, each hint and the solution behind a fold of its own."""

import ast
from html import escape

from course_utils.learn import catalog
from course_utils.learn.verdict_html import prose

_DIFFICULTY = {1: "easy", 2: "medium", 3: "hard"}


def checked(code):
    """Ids of the exercises that a cell checks: the literals in its calls of `course.check`."""
    try:
        calls = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
    except SyntaxError:  # a cell with a magic
        return []
    found = [call.args[0] for call in calls if ast.unparse(call.func) == "course.check" and call.args]
    return [one.value for one in found if isinstance(one, ast.Constant)]


def as_html(id):
    """What stands under the check cell in place of its verdict."""
    exercise = catalog.find_exercise(id)
    hints = "".join(
        fold(f"Hint {number}", f"<p>{prose(hint)}</p>", "course-hint") for number, hint in enumerate(exercise.hints, 1)
    )
    solution = fold("Solution", highlighted(exercise.solution_source()), "course-solution")
    return (
        f'<div class="course-exercise" role="group" aria-label="Exercise {escape(id)}">'
        f"<p>{escape(_line(exercise))}</p>{hints}{solution}</div>"
    )


def _line(exercise):
    points = f"{exercise.points} point{'' if exercise.points == 1 else 's'}"
    worth = f"{points}, {exercise.minutes} minutes, {_DIFFICULTY[exercise.difficulty]}"
    return f"{exercise.id} · {worth}. In JupyterLab this cell tells at once whether your answer is right."


def fold(title, body, name):
    """A `<details>` of this class."""
    return f'<details class="{name}"><summary>{escape(title)}</summary>{body}</details>'


def highlighted(code):
    """Python as HTML in the colours of the site's other code."""
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    return f'<div class="highlight-ipython3 notranslate">{highlight(code, PythonLexer(), HtmlFormatter())}</div>'

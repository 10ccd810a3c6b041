"""A recap quiz that works in a page: buttons, and the reason of each choice when it is chosen (`static/course.js`)."""

import hashlib
from html import escape

from course_utils.learn.verdict_html import prose


def as_html(questions):
    """The quiz of a passport; the answers are in an order of their own, so that the right one's place tells nothing."""
    body = "".join(_question(number, one) for number, one in enumerate(questions, 1))
    score = f'<p class="course-score" role="status">{len(questions)} questions. Choose an answer to see why.</p>'
    return f'<div class="course-quiz" role="group" aria-label="Quiz">{body}{score}</div>'


def _question(number, question):
    answers = "".join(map(_answer, sorted(question["answers"], key=_place)))
    return (
        f'<fieldset class="course-question"><legend>{number}. {prose(question["question"])}</legend>{answers}'
        '<p class="course-reason" aria-live="polite"></p></fieldset>'
    )


def _answer(answer):
    right = "true" if answer["correct"] else "false"
    return (
        f'<button type="button" class="course-answer" aria-pressed="false" data-right="{right}" '
        f'data-reason="{escape(answer["feedback"])}">{prose(answer["answer"])}</button>'
    )


def _place(answer):
    return hashlib.sha256(answer["answer"].encode()).digest()

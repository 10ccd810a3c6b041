import sys

import numpy as np
import pytest

from course_utils.learn.check import check, examine
from course_utils.learn.verdict_html import note_html, verdict_html, verdict_text


def sum_of_all(values, scale=1.0):
    return sum(values) * scale


def forgotten_stub_line(values, scale=1.0):
    answer = values.sum() * scale
    raise NotImplementedError(answer)


def none_after_work(values, scale=1.0):
    values.sum()
    return None


def partly_written(values, scale=1.0):
    if scale != 1.0:
        raise NotImplementedError
    return values.sum()


def printing(values, scale=1.0):
    print(values.sum() * scale)


def broken(values, scale=1.0):
    total = 0
    return total / 0


def spoiling(values, scale=1.0):
    values *= scale
    return values.sum()


def spoiling_and_wrong(values, scale=1.0):
    values *= 5
    return values.max()


def recursive(values, scale=1.0):
    return recursive(values, scale)


async def asynchronous(values, scale=1.0):
    return 1.0


def leaving(values, scale=1.0):
    sys.exit()


def unspeakable(values, scale=1.0):
    class Unspeakable(Exception):
        def __str__(self):
            raise RuntimeError

    raise Unspeakable


class Callable:
    def __call__(self, values):
        return 1.0


@pytest.mark.parametrize(
    "answer, said",
    [
        (forgotten_stub_line, "still says `raise NotImplementedError(answer)`. Delete it"),
        (partly_written, "still says `raise NotImplementedError`"),
        (none_after_work, "It returned None. Does its last line lack a `return`?"),
        (printing, "It printed '7.0' and returned None. Use `return` instead of `print`."),
        (broken, "It raised ZeroDivisionError: division by zero, in line "),
        (broken, "of your code: `return total / 0`."),
        (spoiling, "The answer is right, but it changes its input `values`. Work on a copy"),
        (spoiling_and_wrong, "It also changes its input `values`."),
        (recursive, "It raised RecursionError"),
        (asynchronous, "a coroutine (the function is declared `async`) where a number is expected"),
        (leaving, "It called `exit()` or `sys.exit()`, which ends the notebook."),
        (unspeakable, "It raised Unspeakable, in line "),
        (
            lambda values, scale=1.0: (x for x in values),
            "a generator (the function uses `yield`) where a number is expected",
        ),
        (lambda values, scale=1.0: -values.sum() * scale, "the sign is wrong"),
        (
            lambda values, scale=1.0: values.sum() * scale / 4,
            "In all cases, every value is 1/4 times what is expected.",
        ),
        (lambda values, scale=1.0: values.sum() * scale + 2, "In all cases, every value is too large by 2."),
        (lambda values: values.sum(), "Your function takes (values); it is called with (values, scale)."),
        (Callable(), "1 where 7 is expected"),
        (7.0, "You passed a number (7). Pass the function itself, without parentheses: `my_total`."),
        (None, "You passed None. Pass the function itself"),
        ("my_total", "You passed a string ('my_total')."),
        (np.ones(3), "You passed an array of shape (3,)."),
        (Callable, "You passed the class `Callable`; this exercise asks for a function."),
        (np.mean, "2.33333 where 7 is expected"),
        (dict, "You passed the class `dict`"),
    ],
)
def test_a_wrong_answer_gets_a_sentence(made_up, capsys, answer, said):
    verdict = examine(made_up["total"], answer)
    assert (verdict.status, verdict.points) == ("not yet", 0)
    assert said in verdict.message
    assert check("week99.total", answer) is not answer
    assert said in capsys.readouterr().out


def test_a_known_mistake_is_recognised_by_its_values_or_by_its_error(made_up):
    def averages(values, scale=1.0):
        return values.mean() * scale

    def looks_up(values, scale=1.0):
        return {}["values"]  # a KeyError is a LookupError

    assert examine(made_up["total"], averages).mistake == "That is the mean: you divided by the number of values."
    assert examine(made_up["total"], looks_up).mistake == "An empty list was assumed."


def test_a_mistake_that_explains_only_some_cases_is_not_named(made_up):
    def sometimes_averages(values, scale=1.0):
        return values.mean() if scale == 1.0 else -1.0

    verdict = examine(made_up["total"], sometimes_averages)
    assert verdict.mistake == ""
    assert "2.33333 where 7 is expected" in verdict.message


def test_the_failing_case_is_shown_with_its_note_and_inputs(made_up):
    verdict = examine(made_up["total"], lambda values, scale=1.0: values.sum())
    assert verdict.case_note == "nine values, <scaled>"
    assert [name for name, _ in verdict.inputs] == ["values", "scale"]
    assert verdict.inputs[0][1].startswith("array of shape (9,), float64: [")
    assert verdict.inputs[1][1] == "3"


def test_the_html_escapes_folds_and_states_its_status_in_words(made_up):
    def shouting(values, scale=1.0):
        print("<script>alert(1)</script>")
        raise ValueError("<b>&")

    verdict = examine(made_up["total"], shouting)
    page = verdict_html(made_up["total"], verdict)
    assert 'class="course-verdict" data-status="not yet"' in page
    assert "Not yet · week99.total · 0 of 2 points" in page
    assert "<script" not in page and "<b>" not in page and "&lt;script&gt;" in page
    assert "It raised ValueError: &lt;b&gt;&amp;" in page
    assert "<summary>Hint 1</summary><p>Look at the &lt;axis&gt;.</p>" in page
    assert "<summary>Hint 2</summary><p>Use <code>numpy</code>.</p>" in page
    assert "<summary>Solution</summary>" in page and "def my_total(values, scale=1.0):" in page
    assert "`total` is now the course&#x27;s solution" not in page and "<code>total</code> is now" in page


def test_a_passed_verdict_folds_the_solution_and_offers_no_hint(made_up):
    page = verdict_html(made_up["total"], examine(made_up["total"], sum_of_all))
    assert 'data-status="passed"' in page
    assert "Another way to write it: the course&#x27;s solution" in page
    assert "Hint" not in page and "is now the course" not in page


def test_the_text_gives_no_solution_away(made_up):
    text = verdict_text(made_up["total"], examine(made_up["total"], broken))
    assert "Not yet · week99.total" in text and "The case: three values" in text
    assert "  values = array of shape (3,), float64: [1., 2., 4.]" in text
    assert "np.sum" not in text and "Hint" not in text


def test_a_note_keeps_an_unpaired_backtick():
    assert "one ` only" in note_html("one ` only")


def test_stars_around_words_become_emphasis_and_those_of_a_product_stay():
    shown = note_html("the *new velocity*, not `w*lr*g` and not 2 * m * k or a*b*c")
    assert "the <em>new velocity</em>, not <code>w*lr*g</code> and not 2 * m * k or a*b*c" in shown

import inspect

import numpy as np
import pytest

from course_utils.learn import progress
from course_utils.learn.check import check, examine


def right(values, scale=1.0):
    return sum(values) * scale


def stub(values, scale=1.0):
    raise NotImplementedError


def stub_with_words(values, scale=1.0):
    """Add the values."""
    raise NotImplementedError("your code here")


def stub_pass(values, scale=1.0):
    """Add the values."""
    pass


def stub_dots(values, scale=1.0): ...


def test_a_right_answer_passes_and_is_handed_back(made_up, capsys):
    assert check("week99.total", right) is right
    assert "Passed · week99.total · 2 of 2 points" in capsys.readouterr().out
    assert progress.session_results()["week99.total"] == progress.Result("passed", 2)


def test_a_function_that_returns_a_constant_was_attempted(made_up):
    def five(values, scale=1.0):
        return 5

    assert examine(made_up["total"], five).status == "not yet"


@pytest.mark.parametrize("untouched", [stub, stub_with_words, stub_pass, stub_dots, ...])
def test_an_untouched_stub_is_not_attempted(made_up, untouched):
    verdict = examine(made_up["total"], untouched)
    assert (verdict.status, verdict.points) == ("not attempted", 0)


def test_the_solution_is_handed_out_as_a_function_that_works_and_shows_its_source(made_up):
    solution = check("week99.total", stub)
    assert solution(np.ones(3), scale=2.0) == 6.0
    assert solution.__name__ == "total"
    assert "return float(np.sum(values) * scale)" in inspect.getsource(solution)


def test_the_handed_out_solution_is_refused_and_stays_the_same(made_up, capsys):
    solution = check("week99.total", stub)
    assert check("week99.total", solution) is solution
    assert check("week99.total", solution) is solution
    assert "This is the course's own solution, from an earlier check." in capsys.readouterr().out
    assert progress.session_results()["week99.total"].status == "not yet"


def test_an_attempt_that_calls_the_handed_out_solution_is_refused_even_if_it_hides_the_error(made_up):
    solution = check("week99.total", stub)

    def borrow(values, scale=1.0):
        try:
            return solution(values, scale)
        except Exception:
            return right(values, scale)

    verdict = examine(made_up["total"], borrow)
    assert verdict.status == "not yet"
    assert "Your function calls the course's own solution, `total`." in verdict.message
    assert solution(np.ones(2)) == 2.0


def test_the_solution_of_another_exercise_may_be_called(made_up):
    root = check("week99.root", ...)
    assert examine(made_up["total"], lambda values, scale=1.0: root(4.0) * right(values, scale) / 2).status == "passed"


def test_an_expected_error_must_be_raised(made_up):
    def silent(number):
        return abs(number) ** 0.5

    def other(number):
        return [][0] if number < 0 else number**0.5

    class NegativeError(ValueError):
        pass

    def fitting(number):
        if number < 0:
            raise NegativeError
        return number**0.5

    assert "It returned a number (1) where it should raise ValueError." in examine(made_up["root"], silent).message
    assert "Another error is expected here: ValueError." in examine(made_up["root"], other).message
    assert examine(made_up["root"], fitting).status == "passed"


def test_a_drive_judges_changes_in_place(made_up):
    def in_place(values):
        values += values

    assert examine(made_up["doubled"], in_place).status == "passed"
    assert examine(made_up["doubled"], lambda values: values + values).mistake.startswith("You made a new array")
    assert examine(made_up["doubled"], stub_pass).status == "not attempted"


def test_a_drive_judges_an_estimator_by_its_predictions(made_up):
    from sklearn.dummy import DummyRegressor

    class Adapter(DummyRegressor):
        def fit(self, y):
            return super().fit(np.zeros((len(y), 1)), y)

        def predict(self, rows):
            return super().predict(np.zeros((rows, 1)))

    assert examine(made_up["model"], lambda: Adapter()).status == "passed"
    assert examine(made_up["model"], Adapter).status == "passed"
    median = examine(made_up["model"], lambda: Adapter(strategy="median"))
    assert "first at [0]" in median.message
    said = examine(made_up["model"], lambda: print("built")).message
    assert said == "It printed 'built' and returned None. Use `return` instead of `print`."


def test_a_value_is_compared_and_its_placeholder_is_not_attempted(made_up):
    assert examine(made_up["shapes"], [3, 4]).status == "passed"
    assert examine(made_up["shapes"], [4, 3]).mistake == "Rows come first, columns second."
    assert examine(made_up["shapes"], (3, 4)).status == "not yet"
    assert examine(made_up["shapes"], None).status == "not yet"
    assert examine(made_up["shapes"], ...).status == "not attempted"
    handed_out = check("week99.shapes", ...)
    assert handed_out == [3, 4]
    assert "the course's own solution" in examine(made_up["shapes"], handed_out).message
    assert examine(made_up["shapes"], [3, 4]).status == "passed"


@pytest.mark.parametrize(
    "arguments, said",
    [
        (("week99.totl", right), "There is no exercise 'week99.totl'. The nearest is 'week99.total'."),
        (("nonsense", right), "There is no exercise 'nonsense'. The nearest is "),
        ((right, "week99.total"), "The exercise's name comes first: check('week99.total', …)."),
        ((None, right), "The first argument of check is the exercise's name"),
    ],
)
def test_a_wrong_call_is_a_sentence_and_returns_the_answer(made_up, capsys, arguments, said):
    assert check(*arguments) is arguments[1]
    assert said in capsys.readouterr().out


def test_a_fault_of_the_exercise_itself_is_owned_up_to(made_up, capsys):
    made_up["total"].parts["cases"] = lambda rng: 1 / 0
    assert check("week99.total", right)(np.ones(2)) == 2.0
    assert "The check itself failed (ZeroDivisionError" in capsys.readouterr().out
    made_up["total"].parts["cases"] = lambda rng: []
    check("week99.total", right)
    assert "The exercise 'week99.total' has no cases." in capsys.readouterr().out


def test_an_answer_whose_properties_fail_is_a_sentence(made_up):
    class Trap(np.ndarray):
        @property
        def shape(self):
            raise RuntimeError

    def trap(values, scale=1.0):
        return np.zeros(3).view(Trap)

    assert "Trap` where a number is expected" in examine(made_up["total"], trap).message


def test_a_progress_that_cannot_be_saved_is_said_once_and_the_check_works(made_up, capsys, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("COURSE_DATA_DIR", str(tmp_path / "file" / "data"))
    monkeypatch.setattr("course_utils.learn.check._notices", set())
    assert check("week99.total", right) is right
    assert check("week99.total", right) is right
    assert capsys.readouterr().out.count("Your progress could not be saved in") == 1
    assert progress.session_results()["week99.total"].status == "passed"

import numpy as np
import pandas as pd
import pytest
import torch

from course_utils.learn.compare import difference
from course_utils.learn.kinds import short

TABLE = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 7.0]])
FRAME = pd.DataFrame({"city": ["Ames", "Oslo"], "price": [1.5, 2.5]}, index=[7, 8])


class AlwaysEqual:
    __hash__ = None

    def __eq__(self, other):
        return True


class Pretender:
    """Claims to be a float and prints as one."""

    __class__ = float

    def __repr__(self):
        return "1.0"


@pytest.mark.parametrize(
    "given, expected",
    [
        (3, 3.0),
        (3.0, 3),
        (np.float64(0.5), 0.5),
        (np.int32(4), 4),
        (np.True_, True),
        (np.float32(0.1), 0.1),
        (0.1 + 0.2, 0.3),
        (float("nan"), float("nan")),
        (float("-inf"), float("-inf")),
        (None, None),
        ("a", np.str_("a")),
        ([1, (2.0, {"k": [None, "x"]})], [1, (2, {"k": [None, "x"]})]),
        ({1, 2}, {2, 1}),
        ({"b": 1, "a": 2}, {"a": 2, "b": 1}),
        (TABLE.astype("float32"), TABLE),
        (TABLE.astype("int32"), TABLE.astype("int64")),
        (np.array([np.nan, 1.0]), np.array([np.nan, 1.0])),
        (np.array(["a", "b"]), np.array(["a", "b"])),
        (np.array(["2020-01-01", "NaT"], "M8[D]"), np.array(["2020-01-01", "NaT"], "M8[s]")),
        (np.array([1, "a"], dtype=object), np.array([1, "a"], dtype=object)),
        (torch.tensor(TABLE), torch.nn.Parameter(torch.tensor(TABLE))),
        (torch.tensor([0.1], dtype=torch.bfloat16), torch.tensor([0.1])),
        (FRAME.copy(), FRAME),
        (FRAME.price.rename("other"), FRAME.price),
        (FRAME.astype({"city": object}), FRAME),
        (pd.Index([7, 8]), FRAME.index),
        (pd.Series([pd.Timestamp("2020-01-01"), pd.NaT]), pd.Series([pd.Timestamp("2020-01-01"), pd.NaT])),
        (torch.float32, torch.float32),
    ],
)
def test_the_same_answer_written_otherwise_has_no_difference(given, expected):
    assert difference(given, expected) == ""


@pytest.mark.parametrize(
    "given, expected, said",
    [
        (True, 1, "a truth value (True) where a number is expected"),
        (1, True, "a number (1) where a truth value is expected"),
        (4, 5, "4 where 5 is expected"),
        (2**53 + 1, 2**53, "9007199254740993"),
        (4.0000001, 4, "4.0000001 where 4 is expected"),
        (-2.5, 2.5, "the sign is wrong"),
        (float("nan"), 1.0, "NaN where a finite number is expected"),
        (1.0, float("nan"), "1 where nan is expected"),
        (float("inf"), 1.0, "infinite where a finite number is expected"),
        (10**400, 1.0, "a huge whole number where 1 is expected"),
        (None, 3.0, "None where a number is expected"),
        ("3", 3.0, "return the number itself, not its text"),
        ("Cat ", "cat", "capitals or in outer spaces"),
        ((1, 2), [1, 2], "a tuple of 2 where a list is expected: `list(…)`"),
        ([1, 2], [1, 2, 3], "a list of 2 where 3 entries are expected"),
        ([1, [5, 6]], [1, [5, 7]], "entry 1: entry 1: 6 where 7 is expected"),
        ([3.0, 1.0, 2.0], [1.0, 2.0, 3.0], "the same values in another order"),
        ({"loss": [1.0, 2.0]}, {"loss": [1.0, 3.0]}, "key 'loss': entry 1: 2 where 3 is expected"),
        ({"los": 1}, {"loss": 1}, "lacks the key 'loss' and has 'los' instead"),
        ({"a": 1, "b": 2}, {"a": 1}, "has the key 'b', which is not expected"),
        ({1}, {1, 2}, "the set lacks 2"),
        ((n for n in [1]), [1], "a generator (the function uses `yield`) where a list is expected: collect it"),
        (map(int, "1"), [1], "an object of type `map` where a list is expected: collect it with `list(…)`"),
        ([[1.0]], np.array([[1.0]]), "a list of 1 where an array of shape (1, 1) is expected: wrap it"),
        (np.array(2.0), 2.0, "an array of shape () where a number is expected: `.item()`"),
        (torch.tensor(2.0), 2.0, "a tensor of shape () where a number is expected: `.item()`"),
        (torch.tensor(TABLE), TABLE, "`.numpy()` turns it into an array"),
        (TABLE.T, TABLE, "shape (3, 2) where (2, 3) is expected: it is transposed"),
        (TABLE[:, :1], TABLE[:, 0], "they differ in axes of length 1"),
        (TABLE.ravel()[:4], TABLE, "shape (4,) where (2, 3) is expected"),
        (TABLE.astype(int), TABLE, "whole numbers (int64) where floats (float64) are expected; the values agree"),
        (TABLE > 2, TABLE, "truth values (bool) where floats (float64) are expected"),
        (-TABLE, TABLE, "every sign is wrong"),
        (TABLE * 4, TABLE, "every value is 4 times what is expected; first at [0, 0]: 4 where 1 is expected"),
        (TABLE / 6, TABLE, "every value is 1/6 times what is expected"),
        (TABLE * -0.5, TABLE, "every value is −1/2 times what is expected"),
        (TABLE * 2**0.5, TABLE, "every value is 1.4142 times what is expected"),
        (TABLE - 0.5, TABLE, "every value is too small by 0.5"),
        (TABLE[::-1, ::-1], TABLE, "the same values in reverse order"),
        (TABLE[::-1], TABLE, "the same values in another order; first at [0, 0]: 4 where 1 is expected"),
        (TABLE[:, :2].T, TABLE[:, :2], "the array is transposed"),
        (TABLE * np.array([1, 1, np.nan]), TABLE, "2 of 6 entries are NaN where a finite number is expected"),
        (TABLE + np.array([0, 0, 1]), TABLE, "2 of 6 entries differ; first at [0, 2]: 4 where 3 is expected"),
        (TABLE <= 2, TABLE > 2, "every truth value is the opposite"),
        (TABLE.astype("float32") * 1.001, TABLE, "every value is 1.001 times"),
        (np.array([2.0, 1.0]).view(np.recarray), TABLE[0, :2], "recarray` where an array of shape (2,) is expected"),
        (np.array(["a"]), np.array(["b"]), "'a' where 'b' is expected"),
        (torch.tensor([1]), torch.tensor([1.0]), "whole numbers (int64) where floats (float32) are expected"),
        (torch.ones(2, 3), torch.ones(3, 2), "shape (2, 3) where (3, 2) is expected: it is transposed"),
        (torch.ones(2, device="meta"), torch.ones(2), "only one of the two has entries"),
        (FRAME[["price", "city"]], FRAME, "the columns are in another order"),
        (FRAME.rename(columns={"price": "cost"}), FRAME, "the columns: entry 1: 'cost' where 'price' is expected"),
        (FRAME.reset_index(drop=True), FRAME, "the index: entry 0: 0 where 7 is expected"),
        (FRAME.assign(price=[1, 2]), FRAME, "column 'price': whole numbers (int64) where floats"),
        (FRAME.assign(price=[1.5, 9.0]), FRAME, "column 'price': 1 of 2 entries differ; first at [1]: 9 where 2.5"),
        (FRAME.assign(city=["Ames", None]), FRAME, "column 'city': entry 1: None where a string is expected"),
        (FRAME.price * 2, FRAME.price, "every value is 2 times"),
        (FRAME.head(1), FRAME, "1 rows and 2 columns where 2 rows are expected"),
        (lambda: 1, 1, "a function (`<lambda>`) where a number is expected"),
        (int, 1, "the class `int` itself where a number is expected"),
    ],
)
def test_a_difference_is_named(given, expected, said):
    assert said in difference(given, expected)


def test_item_is_advised_only_where_it_would_work():
    assert difference(TABLE, 2.0) == "an array of shape (2, 3) where a number is expected"


@pytest.mark.parametrize("expected", [1.0, True, "x", None, [1], (1,), {"a": 1}, {1}, TABLE, FRAME, torch.ones(2)])
@pytest.mark.parametrize("impostor", [AlwaysEqual(), Pretender(), [AlwaysEqual()], {"a": AlwaysEqual()}])
def test_no_object_passes_by_claiming_to_be_equal(impostor, expected):
    assert difference(impostor, expected)


@pytest.mark.parametrize("expected", [np.array([1.0, 2.0]), np.array(["a", "b"]), np.array([1, "a"], dtype=object)])
def test_no_array_passes_by_entries_that_claim_to_be_equal(expected):
    assert difference(np.array([AlwaysEqual(), AlwaysEqual()]), expected)


def test_a_dict_key_that_claims_to_be_equal_is_named():
    class Key(str):
        def __eq__(self, other):
            return True

        def __hash__(self):
            return hash("a")

    assert "as a key" in difference({Key("z"): 1}, {"a": 1})


def test_the_tolerance_is_the_exercises_own():
    assert difference(1.001, 1.0)
    assert difference(1.001, 1.0, relative=1e-2) == ""
    assert difference(1e-12, 0.0) == ""
    assert difference(1e-12, 0.0, absolute=0.0)


def test_a_float32_sum_passes_and_a_wrong_one_of_the_same_width_does_not():
    values = np.random.default_rng(3).normal(size=(50, 1000))
    assert difference(values.astype("float32").sum(axis=1), values.sum(axis=1)) == ""
    assert difference(values[:, 1:].astype("float32").sum(axis=1), values.sum(axis=1))


def test_two_numbers_that_look_alike_are_shown_with_all_their_digits():
    assert difference(1.00001, 1.000013) == "1.00001 where 1.000013 is expected"


def test_long_values_are_shown_short():
    assert short(np.zeros((100, 5))).startswith("array of shape (100, 5), float64: [[0.")
    assert len(short(np.zeros((10_000, 5)))) <= len(short(np.zeros((100, 5)))) + 2
    assert len(short(np.zeros((8, 8, 8, 8)))) < 250
    assert short(list(range(1000))) == "[0, 1, 2, 3, 4, 5, … (1000 entries)]"
    assert short("x" * 500).endswith("… (500 characters)")
    assert short({"a": [[1]]}) == "{'a': [a list of 1]}"
    assert short((1,)) == "(1,)"
    assert "Pretender" in short(Pretender())
    assert short(FRAME) == "DataFrame of 2 rows, columns 'city', 'price'"


@pytest.mark.parametrize("given", [5e11 + 1j, 5e11 + 0j])
def test_a_complex_number_is_no_real_one_however_small_its_imaginary_part(given):
    assert "5e+11+" in difference(given, 5e11).replace("(", "")
    assert difference(given, 5e11 + 0j) == ""

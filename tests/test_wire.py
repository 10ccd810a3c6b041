"""Values that cross into the sandbox and back, and bytes that only pretend to be some."""

import collections
import datetime
import json
import math
import random
from contextlib import suppress

import numpy as np
import pytest
import torch

from course_utils.learn.attempt import cases_of, our_outcomes
from course_utils.learn.catalog import exercise_modules, exercises_of
from course_utils.learn.compare import difference
from course_utils.learn.kinds import Foreign, kind_of, words
from course_utils.learn.wire import WireError, decode, encode
from course_utils.learn.wire_limits import MOST_KEYS, MOST_VALUES, TORCH_TYPES

EXERCISES = {id: one for lesson in exercise_modules() for id, one in exercises_of(lesson).items()}
PLAIN = [
    *(None, True, False, 0, -1, 2**63, -(10**5000), 1.5, 0.1, 5e-324, 1 + 2j, complex(-0.0, math.inf)),
    *("", "é\n\0", "😀", "\ud800", "\ud83d\ude00", b"", b"\n\0\xff"),
    *([], (), {}, set(), frozenset(), [1, (2.0, [None])], {"a": {1: (2,)}, (1, "b"): [], None: 0, 1.5: True}),
    *({1, "a", (2, frozenset([3]))}, frozenset([1])),
    *(datetime.date(2024, 2, 29), datetime.datetime(2024, 2, 29, 1, 2, 3, 4), datetime.timedelta(-3, 5, 7)),
    datetime.datetime(2024, 1, 1, fold=1, tzinfo=datetime.timezone(datetime.timedelta(hours=-3))),
]
NUMPY_TYPES = [
    *("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "g", "F", "D"),
    *(">i4", ">f8", "U3", ">U2", "S4", "M8[D]", "M8[ns]", "M8[25s]", "m8[us]"),
]


def exact(value):
    """The value's type and content all the way down, as text; NaN, −0.0 and the order of keys included."""
    if type(value) in (list, tuple):
        return type(value), [exact(entry) for entry in value]
    if type(value) is dict:
        return dict, [exact(pair) for pair in value.items()]
    if type(value) in (set, frozenset):
        return type(value), sorted(repr(exact(entry)) for entry in value)
    if isinstance(value, torch.Tensor):
        return "tensor", value.dtype, tuple(value.shape), value.device.type, str(value.tolist())
    if isinstance(value, np.ndarray | np.generic):
        return type(value), value.dtype, value.shape, value.tobytes()
    return type(value), hex(value) if type(value) is int else ascii(value)


@pytest.mark.parametrize("value", PLAIN, ids=range(len(PLAIN)))
def test_a_plain_value_comes_back_exactly(value):
    assert exact(decode(encode(value))) == exact(value)


def test_floats_without_a_decimal_name_come_back_exactly():
    assert math.isnan(decode(encode(math.nan)))
    assert decode(encode([math.inf, -math.inf])) == [math.inf, -math.inf]
    assert math.copysign(1, decode(encode(-0.0))) == -1


@pytest.mark.parametrize("dtype", NUMPY_TYPES)
def test_arrays_and_scalars_of_every_dtype_come_back_exactly(dtype):
    dtype = np.dtype(dtype)
    flat = np.array(["", "é", "abc"] if dtype.kind == "U" else [b"", b"a", b"xyz"] if dtype.kind == "S" else [0, 1, 2])
    flat = flat.astype(dtype)
    for array in (flat, flat[::-1], flat[:0], flat.reshape(3, 1), np.stack([flat] * 2).T, flat[1:2].reshape(())):
        assert exact(decode(encode(array))) == exact(array)
    assert exact(decode(encode(flat[1]))) == exact(flat[1])
    decoded = decode(encode(flat))
    decoded[...] = flat[0]  # an attempt may write into its input


@pytest.mark.parametrize("name", TORCH_TYPES)
def test_tensors_of_every_dtype_come_back_exactly(name):
    flat = torch.tensor([0, 1, 2]).to(getattr(torch, name))
    for tensor in (flat, flat[:0], flat.reshape(3, 1), flat[1], flat[:1].expand(2, 4)):
        assert exact(decode(encode(tensor))) == exact(tensor)


def test_a_tensors_history_stays_behind():
    weight = torch.nn.Parameter(torch.ones(2))
    decoded = decode(encode([weight, weight * 2, torch.tensor([1 + 2j]).conj(), torch.empty(3, device="meta")]))
    assert [one.requires_grad for one in decoded] == [False] * 4
    assert decoded[2].tolist() == [1 - 2j]
    assert decoded[3].is_meta and decoded[3].shape == (3,)


class Agreeable(list):
    def __eq__(self, other):
        return True

    __hash__ = None


@pytest.mark.parametrize(
    "value",
    [
        *(Agreeable(), collections.OrderedDict(a=1), collections.Counter(), range(3), object(), int, len, ...),
        *(np.array([None]), np.zeros(2, dtype="i4,f8"), np.ma.array([1]), np.float64, np.void(b"a")),
        *(torch.nn.Linear(1, 1), torch.eye(2).to_sparse(), (entry for entry in ())),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_of_no_known_type_arrives_as_words_that_equal_nothing(value):
    [decoded] = decode(encode([value]))
    assert type(decoded) is Foreign
    assert (kind_of(decoded), words(decoded)) == ("other", words(value)[:200])
    assert decoded != decode(encode([value]))[0]
    assert difference(decoded, [], 1e-6, 1e-9)
    with pytest.raises(WireError, match="cannot be sent"):
        encode({"a": (value,)}, known_only=True)


def test_an_object_that_cannot_even_be_described_arrives_too():
    class Nameless(type):
        __module__ = property(lambda cls: 1 / 0)

    assert type(decode(encode(Nameless("x", (), {})()))) is Foreign


@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES)
def test_the_cases_and_the_answers_of_every_exercise_come_back(exercise):
    cases = cases_of(exercise, 11)
    for case in cases:
        sent = [list(case.args), dict(case.kwargs)]
        assert exact(decode(encode(sent, known_only=True))) == exact(sent)
    for solution in (exercise.reference, *(mistake.solution for mistake in exercise.mistakes)):
        for outcome in our_outcomes(exercise, solution, cases):
            sent = vars(outcome)
            assert exact(decode(encode(sent, known_only=True))) == exact(sent)


def cycle():
    entries = []
    entries.append(entries)
    return entries


def doubling():
    entries = []
    for _ in range(40):
        entries = [entries, entries]
    return entries


@pytest.mark.parametrize(
    "value",
    [
        *(
            cycle(),
            doubling(),
            list(range(MOST_VALUES)),
            set(range(MOST_KEYS + 1)),
            [set(range(MOST_KEYS // 2 + 1))] * 2,
            "x" * 2_000_000,
        ),
        *(np.broadcast_to(1.0, (10**6, 10**6)), torch.ones(1).expand(10**12), b"x" * 2_000_000, np.zeros(200_000)),
    ],
    ids=["cycle", "doubling", "entries", "keys", "keys of two", "text", "array", "tensor", "bytes", "many bytes"],
)
def test_what_is_too_large_is_refused_before_it_is_copied(value):
    with pytest.raises(WireError, match="more than"):
        encode(value, limit_bytes=10**6)


def message(tree, data=b""):
    return json.dumps([tree]).encode() + b"\n" + data


BAD = {
    "nothing": b"",
    "no header": b"[1]",
    "no JSON": b"{\n",
    "a dict": b'[{"a": 1}]\n',
    "two values": b"[1, 2]\n",
    "no UTF": b'["\xff"]\n',
    "data for nobody": message(1, b"x"),
    "deep": b"[" * 100_000 + b"]" * 100_000 + b"\n",
    "deep lists": b'["list",[' * 2_000 + b"]]" * 2_000 + b"\n",
    "an endless number": b"[" + b"9" * 100_000 + b"]\n",
    "keys of two sets": message(["list", [["set", [n + i for i in range(6_000)]] for n in (0, 6_000)]]),
    "an unknown tag": message(["object", 1]),
    "a tag that is a list": message([["list"], []]),
    "a list of text": message(["list", "abc"]),
    "a pair of three": message(["dict", [[1, 2, 3]]]),
    "a key twice": message(["dict", [[1, 2], [1, 3]]]),
    "an entry twice": message(["set", [1, 1]]),
    "a list as key": message(["dict", [[["list", []], 1]]]),
    "less bytes": message(["bytes", 5], b"abc"),
    "negative bytes": message(["bytes", -1], b"abc"),
    "a 10 GB array": message(["array", ["<f8", [1_250_000_000], 10**10]], b"0123456789"),
    "a size of its own": message(["array", ["<f8", [1_250_000_000], 10]], b"0123456789"),
    "an overflow": message(["array", ["<f8", [2**32, 2**32], 0]]),
    "a negative shape": message(["array", ["<f8", [-1, -1], 8]], bytes(8)),
    "a shape of floats": message(["array", ["<f8", [1.0], 8]], bytes(8)),
    "true as length": message(["array", ["<f8", [True], 8]], bytes(8)),
    "objects": message(["array", ["|O", [1], 8]], bytes(8)),
    "records": message(["array", ["i4,i4", [1], 8]], bytes(8)),
    "void": message(["array", ["|V8", [1], 8]], bytes(8)),
    "nothing, often": message(["array", ["<U0", [10**12], 0]]),
    "a crooked truth value": message(["array", ["|b1", [1], 1]], b"\2"),
    "a crooked torch truth value": message(["tensor", ["bool", [1], 1]], b"\2"),
    "no character": message(["array", ["<U1", [1], 4]], b"\xff\xff\xff\xff"),
    "a torch attribute": message(["tensor", ["nn", [1], 4]], bytes(4)),
    "a 10 GB tensor": message(["tensor", ["uint8", [10**10], 10]], bytes(10)),
    "many axes": message(["array", ["<f8", [1] * 40, 8]], bytes(8)),
    "a quantity of nothing": message(["meta", ["float32", [2**62, 2**62]]]),
    "a wrong date": message(["date", "2024-02-30"]),
    "long words": message(["other", "x" * 1000]),
    "words of no text": message(["other", 5]),
    "many commas": b"[" + b"1," * 2_000_000 + b"1]\n",
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_what_is_no_message_is_a_wire_error(data):
    with pytest.raises(WireError):
        decode(data)


def test_a_message_over_the_limit_is_refused_unread():
    with pytest.raises(WireError, match="more than 3 bytes"):
        decode(encode(1), limit_bytes=3)


def test_words_that_came_over_the_wire_hold_no_control_characters():
    assert decode(message(["other", "a\x1b[31m\n\u202eb"])).said == "a [31m  b"


def test_flipped_bytes_decode_or_are_a_wire_error():
    rng = random.Random(5)
    values = [*PLAIN, np.arange(6.0).reshape(2, 3), np.array(["a", "bc"]), np.float32(2), np.array([True])]
    values += [torch.ones(2, 3, dtype=torch.bfloat16), torch.tensor([True]), [np.zeros(3), torch.zeros(2), "x"]]
    whole = [encode(value) for value in [*values, values]]
    for _ in range(4_000):
        data = bytearray(rng.choice(whole))
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        if rng.random() < 0.2:
            del data[rng.randrange(len(data)) :]
        with suppress(WireError):
            decode(bytes(data))

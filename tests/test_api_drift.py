"""`course lint --api`: what the installed libraries dropped or are about to drop is found in a lesson's calls."""

import contextlib
import os
import pty
import re
import signal
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest
from notebook_maker import make

from course_utils.errors import CourseError
from course_utils.learn import catalog
from course_utils.run import api

LIBRARY = '''
"""A library in a version that dropped some things and is about to drop others."""
import functools, warnings
from dataclasses import dataclass
from typing import Self
from typing_extensions import deprecated

def deprecate_kwarg(old, new_name):
    def decorate(function):
        @functools.wraps(function)
        def wrapped(*args, **kwargs):
            return function(*args, **kwargs)
        return wrapped
    return decorate

def deprecate(name, version, message, take_from=None): ...

def train(model, *, epochs=1, rate=0.1): ...

@deprecate_kwarg("steps", new_name="epochs")
def fit(model, epochs=1, steps=None): ...

@deprecated("Use train instead.")
def learn(model): ...

def study(model):
    """Study a model.

    .. deprecated:: 1.2
        Use train.
    """

def cram(model):
    warnings.warn("`cram` is deprecated, write train.", FutureWarning)

def evaluate(model, metric="deprecated"): ...

def score(model, kind=None):
    """Score a model.

    Parameters
    ----------
    kind : str
        .. deprecated:: 1.1
            `kind` goes; write a metric.
    """

def outer(model, **kwargs):
    return train(model, **kwargs)

def draw(model, **kwargs):
    size = kwargs.pop("size", 1)
    if "frame" in kwargs:
        deprecate("frame", "2.0", "Pass `border` instead of `frame`.", take_from=kwargs)

def swallow(model, **kwargs):
    unknown_place[0](**kwargs)

class Model:
    def __init__(self, width, depth=1):
        self.width = width

    @classmethod
    def load(cls, path, *, device="cpu") -> Self: ...

    def to(self, device) -> Self: ...

    def count(self): ...

class Net:
    @deprecated("Write forward.")
    def step_once(self): ...

@dataclass
class Settings:
    """Settings.

    Args:
        rate (`float`): how fast.
        speed (`float`, *optional*):
            Deprecated alias of `rate`.
    """
    rate: float = 0.1
    speed: float | None = None
'''
IMPORT = "import {0} as lib\nfrom {0} import Model, Settings"
numbers = count()


@pytest.fixture
def lesson(tmp_path, monkeypatch):
    """Makes a notebook whose cells see a library, and checks it."""
    library = f"drifting_{next(numbers)}"
    (tmp_path / f"{library}.py").write_text(LIBRARY)
    monkeypatch.syspath_prepend(str(tmp_path))
    return lambda *cells: api.check(make(tmp_path, "made_up", IMPORT.format(library), *cells).path)


def found(checked):
    return [(one.cell, one.rule, one.text.partition(".")[2]) for one in checked.problems]


@pytest.mark.parametrize(
    ("code", "rule", "text"),
    [
        ("lib.tran(1)", "name", "has no 'tran'; the nearest is 'train'"),
        ("Model(3).too(1)", "name", "Model has no 'too'; the nearest is 'to'"),
        ("Model.load('x').to('cpu').size()", "name", "has no 'size'"),
        ("lib.train(1, epoch=3)", "keyword", "train takes no keyword 'epoch'; the nearest is 'epochs'"),
        ("Model(3, wide=4)", "keyword", "Model takes no keyword 'wide'; the nearest is 'width'"),
        ("Model.load('x', devise=1)", "keyword", "load takes no keyword 'devise'; the nearest is 'device'"),
        ("m = Model(3)\nm.to(1, copy=True)", "keyword", "to takes no keyword 'copy'"),
        ("def go(m: Model):\n    return m.to(1, copy=True)", "keyword", "to takes no keyword 'copy'"),
        ("lib.outer(1, epoch=3)", "keyword", "outer takes no keyword 'epoch'; the nearest is 'epochs'"),
        ("lib.train(1, 3)", "arguments", "train takes 1 arguments by position, not 2"),
        ("Model(depth=2)", "arguments", "Model needs 'width'"),
        ("lib.learn(1)", "deprecated", "learn is deprecated: Use train instead."),
        ("lib.study(1)", "deprecated", "study is deprecated: since 1.2 Use train."),
        ("lib.cram(1)", "deprecated", "cram is deprecated: `cram` is deprecated, write train."),
        ("lib.fit(1, steps=3)", "deprecated", "fit(steps=…) is deprecated: write 'epochs'"),
        ("lib.fit(1, 2, 3)", "deprecated", "fit(steps=…) is deprecated: write 'epochs'"),
        ("lib.evaluate(1, metric='a')", "deprecated", "its default is 'deprecated': leave it out"),
        ("lib.score(1, kind='a')", "deprecated", "`kind` goes; write a metric."),
        ("lib.draw(1, frame=2)", "deprecated", "Pass `border` instead of `frame`."),
        ("Settings(speed=3)", "deprecated", "Deprecated alias of `rate`."),
        ("def go(net):\n    net.step_once()", "deprecated", "step_once is deprecated: Write forward."),
    ],
)
def test_drift_is_found(lesson, code, rule, text):
    [problem] = lesson(code).problems
    assert (problem.cell, problem.rule) == (4, rule)
    assert problem.text.endswith(text) or text in problem.text


@pytest.mark.parametrize(
    "code",
    [
        "lib.train(1, epochs=3)",
        "lib.fit(1, 3)",
        "lib.outer(1, rate=3)",
        "lib.draw(1, size=2)",
        "lib.evaluate(1)",
        "Settings(rate=3)",
        "Model.load('x', device='cpu').to(1).count()",
        "print(Model(3).width)",
        "lib.train(*[1], **{'epochs': 2})",
        "class Net:\n    def step_once(self): ...\nNet().step_once()",
        "Model = 3\nModel.too",
    ],
)
def test_what_is_still_right_is_left_alone(lesson, code):
    assert found(lesson(code)) == []


def test_a_name_that_an_import_no_longer_finds_is_a_problem(lesson):
    problems = lesson("import email.message\nfrom email import massage", "import email.massage").problems
    assert [(one.cell, one.rule, one.text) for one in problems] == [
        (4, "name", "email has no 'massage'; the nearest is 'message'"),
        (5, "name", "there is no module email.massage; the nearest is 'email.message'"),
    ]


def test_what_cannot_be_checked_is_counted_and_listed(lesson):
    checked = lesson("def go(thing):\n    thing.move()", "lib.swallow(1, depth=2)", "print(len('a'))")
    assert (checked.problems, checked.calls) == ((), 1)
    assert checked.unknown == ("cell 4: thing.move",)
    assert [one.partition(".")[2] for one in checked.partly] == ["swallow(depth=…)"]
    assert list(api._details("a.ipynb", checked))[0] == "a.ipynb: cell 4: thing.move: not resolvable"


def test_a_name_bound_to_two_things_is_not_guessed(lesson):
    checked = lesson("m = Model(3)\nm = lib.Net()\ndef go():\n    m.too()", "m.too()")
    assert found(checked) == [(5, "name", "Net has no 'too'")]
    assert checked.unknown == ("cell 4: m.too",)


def test_a_library_that_is_not_installed_is_named_with_the_command(tmp_path):
    lesson = make(tmp_path, "made_up", "import absent_library", course={"extra": "llm"})
    with pytest.raises(CourseError, match="made_up imports absent_library, which is not .* make extra NAME=llm"):
        api.check(lesson.path)


REAL = {
    "import torch\ntorch.rand(3, dvice='cpu')": "torch.rand takes no keyword 'dvice'; the nearest is 'device'",
    "import torch\ntorch.rand(3).softmax(dimm=1)": "torch.Tensor.softmax takes no keyword 'dimm'; the nearest is 'dim'",
    "import torch\ntorch.cuda.amp.GradScaler()": "Please use `torch.amp.GradScaler('cuda', args...)` instead.",
    "import numpy as np\nnp.in1d([1], [2])": "numpy has no 'in1d'",
    "from sklearn.linear_model import LogisticRegression\nLogisticRegression(multi_class='ovr')": "no keyword 'multi_class'",
    "from sklearn.linear_model import LogisticRegression\nLogisticRegression(penalty='l1')": "leave it out",
    "from trl import SFTConfig\nSFTConfig(max_seq_length=9)": "takes no keyword 'max_seq_length'; the nearest is 'max_length'",
    "from trl import SFTConfig\nSFTConfig(gradient_checkpointing=True)": "Deprecated alias of `activation_checkpointing`",
    "import transformers\ndef go(bot):\n    bot.gradient_checkpointing_enable()": "`activation_checkpointing_enable` instead",
    "from openai import OpenAI\nOpenAI().chat.completions.create(model='a', messages=[], functions=[])": "in favor of `tools`",
}


@pytest.mark.slow
@pytest.mark.parametrize("code", REAL, ids=lambda code: code.splitlines()[-1].strip())
def test_drift_of_the_real_libraries_is_found(tmp_path, code):
    [problem] = api.check(make(tmp_path, "made_up", code).path).problems
    assert REAL[code] in problem.text


@pytest.mark.slow
def test_the_installed_libraries_take_every_call_of_the_lessons():
    done = subprocess.run(
        [Path(sys.executable).with_name("course"), "lint", "--api"], capture_output=True, text=True, timeout=240
    )
    assert (done.returncode, done.stderr) == (0, ""), done
    assert done.stdout.endswith("The installed libraries take every call that was checked.\n")
    calls, checked = [int(word) for word in done.stdout.split() if word.isdigit()][:2]
    assert checked > calls / 2 > 50 * len(catalog.lessons())


@pytest.mark.slow
def test_on_a_terminal_the_check_shows_how_far_it_is_and_ctrl_c_ends_it_with_one_sentence():
    screen, terminal = pty.openpty()
    command = [Path(sys.executable).with_name("course"), "lint", "--api"]
    checking = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=terminal, text=True, env={**os.environ, "TERM": "xterm"}
    )
    os.close(terminal)
    shown = ""
    while not re.search(r"checking calls.* [1-9]/\d", shown):
        shown += os.read(screen, 65536).decode(errors="replace")
    checking.send_signal(signal.SIGINT)
    assert (checking.communicate(timeout=60)[0], checking.returncode) == ("", 130)
    with contextlib.suppress(OSError):  # Linux's way to say that the other end is closed
        while more := os.read(screen, 65536):
            shown += more.decode(errors="replace")
    assert shown.rstrip().endswith("goes on from there.") and "Traceback" not in shown

"""The process of `course plan`, which leaves out what a plan never runs, answers as a whole one does."""

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow
SLIM = "from course_utils.cli import main; main()"
WHOLE = """import json, sys
from typer.testing import CliRunner
from course_utils.cli import app
answers = [CliRunner().invoke(app, ["plan", *words.split(), "--json"]).stdout for words in sys.argv[1:]]
print(json.dumps([json.loads(one) for one in answers]))"""
PLANS = (
    "tinyllama --qlora --seq 256 --optimizer paged-adamw-8bit",
    "smollm2-135m --train --optimizer adafactor",
    "sd-1.5 --size 256",
    "resnet18 --train --amp",
)


def answer(program, *words):
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def without_seconds(plan):
    return {name: value for name, value in plan.items() if "seconds" not in name}


@pytest.fixture(scope="module")
def whole():
    """What one process that has imported everything answers."""
    return dict(zip(PLANS, answer(WHOLE, *PLANS), strict=True))


@pytest.mark.parametrize("words", PLANS)
def test_a_process_without_the_unused_parts_gives_the_same_plan(words, whole):
    slim = answer(SLIM, "plan", *words.split(), "--json")
    assert without_seconds(slim) == without_seconds(whole[words])


def test_it_leaves_out_what_takes_longest():
    program = f"import sys\nsys.argv[1:] = ['plan', 'distilbert']\ntry:\n    {SLIM}\nexcept SystemExit:\n    print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program.replace("; ", "\n    ")], capture_output=True, text=True)
    for name in (
        "torch._dynamo.symbolic_convert",
        "torch.distributed.tensor._ops",
        "torch._inductor.lowering",
        "scipy",
    ):
        assert f"'{name}'" not in done.stdout
    assert "'transformers.modeling_utils'" in done.stdout


def test_used_as_a_library_nothing_is_left_out():
    program = "from course_utils.gpu.plan import command; command.answer('distilbert')\nimport torch._dynamo\nprint(torch._dynamo.optimize, torch.compile.__module__)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "function optimize" in done.stdout and done.stdout.rstrip().endswith("torch")

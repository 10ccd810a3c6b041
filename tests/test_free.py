"""`free()` in a real IPython shell on real tensors: eight ways of losing memory, each freed or named."""

import gc

import pytest

from course_utils.gpu.memory import Reading
from course_utils.gpu.oom import holders, leftovers
from course_utils.gpu.oom.free import Freed, free, still_held

MIB = 1024**2


@pytest.fixture(scope="module")
def one_shell():
    from IPython.core.interactiveshell import InteractiveShell

    InteractiveShell.clear_instance()
    yield InteractiveShell.instance()
    InteractiveShell.clear_instance()


@pytest.fixture
def shell(one_shell):
    """A real IPython shell, emptied, whose cells have torch and `seen`, a dict for weak references to their tensors."""
    one_shell.run_cell("import torch, weakref\nseen = {}", store_history=True)
    yield one_shell
    one_shell.reset()


MAKE = """
def make(name, size=512):
    tensor = torch.ones(size, size)
    seen[name] = weakref.ref(tensor)
    return tensor
"""


def fail(shell, code):
    """Run a cell that must fail, and the names of the tensors that it leaves alive."""
    shell.run_cell(MAKE, store_history=True)
    result = shell.run_cell(code, store_history=True)
    assert result.error_in_exec is not None, "the cell was meant to fail"
    del result
    return alive(shell)


def alive(shell):
    return {name for name, ref in shell.user_ns["seen"].items() if ref() is not None}


def names(freed):
    return " | ".join(name for held in freed.held for name in held.names)


def test_nested_functions_are_freed(shell):
    code = "def inner():\n    a = make('inner')\n    1 / 0\ndef outer():\n    b = make('outer')\n    inner()\nouter()"
    assert fail(shell, code) == {"inner", "outer"}
    freed = free()
    assert alive(shell) == set()
    assert freed.dropped == ("the traceback of ZeroDivisionError",)


def test_both_ends_of_raise_from_are_freed(shell):
    code = (
        "def cause():\n    a = make('cause')\n    1 / 0\n"
        "def effect():\n    b = make('effect')\n    try:\n        cause()\n"
        "    except ZeroDivisionError as error:\n        raise ValueError('no') from error\neffect()"
    )
    assert fail(shell, code) == {"cause", "effect"}
    free()
    assert alive(shell) == set()


def test_a_generator_in_a_failed_function_is_freed_and_one_in_a_variable_is_named(shell):
    code = (
        "def numbers(name):\n    a = make(name)\n    yield 1\n    yield a\n"
        "def use():\n    inner = numbers('failed')\n    next(inner)\n    1 / 0\n"
        "kept = numbers('kept')\nnext(kept)\nuse()"
    )
    assert fail(shell, code) == {"failed", "kept"}
    freed = free()
    assert alive(shell) == {"kept"}
    assert "`kept` (frame of generator numbers)" in names(freed)


def test_a_closure_is_named_by_its_function(shell):
    code = "def outer():\n    a = make('closed')\n    def add(x):\n        return a + x\n    return add\nadd_big = outer()\nadd_big('x')"
    assert fail(shell, code) == {"closed"}
    assert "`add_big` (closure of outer.<locals>.add)" in names(free())
    assert alive(shell) == {"closed"}


def test_outputs_with_tensors_are_freed_and_other_outputs_stay(shell):
    shell.run_cell(MAKE, store_history=True)
    shell.run_cell("40 + 2", store_history=True)
    number = shell.execution_count - 1
    shell.run_cell("[make('out')]", store_history=True)
    gc.collect()
    assert alive(shell) == {"out"}
    freed = free()
    assert alive(shell) == set() and freed.dropped == (f"Out[{number + 1}]",)
    assert shell.user_ns["Out"] == {number: 42} and shell.user_ns[f"_{number}"] == 42
    shell.run_cell("6 * 7", store_history=True)
    assert shell.run_cell("_ + 1", store_history=True).result == 43, "_ still works"


def test_what_a_logger_keeps_is_freed_or_named(shell):
    code = (
        "import logging, logging.handlers\nlog = logging.getLogger('course.test')\nlog.propagate = False\n"
        "log.addHandler(logging.handlers.MemoryHandler(100, flushLevel=99))\n"
        "def step():\n    a = make('traceback')\n    try:\n        1 / 0\n    except ZeroDivisionError:\n"
        "        log.exception('failed')\n        raise\n"
        "log.error('bad batch %s', make('argument'))\nstep()"
    )
    assert fail(shell, code) == {"traceback", "argument"}
    freed = free()
    assert alive(shell) == {"argument"}
    assert "logger 'course.test', MemoryHandler" in names(freed)
    shell.user_ns["log"].handlers.clear()


def test_the_callback_of_a_widget_is_named_and_its_traceback_is_freed(shell):
    code = (
        "import ipywidgets\ndef show():\n    a = make('callback')\n    button = ipywidgets.Button()\n"
        "    def clicked(_):\n        b = make('clicked')\n        return a + 'x'\n"
        "    button.on_click(clicked)\n    button.click()\nshow()"
    )
    # ipywidgets shows the error of a callback itself, and the cell goes on.
    shell.run_cell(MAKE + code, store_history=True)
    gc.collect()
    assert alive(shell) == {"callback", "clicked"}
    freed = free()
    assert alive(shell) == {"callback"}
    assert "callback of the widget Button, closure of show.<locals>.clicked" in names(freed)
    shell.user_ns["ipywidgets"].Widget.close_all()


def test_the_batch_of_a_data_loader_is_freed_and_its_data_set_is_named(shell):
    code = (
        "from torch.utils.data import DataLoader, TensorDataset\n"
        "loader = DataLoader(TensorDataset(make('data')), batch_size=256)\n"
        "def epoch():\n    for batch, in loader:\n        seen['batch'] = weakref.ref(batch)\n        batch @ torch.ones(3)\n"
        "epoch()"
    )
    assert fail(shell, code) == {"data", "batch"}
    freed = free()
    assert alive(shell) == {"data"}
    assert "`loader`" in names(freed)


def test_memory_really_goes_back_and_the_words_say_how_much(shell, capsys):
    code = "def step():\n    a = make('a', 8192)\n    1 / 0\nstep()"
    assert fail(shell, code) == {"a"}
    capsys.readouterr()
    freed = free()
    assert freed.back_bytes > 0.9 * 256 * MIB, "256 MiB of float32 were freed"
    assert "of RAM came back. Let go of the traceback of ZeroDivisionError." in capsys.readouterr().out


def test_a_parameter_is_named_by_its_model_with_its_shape_and_type(shell):
    shell.run_cell("model = torch.nn.Sequential(torch.nn.Linear(600, 700))\nnames = [model]", store_history=True)
    line = next(one for one in free().still() if "700×600" in one)
    assert line.startswith("  `model`, `names`: 1.60 MiB in 2 tensors, the largest 700×600 float32 on cpu (1.60 MiB)")


def test_an_exception_that_the_user_keeps_is_left_alone_and_named(shell):
    code = "def step():\n    a = make('a')\n    1 / 0\ntry:\n    step()\nexcept Exception as error:\n    kept = error\n    raise"
    assert fail(shell, code) == {"a"}
    assert "`kept` (traceback of ZeroDivisionError)" in names(free())
    assert shell.user_ns["kept"].__traceback__ is not None


def test_inside_except_the_failed_functions_are_emptied_and_the_error_can_go_on(shell):
    shell.run_cell(MAKE, store_history=True)
    shell.user_ns["free"] = free
    code = "def step():\n    a = make('a')\n    1 / 0\ntry:\n    step()\nexcept Exception:\n    free()\n    gone = seen['a']() is None\n    raise"
    result = shell.run_cell(code, store_history=True)
    assert shell.user_ns["gone"]
    assert isinstance(result.error_in_exec, ZeroDivisionError) and result.error_in_exec.__traceback__ is not None


def test_a_local_variable_of_a_running_function_is_named_and_not_kept(shell):
    shell.user_ns["free"] = free
    code = "def train():\n    batch = make('batch')\n    freed = free()\n    del batch\n    return freed, seen['batch']() is None\n"
    shell.run_cell(MAKE + code + "freed, gone = train()", store_history=True)
    assert "local variable batch of train(), which is running" in names(shell.user_ns["freed"])
    assert shell.user_ns["gone"], "looking at the function's variables kept none of them alive"


def test_the_users_variables_stay_as_they_are(shell):
    shell.run_cell("x = torch.ones(3)\ntexts = ['a']", store_history=True)
    shell.run_cell("torch.zeros(2)", store_history=True)
    shell.run_cell("for _ in [torch.zeros(2)]:\n    pass", store_history=True)
    before = {name: shell.user_ns[name] for name in ("x", "_", "texts", "torch")}
    assert free().dropped == (f"Out[{shell.execution_count - 2}]",)
    assert all(shell.user_ns[name] is value for name, value in before.items())


def test_small_blocks_go_back_to_the_system_too(shell):
    # A block that stays at the heap's end pins all the free ones below it, until the heap is trimmed.
    code = "def step():\n    held = [torch.ones(10_000) for _ in range(5000)]\n    pin.append(torch.ones(10_000))\n    1 / 0\npin = []\nstep()"
    fail(shell, code)
    assert free().back_bytes > 0.8 * 5000 * 40_000


def test_variables_with_a_backward_graph_are_pointed_out(shell):
    shell.run_cell("w = torch.ones(9, requires_grad=True)\nlosses = [(w * 2).sum()]\nfine = [1.0]", store_history=True)
    freed = free()
    assert freed.graphs == ("`losses`",)
    assert "Activations hang on `losses`, for a backward pass" in repr(freed)


def test_a_class_and_a_module_are_named_too():
    import torch

    class Config:
        table = torch.ones(300, 300)

    words = holders.hidden_holder(Config.table)
    assert words.startswith("class test_a_class_and_a_module_are_named_too.<locals>.Config")


def test_on_a_card_the_tensors_count_and_not_the_ram():
    before = Reading(5 * MIB, 8 * MIB, None, None, None, None, 100)
    after = Reading(2 * MIB, 2 * MIB, None, None, None, None, 100)
    freed = Freed(before, after, (), (), (), 0.1)
    assert freed.back_bytes == 3 * MIB
    lines = repr(freed).splitlines()
    assert lines[0] == "3.00 MiB of the card came back. No traceback and no output held any tensor."
    assert lines[1:3] == ["  tensors: 5.00 MiB → 2.00 MiB", "  with torch's cache: 8.00 MiB → 2.00 MiB"]


def test_it_says_so_when_nothing_came_back():
    same = Reading(None, None, None, None, None, None, 100 * MIB)
    assert repr(Freed(same, same, (), (), (), 0.1)).startswith("Nothing came back (less than 1 MiB).")


def test_the_result_is_not_shown_twice_in_the_cell_that_printed_it(shell, capsys):
    freed = free()
    capsys.readouterr()
    freed._ipython_display_()
    assert capsys.readouterr().out == ""
    shell.execution_count += 1
    freed._ipython_display_()
    assert capsys.readouterr().out.startswith(("Nothing came back", repr(freed).split()[0]))


def test_a_large_notebook_does_not_make_the_walk_endless(shell):
    shell.user_ns["many"] = [[number] for number in range(100_000)]
    held, _ = still_held(shell.user_ns, shell.user_ns_hidden, "cpu")
    assert all("`many`" not in one.names for one in held)


def test_an_exception_group_gives_all_its_members():
    inner = ValueError("a")
    group = ExceptionGroup("several", [inner, KeyError("b")])
    assert leftovers.chain(group)[0] is group and inner in leftovers.chain(group) and len(leftovers.chain(group)) == 3


def test_a_cycle_of_causes_ends():
    one, two = ValueError(1), ValueError(2)
    one.__context__, two.__context__ = two, one
    assert {id(each) for each in leftovers.chain(one)} == {id(one), id(two)}

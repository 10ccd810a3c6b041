"""Out of memory in a cell: recognised, explained, freed; still a failed cell. Every other error looks as before."""

import gc
import subprocess
import sys
from textwrap import dedent

import pytest

from course_utils.gpu import memory
from course_utils.gpu.device import GIB
from course_utils.gpu.oom import breakdown, oom, oom_html
from course_utils.gpu.oom.remedies import rank

MIB = 1024**2
TOO_MUCH = 10**15  # 4 PB of float32: more than an address space, so no machine grants it
# The allocator's own words, put together as c10/cuda/CUDACachingAllocator.cpp does.
ON_CARD = (
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 11.70 GiB of which 312.50 MiB is "
    "free. Including non-PyTorch memory, this process has 10.99 GiB memory in use. Of the allocated memory 10.00 GiB is "
    "allocated by PyTorch, and 512.00 MiB is reserved by PyTorch but unallocated. If reserved but unallocated memory …"
)
CAPPED_CARD = ON_CARD.replace("312.50 MiB is free.", "60.00 GiB is free. 11.00 GiB allowed;")


def caught(function, *arguments):
    """The error of a call that must fail."""
    with pytest.raises(Exception) as info:
        function(*arguments)
    return info.value


@pytest.fixture
def shell():
    """A real IPython shell in which the handler is installed."""
    from IPython.core.interactiveshell import InteractiveShell

    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance()
    oom.install(shell)
    yield shell
    shell.reset()
    InteractiveShell.clear_instance()


def test_real_failures_are_recognised_with_what_they_asked_for():
    import numpy
    import torch

    for error, asked in (
        (caught(torch.empty, TOO_MUCH), 4 * TOO_MUCH),
        (caught(numpy.empty, (TOO_MUCH // 5, 5)), 8 * TOO_MUCH),
        (caught(bytearray, TOO_MUCH), None),
        (torch.OutOfMemoryError(ON_CARD), 2 * GIB),
    ):
        assert oom.is_oom(error) and oom.asked_bytes(error) == asked


@pytest.mark.parametrize(
    "error",
    [RuntimeError("mat1 and mat2 shapes cannot be multiplied"), ValueError("CUDA out of memory"), RecursionError()],
)
def test_other_errors_are_not(error):
    assert not oom.is_oom(error)


def test_what_was_free_on_the_card_is_the_allocators_word_and_respects_a_cap():
    assert oom.free_bytes(RuntimeError(ON_CARD)) == int(312.5 * MIB)
    assert oom.free_bytes(RuntimeError(CAPPED_CARD)) == int(0.5 * GIB), "11 allowed − 10 allocated − 0.5 in the cache"
    assert oom.free_bytes(RuntimeError("CUDA error: out of memory")) is None


def test_the_card_is_read_from_torch_and_the_driver(monkeypatch):
    reading = memory.Reading(10 * GIB, int(10.5 * GIB), 11 * GIB, GIB, None, None, 100)
    monkeypatch.setattr(memory, "read", lambda: reading)
    monkeypatch.setattr(oom.nvml, "library", lambda: object())
    assert oom.use(RuntimeError(ON_CARD), 0) == breakdown.Use("card", 10 * GIB, GIB // 2, GIB // 2, GIB)


def test_installing_imports_no_torch_and_twice_is_once():
    code = """
        import sys
        from IPython.core.interactiveshell import InteractiveShell
        from course_utils.gpu.oom import oom
        shell = InteractiveShell.instance()
        oom.install(shell)
        handler = shell.CustomTB
        oom.install(shell)
        assert shell.CustomTB is handler
        shell.run_cell("bytearray(10**15)")
        assert "torch" not in sys.modules
    """
    done = subprocess.run([sys.executable, "-c", dedent(code)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Out of memory in RAM: the cell asked for more than there was" in done.stdout


@pytest.mark.parametrize(
    "code",
    ["1 / 0", "def f():\n    raise RuntimeError('no')\nf()", "raise NotImplementedError", "x = (", "import nowhere"],
)
def test_every_other_error_looks_exactly_as_without_the_handler(code, capsys):
    from IPython.core.interactiveshell import InteractiveShell

    seen = []
    for install in (lambda shell: None, oom.install):
        InteractiveShell.clear_instance()
        shell = InteractiveShell.instance()
        install(shell)
        capsys.readouterr()
        result = shell.run_cell(code, store_history=True)
        seen.append((capsys.readouterr().out, result.success, type(sys.last_value), shell.last_execution_succeeded))
        InteractiveShell.clear_instance()
    assert seen[0] == seen[1] and seen[0][0] and not seen[0][1]


def test_a_handler_that_was_there_before_still_gets_its_errors(capsys):
    from IPython.core.interactiveshell import InteractiveShell

    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance()
    shell.set_custom_exc(
        (KeyError, NotImplementedError), lambda self, kind, *rest, **more: print("mine:", kind.__name__)
    )
    oom.install(shell)
    shell.run_cell("{}[1]")
    shell.run_cell("raise NotImplementedError")
    InteractiveShell.clear_instance()
    assert capsys.readouterr().out == "mine: KeyError\nmine: NotImplementedError\n"


def test_a_cell_that_runs_out_gets_the_report_its_memory_and_stays_failed(shell, capsys):
    cell = (
        "import torch, weakref\nseen = []\nmodel = torch.nn.Linear(1000, 1000)\n"
        "def step(x):\n    h = model(x)\n    seen.append(weakref.ref(h))\n    return torch.empty(10**15)\n"
        "step(torch.ones(20_000, 1000))"
    )
    result = shell.run_cell(cell, store_history=True)
    text = capsys.readouterr().out
    assert isinstance(result.error_in_exec, RuntimeError) and not result.success
    assert "It failed on line 8 of this cell: `step(torch.ones(20_000, 1000))`" in text
    assert "Further in, on line 7 of this cell: `return torch.empty(10**15)`" in text
    assert "Let go of the traceback of RuntimeError." in text
    del result
    gc.collect()
    assert shell.user_ns["seen"][0]() is None
    assert "`model`: 3.82 MiB in 2 tensors, the largest 1000×1000 float32" in text, "4 × 1,001,000 bytes"


def test_a_report_that_fails_does_not_hide_the_error(shell, capsys, monkeypatch):
    monkeypatch.setattr(breakdown, "look", lambda *_: 1 / 0)
    shell.run_cell("bytearray(10**15)")
    assert "MemoryError" in capsys.readouterr().out


def test_the_breakdown_of_a_training_step_agrees_with_hand_arithmetic():
    import torch

    def look():
        gc.collect()
        use = breakdown.Use("RAM", 10 * GIB)
        names = {"model": model, "optimiser": optimiser, "batch": batch, "loss": loss} if model else {}
        return breakdown.look(use, 0, 0, names)

    model = optimiser = batch = loss = None
    before = look()
    model = torch.nn.Sequential(torch.nn.Linear(100, 100), torch.nn.BatchNorm1d(100), torch.nn.Linear(100, 10))
    optimiser = torch.optim.AdamW(model.parameters())
    batch = torch.ones(8, 100)
    parameters = 100 * 100 + 100 + 2 * 100 + 100 * 10 + 10
    fresh = look()
    assert fresh.weights_bytes - before.weights_bytes == 4 * parameters + 4 * 200 + 8, "with batch norm's three buffers"
    assert fresh.gradients_to_come_bytes - before.gradients_to_come_bytes == 4 * parameters
    assert fresh.optimiser_to_come_bytes - before.optimiser_to_come_bytes == 8 * parameters
    assert fresh.data_bytes == 4 * 800
    loss = model(batch).sum()
    loss.backward()
    optimiser.step()
    later = look()
    assert later.gradients_bytes - before.gradients_bytes == 4 * parameters
    assert later.optimiser_bytes - before.optimiser_bytes == 8 * parameters + 6 * 4, (
        "two averages, and six step counters"
    )
    assert later.gradients_to_come_bytes == before.gradients_to_come_bytes
    assert later.optimiser_to_come_bytes == before.optimiser_to_come_bytes
    assert later.adam_bytes - before.adam_bytes == 8 * parameters
    assert later.optimiser == "AdamW" and later.graph and not later.trains


@pytest.fixture
def report():
    found = breakdown.Breakdown(
        "card",
        asked_bytes=2 * GIB,
        free_bytes=GIB,
        weights_bytes=3 * GIB,
        activations_bytes=5 * GIB,
        others_bytes=2 * GIB,
        graph=True,
    )
    place = oom.Place("line 3 of this cell", "y = f('<b>')", "", "", "f()")
    return oom.Report("OutOfMemoryError", ON_CARD, found, rank(found), place, "Traceback <module>")


def test_the_html_folds_the_traceback_escapes_and_reads_well_aloud(report):
    html = oom_html.html(report)
    assert "<details><summary>Full traceback</summary><pre>Traceback &lt;module&gt;</pre></details>" in html
    assert "<code>y = f(&#x27;&lt;b&gt;&#x27;)</code>" in html and "<b>'" not in html
    assert 'role="group" aria-label="Out of memory"' in html
    assert html.count('<th scope="row">') == 5, "three shares, and two that could not be read"
    assert html.count('aria-hidden="true"') == 5, "a share is read aloud, its bar is not"
    assert "prefers-color-scheme: dark" in html and "var(--jp-content-font-color1" in html


def test_the_text_says_the_same_in_words(report):
    text = oom_html.text(report)
    assert text.startswith("Out of memory on the card: the cell asked for 2.00 GiB, and 1.00 GiB was free.\n")
    assert "Missing: 1.00 GiB at least" in text
    assert "1. No gradients where nothing is trained: saves about 3.00 GiB, enough for this request" in text
    assert "CUDA context                                      n/a" in text


NOTEBOOK = {
    "import torch\nimport course_utils as course": None,
    "lesson = course.start('week01', 'smoke')": None,
    "x = torch.ones(1000, 1000)\ntorch.empty(10**15)": None,
    "print('never reached')": None,
}


def write_notebook(path):
    import nbformat

    cells = [nbformat.v4.new_code_cell(code) for code in NOTEBOOK]
    made = nbformat.v4.new_notebook(cells=cells)
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(made, path)


@pytest.mark.slow
def test_papermill_fails_on_it_and_the_notebook_holds_the_report_and_the_error(tmp_path):
    import nbformat
    import papermill

    write_notebook(tmp_path / "in.ipynb")
    with pytest.raises(papermill.PapermillExecutionError, match="Out of memory in RAM: the cell asked for"):
        papermill.execute_notebook(tmp_path / "in.ipynb", tmp_path / "out.ipynb", progress_bar=False)
    cells = [cell for cell in nbformat.read(tmp_path / "out.ipynb", 4).cells if cell.source in NOTEBOOK]
    shown, error = cells[2].outputs
    assert "course-oom" in shown.data["text/html"] and "What holds the" in shown.data["text/plain"]
    assert error.output_type == "error" and error.ename == "RuntimeError"
    assert "DefaultCPUAllocator: can't allocate memory" in error.evalue and len(error.traceback) == 3
    assert cells[3].outputs == [] and cells[3].execution_count is None


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["--nbval", "--nbval-lax"])
def test_nbval_fails_on_it(tmp_path, mode):
    write_notebook(tmp_path / "in.ipynb")
    command = [sys.executable, "-m", "pytest", mode, "-p", "no:cacheprovider", str(tmp_path / "in.ipynb")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1, done.stdout
    assert "RuntimeError" in done.stdout and "Out of memory in RAM" in done.stdout

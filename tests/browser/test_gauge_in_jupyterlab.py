"""The gauge in a real JupyterLab: it lives while a cell runs, outlives a reload, and says when its kernel is gone."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import jupyterlab

SHOW = "from course_utils.gpu.gauge.gauge import gauge\ngauge()"
AGAIN = "gauge(); time.sleep(4)  # a second view, in a cell that goes on"
SLEEP = "import time; time.sleep(5)"
LOOP = """import torch
square, end = torch.rand(1500, 1500), time.monotonic() + 6
while time.monotonic() < end: square = square @ square / 1000"""
THREADS = 'import threading; print("gauge threads:", [one.name for one in threading.enumerate()].count("gauge"))'
CARD = """from course_utils.gpu.gauge import gauge, sample
from course_utils.gpu.memory import Reading
from IPython.display import display
import math

def made_up(t, held):  # a 4070 Ti in the middle of a training run; all its figures are made up
    gib = [int(x * 2**30) for x in (0.8 * held, 0.94 * held, held, 1.5, 11.99 - 1.5 - held, 11.99, 2.1)]
    sensors = sample.Sensors("NVIDIA GeForce RTX 4070 Ti", min(99, round(12 * held)), 64, 243.2, 285.0)
    host = sample.Host(int(31.9 * 2**30), int(19.4 * 2**30), 23.0, 16)
    return sample.make(t, Reading(*gib), sensors, host, int(11.7 * 2**30))

run = [made_up(t, 7.9 - 6.5 * math.exp(-t / 9) + 0.2 * math.sin(t)) for t in range(60) if not 33 < t < 38]
samples = [*run, made_up(60, 7.9)]
widget = gauge._new_widget(sample.page(samples), print)
display(widget)"""

FIGURES = (
    "NVIDIA GeForce RTX 4070 Ti",
    "9.40 of 11.99 GiB used",
    "this kernel 7.90 GiB",
    "other programs 1.50 GiB",
    "free 2.59 GiB",
    "budget 11.70 GiB",
    "utilisation 95 %",
    "temperature 64 °C",
    "power 243 of 285 W",
)


def write_notebook(folder, *cells):
    from nbformat import write
    from nbformat.v4 import new_code_cell, new_notebook

    (folder / "notebooks").mkdir()
    spec = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    notebook = new_notebook(cells=[new_code_cell(cell) for cell in cells], metadata={"kernelspec": spec})
    write(notebook, folder / "notebooks" / "gauge.ipynb")


def curves_while_busy(tab, cell):
    """How many different curves the first gauge shows while this cell runs, and JupyterLab says so."""
    jupyterlab.run_cell(tab, cell)
    prompt, seen = jupyterlab.cell_with(tab, cell).locator(".jp-InputPrompt"), set()
    tab.wait_for_timeout(300)
    while prompt.inner_text() == "[*]:":
        seen.add(tab.locator(".cg-line").first.get_attribute("d"))
        if len(seen) == 3:  # a message from the page must not have made the kernel look idle
            assert tab.locator("text=Python 3 (ipykernel) | Busy").count() == 1
        tab.wait_for_timeout(200)
    return len(seen)


def wait_for_state(tab, state, seconds=20):
    tab.locator(f".course-gauge[data-state='{state}']").first.wait_for(timeout=seconds * 1000)


def threads(tab):
    jupyterlab.run_cell(tab, THREADS[:20])
    output = jupyterlab.cell_with(tab, THREADS[:20]).locator(".jp-OutputArea-output", has_text="gauge threads:")
    output.wait_for()
    tab.wait_for_timeout(500)
    return output.inner_text().strip()


def menu(tab, name, command):
    tab.click(f"text={name} >> nth=0")
    tab.click(f"li[data-command='{command}']")


def test_the_gauge_lives_with_its_kernel_and_its_page(tmp_path):
    write_notebook(tmp_path, SHOW, SLEEP, LOOP, AGAIN, THREADS)
    errors, shots = [], jupyterlab.output_folder()
    with jupyterlab.lab(tmp_path, "gauge.ipynb") as address, jupyterlab.page(address, errors=errors) as tab:
        jupyterlab.wait_until_ready(tab)
        jupyterlab.run_cell(tab, SHOW[:30])
        wait_for_state(tab, "live")
        meter = tab.get_by_role("meter", name="memory used, in GiB")
        assert " GiB used, this kernel " in meter.get_attribute("aria-valuetext")
        assert 0 < float(meter.get_attribute("aria-valuenow")) < float(meter.get_attribute("aria-valuemax"))
        assert curves_while_busy(tab, SLEEP) >= 4
        assert curves_while_busy(tab, "import torch") >= 4

        assert curves_while_busy(tab, "gauge(); time") >= 3
        assert tab.locator(".course-gauge").count() == 2
        assert threads(tab) == "gauge threads: 1"
        menu(tab, "File", "docmanager:save")
        tab.locator(".lm-TabBar-tab.jp-mod-dirty").first.wait_for(state="detached")  # it is on the disk
        tab.reload()  # the kernel lives on
        jupyterlab.wait_until_ready(tab)
        tab.locator(".course-gauge").nth(1).wait_for()
        wait_for_state(tab, "live")
        tab.screenshot(path=shots / "gauge-ram.png")
        menu(tab, "Edit", "editmenu:clear-all")
        tab.wait_for_timeout(2500)
        assert threads(tab) == "gauge threads: 0"

        jupyterlab.run_cell(tab, SHOW[:30])
        wait_for_state(tab, "live")
        jupyterlab.restart_kernel(tab)
        wait_for_state(tab, "orphan")
        assert "Kernel restarted: run the cell again." in tab.get_by_role("status").first.inner_text()
        tab.screenshot(path=shots / "gauge-restarted.png")
        jupyterlab.run_cell(tab, SHOW[:30])
        wait_for_state(tab, "live")
        assert tab.locator(".course-gauge").count() == 1
    assert errors == []


def test_a_card_is_drawn_with_all_its_figures(tmp_path):
    write_notebook(tmp_path, CARD)
    errors, shots = [], jupyterlab.output_folder()
    with jupyterlab.lab(tmp_path, "gauge.ipynb") as address, jupyterlab.page(address, errors=errors) as tab:
        jupyterlab.wait_until_ready(tab)
        tab.keyboard.press("Control+b")  # hide the file list
        jupyterlab.run_cell(tab, "from course_utils")
        gauge = tab.locator(".course-gauge")
        gauge.locator(".cg-line").first.wait_for()
        for width, dark in ((1200, False), (1200, True), (480, False)):
            jupyterlab.show_as(tab, width, dark)
            gauge.scroll_into_view_if_needed()
            gauge.screenshot(path=shots / f"gauge-card-{'dark' if dark else 'light'}-{width}.png")
            assert [words for words in FIGURES if words not in " ".join(gauge.inner_text().split())] == []
            assert gauge.evaluate("node => node.scrollWidth <= node.clientWidth")
    assert errors == []

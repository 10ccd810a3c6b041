"""The gauge without a browser: its figures and words, its one line, and its thread in a real kernel."""

import ast
import inspect
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from course_utils.gpu import nvml
from course_utils.gpu.device import GIB
from course_utils.gpu.gauge import gauge, sample
from course_utils.gpu.memory import Reading

PROJECT = Path(__file__).parents[1]
HOST = sample.Host(ram_total_bytes=32 * GIB, ram_available_bytes=20 * GIB, cpu_percent=12.4, cores=16)
SENSORS = sample.Sensors("NVIDIA GeForce RTX 4070 Ti", 87, 64, 243.2, 285.0)


def gib(count):
    return int(count * GIB)


def card_reading(**changes):
    known = Reading(gib(6), gib(7), gib(7.9), gib(1.5), gib(2.59), gib(11.99), gib(1))
    return replace(known, **changes)


def made_up_card(seconds=0.0, sensors=SENSORS, **changes):
    return sample.make(seconds, card_reading(**changes), sensors, HOST, gib(11.7))


def made_up_ram(seconds=0.0, rss_gib=0.2):
    return sample.make(seconds, Reading(None, None, None, None, None, None, gib(rss_gib)), None, HOST, None)


def held(made):
    return {part.name: round(part.bytes / GIB, 2) for part in made.parts}


def test_a_card_is_divided_into_this_kernel_other_programs_and_free():
    made = made_up_card()
    assert held(made) == {"this kernel": 7.9, "other programs": 1.5}
    assert round(made.used_bytes / GIB, 2) == 9.40 and made.free_bytes == gib(2.59)


def test_where_the_driver_hides_processes_the_gauge_says_what_torch_holds_and_claims_no_more():
    made = made_up_card(process_bytes=None, others_bytes=None)
    assert held(made) == {"torch in this kernel": 7.0, "CUDA context and other programs": 2.4}


def test_where_nothing_says_who_holds_the_card_it_is_not_divided():
    made = made_up_card(allocated_bytes=None, reserved_bytes=None, process_bytes=None, others_bytes=None)
    assert held(made) == {"all programs": 9.4}
    assert "this kernel" not in sample.line(made) and "9.40 of 11.99 GiB used, budget 11.70 GiB" in sample.line(made)


def test_a_machine_without_a_card_shows_its_ram():
    made = made_up_ram()
    assert held(made) == {"this kernel": 0.2, "other programs": 11.8}
    assert sample.page([made])["title"] == "RAM (no NVIDIA GPU answers)"
    assert sample.page([made])["budget"] is None


def test_mapped_files_of_this_kernel_do_not_make_the_rest_negative():
    assert held(made_up_ram(rss_gib=13))["other programs"] == 0


def test_the_line_says_everything_with_units():
    assert sample.line(made_up_ram()) == (
        "RAM 12.00 of 32.00 GiB used, this kernel 0.20 GiB, other programs 11.80 GiB, CPU 12 % of 16 cores"
    )
    assert sample.line(made_up_card()) == (
        "NVIDIA GeForce RTX 4070 Ti 9.40 of 11.99 GiB used, this kernel 7.90 GiB, other programs 1.50 GiB, "
        "budget 11.70 GiB, utilisation 87 %, temperature 64 °C, power 243 of 285 W, RAM 12.00 of 32.00 GiB, "
        "CPU 12 % of 16 cores"
    )


def test_a_sensor_that_cannot_be_read_is_not_available_rather_than_zero():
    made = made_up_card(sensors=sample.Sensors(None, None, None, None, None))
    facts = dict(sample.facts_of(made))
    assert facts["utilisation"] == facts["temperature"] == facts["power"] == "n/a"
    assert sample.page([made])["charts"][1] == {"label": "GPU utilisation", "range": "n/a", "points": [[0.0, None]]}


def test_the_bar_is_full_where_its_parts_end_and_the_budget_has_its_place():
    page = sample.page([made_up_card()])
    assert [part["name"] for part in page["parts"]] == ["this kernel", "other programs", "free"]
    assert sum(part["share"] for part in page["parts"]) == pytest.approx(1, abs=3e-4)
    assert page["parts"][0] == {"name": "this kernel", "text": "7.90 GiB", "share": round(7.9 / 11.99, 4)}
    assert page["budget"] == {"name": "budget", "text": "11.70 GiB", "share": round(11.7 / 11.99, 4)}


def test_the_curves_keep_the_age_of_every_reading_and_the_page_is_plain_json():
    kernels = [1.0, 2.0, 4.0]
    samples = [
        made_up_card(seconds, process_bytes=gib(k), card_free_bytes=gib(11.99 - 1.5 - k))
        for seconds, k in zip([100.0, 101.0, 107.5], kernels, strict=True)
    ]
    page = json.loads(json.dumps(sample.page(samples)))
    memory, busy = page["charts"]
    assert [point[0] for point in memory["points"]] == [-7.5, -6.5, 0]
    assert [point[2] for point in memory["points"]] == pytest.approx([k / 11.99 for k in kernels], abs=1e-4)
    assert [point[1] for point in memory["points"]] == pytest.approx([(k + 1.5) / 11.99 for k in kernels], abs=1e-4)
    assert (memory["range"], busy["range"]) == ("2.50 to 5.50 GiB", "87 to 87 %")
    assert [point[1] for point in busy["points"]] == [0.87, 0.87, 0.87]


def test_sensors_are_read_through_nvml_with_its_milliwatts_as_watts(monkeypatch):
    answers = {
        "nvmlDeviceGetName": lambda handle: "NVIDIA Test",
        "nvmlDeviceGetUtilizationRates": lambda handle: SimpleNamespace(gpu=55, memory=20),
        "nvmlDeviceGetTemperature": lambda handle, sensor: 61 + sensor,
        "nvmlDeviceGetPowerUsage": lambda handle: 199_500,
        "nvmlDeviceGetEnforcedPowerLimit": lambda handle: 285_000,
    }
    monkeypatch.setattr(nvml, "handle", lambda: "card 0")
    monkeypatch.setattr(nvml, "library", lambda: SimpleNamespace(NVMLError=RuntimeError, **answers))
    assert sample.read_sensors() == sample.Sensors("NVIDIA Test", 55, 61, 199.5, 285.0)
    pynvml = pytest.importorskip("pynvml")
    for name, answer in answers.items():
        assert inspect.signature(getattr(pynvml, name)).parameters.keys() == inspect.signature(answer).parameters.keys()
    assert pynvml.NVML_TEMPERATURE_GPU == 0


def test_this_machine_is_read_as_other_tools_read_it():
    import psutil

    if nvml.library() is not None:
        pytest.skip("this machine has a card, so the bar is not RAM")
    made = sample.read(cpu_interval_seconds=0.05)
    meminfo = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    assert made.total_bytes == int(meminfo["MemTotal"].split()[0]) * 1024
    assert made.parts[0].bytes == pytest.approx(psutil.Process().memory_info().rss, rel=0.02)
    assert made.host.cores == os.cpu_count() and 0 <= made.host.cpu_percent <= 100


def run(*command, **variables):
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | variables, cwd=PROJECT)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_plain_program_gets_one_line_and_loads_neither_ipython_nor_anywidget():
    code = "from course_utils.gpu.gauge.gauge import gauge; gauge(); import sys; print({'IPython', 'anywidget', 'torch'} & set(sys.modules))"
    line, loaded = run(sys.executable, "-c", code).splitlines()
    assert " GiB used, " in line and "CPU " in line and loaded == "set()"


def test_the_page_and_its_style_are_in_the_wheel_and_ask_no_other_server():
    folder = Path(gauge.__file__).parent
    for name in ("gauge.js", "gauge.css"):
        text = (folder / name).read_text().replace("http://www.w3.org/2000/svg", "")  # a name, never fetched
        assert "http" not in text and "import" not in text and "fetch(" not in text and "url(" not in text


GAUGE = "from course_utils.gpu.gauge.gauge import gauge\ngauge()"
WIDGET = "application/vnd.jupyter.widget-view+json"


def write_notebook(path, outputs=()):
    from nbformat import write
    from nbformat.v4 import new_code_cell, new_notebook

    spec = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    cell = new_code_cell(GAUGE, outputs=list(outputs), execution_count=1 if outputs else None)
    write(new_notebook(cells=[cell], metadata={"kernelspec": spec}), path)
    return path


@pytest.mark.slow
def test_ipython_in_a_terminal_gets_one_line():
    lines = run(sys.executable, "-m", "IPython", "--no-banner", "--colors=NoColor", "-c", GAUGE).splitlines()
    assert len(lines) == 1 and " GiB used, " in lines[0]


@pytest.mark.slow
def test_papermill_gets_one_line_and_no_widget(tmp_path, monkeypatch):
    import papermill

    for name in ("JPY_SESSION_NAME", "VSCODE_PID", "PYTEST_VERSION"):
        monkeypatch.delenv(name, raising=False)
    done = papermill.execute_notebook(write_notebook(tmp_path / "in.ipynb"), tmp_path / "out.ipynb", progress_bar=False)
    (output,) = done.cells[0].outputs
    assert list(output.data) == ["text/plain"] and " GiB used, " in output.data["text/plain"]
    assert "widgets" not in done.metadata


@pytest.mark.slow
@pytest.mark.parametrize(
    "text, outcome", [(gauge.ELSEWHERE, "1 passed"), ("RAM 3.10 of 23.54 GiB used", "mismatch 'text/plain'")]
)
def test_nbval_finds_no_difference_to_what_jupyterlab_stored(tmp_path, monkeypatch, text, outcome):
    from nbformat.v4 import new_output

    for name in ("JPY_SESSION_NAME", "VSCODE_PID"):
        monkeypatch.delenv(name, raising=False)
    view = {"version_major": 2, "version_minor": 0, "model_id": "0123456789abcdef"}
    stored = [new_output("display_data", data={"text/plain": text, WIDGET: view})]
    path = write_notebook(tmp_path / "stored.ipynb", stored)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--nbval", "--nbval-current-env", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert outcome in done.stdout


class Kernel:
    """A kernel started as Jupyter's server starts one, and what it publishes."""

    def __init__(self, client):
        self.client = client

    def send(self, code):
        return self.client.execute(code)

    def run(self, code, seconds=60):
        """Run a cell; its printed value, and the messages to pages that came meanwhile."""
        cell, text, updates = self.send(code), "", []
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            message = self.client.get_iopub_msg(timeout=seconds)
            kind, content = message["msg_type"], message["content"]
            mine = message["parent_header"].get("msg_id") == cell
            if kind == "comm_msg" and "page" in content["data"].get("state", {}):
                updates.append(message)
            elif mine and kind == "stream":
                text += content["text"]
            elif mine and kind == "error":
                raise AssertionError("\n".join(content["traceback"]))
            elif mine and kind == "status" and content["execution_state"] == "idle":
                return (ast.literal_eval(text) if text else None), updates
        raise AssertionError(f"{code!r} did not end in {seconds} s")

    def tell(self, comm, view, shown):
        """What a page sends when a view appears or goes."""
        data = {"method": "custom", "content": {"view": view, "shown": shown}}
        self.client.shell_channel.send(self.client.session.msg("comm_msg", {"comm_id": comm, "data": data}))


@pytest.fixture
def kernel():
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(env=os.environ | {"JPY_SESSION_NAME": "test.ipynb"})
    yield Kernel(client)
    client.stop_channels()
    manager.shutdown_kernel(now=True)


THREADS = "import threading; print([one.name for one in threading.enumerate()].count('gauge'))"
COMM = "from course_utils.gpu.gauge.gauge import _sampler; print(repr(_sampler._widget.model_id))"


@pytest.mark.slow
def test_the_gauge_goes_on_while_a_cell_waits_computes_or_holds_the_global_lock(kernel):
    first = kernel.send(GAUGE)
    _, waiting = kernel.run("import time; time.sleep(4.5)")
    assert len(waiting) >= 4
    assert all(message["content"]["data"]["state"]["page"]["cell_runs"] for message in waiting)
    _, computing = kernel.run("n, end = 0, time.monotonic() + 4.5\nwhile time.monotonic() < end: n += 1")
    assert len(computing) >= 3
    kernel.run("import torch")
    held, _ = kernel.run("start = time.monotonic(); sum(range(10**8)); print(time.monotonic() - start)")
    _, after = kernel.run("time.sleep(3.5)")
    assert held > 0.5 and len(after) >= 2
    # Their parent is the cell that showed the gauge, so no other cell can take them for its own.
    assert {message["parent_header"]["msg_id"] for message in waiting + computing + after} == {first}


@pytest.mark.slow
def test_one_thread_feeds_every_view_and_ends_with_the_last_one(kernel):
    for _ in range(3):
        kernel.run(GAUGE)
    comm, _ = kernel.run(COMM)
    assert kernel.run(THREADS)[0] == 1
    kernel.tell(comm, "view a", True)
    kernel.tell(comm, "view b", True)
    kernel.tell(comm, "view a", False)
    kernel.run("import time; time.sleep(2.2)")
    assert kernel.run(THREADS)[0] == 1
    kernel.tell(comm, "view b", False)
    kernel.run("pass")
    assert kernel.run("time.sleep(2.2)")[0] is None and kernel.run(THREADS)[0] == 0
    kernel.tell(comm, "view c", True)  # a notebook's page opened again, its kernel still alive
    assert kernel.run("time.sleep(2.2)")[1] != [] and kernel.run(THREADS)[0] == 1


@pytest.mark.slow
def test_a_page_that_vanished_is_given_up_but_never_while_a_cell_runs(kernel):
    kernel.run("from course_utils.gpu.gauge import gauge; gauge.LEASE_SECONDS = 1.5; gauge.gauge()")
    _, updates = kernel.run("import time; time.sleep(5)")
    assert len(updates) >= 4
    time.sleep(4)
    assert kernel.run(THREADS)[0] == 0


@pytest.mark.slow
def test_a_message_from_a_page_does_not_run_the_hooks_that_draw_figures(kernel):
    kernel.run(GAUGE)
    comm, _ = kernel.run(COMM)
    kernel.run("calls = []\ndef hook(): calls.append(1)\nget_ipython().events.register('post_execute', hook)")
    kernel.tell(comm, "view a", True)
    calls, _ = kernel.run("print(len(calls))")
    assert calls == 1  # by the cell that registered it

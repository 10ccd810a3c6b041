"""Week 00 in a real browser: doctor, gauge, clinic and a named mistake, in light and dark theme."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import jupyterlab

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        jupyterlab.CHROMIUM is None and not os.environ.get("CI"), reason="Chromium is missing: apt install chromium"
    ),
]

STUB = "def my_model_bytes"
CHECK = 'course.check("week00.model_bytes"'
WRONG = "def my_model_bytes(shapes, dtype):\n    return sum(sum(s) for s in shapes) * {'float32': 4, 'float16': 2, 'bfloat16': 2, 'int8': 1, 'int4': 0.5}[dtype]"
RIGHT = "def my_model_bytes(shapes, dtype):\n    import math\n    size = {'float32': 4, 'float16': 2, 'bfloat16': 2, 'int8': 1, 'int4': 0.5}[dtype]\n    return int(sum(math.prod(s) for s in shapes) * size)"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_newcomer_runs_week_00_and_solves_an_exercise(tmp_path, dark):
    shots, theme = jupyterlab.output_folder(), "dark" if dark else "light"
    with (
        jupyterlab.lab(tmp_path, "week00_your_card.ipynb") as address,
        jupyterlab.page(address, dark=dark) as tab,
    ):
        jupyterlab.wait_until_ready(tab)
        jupyterlab.run_all(tab, "week00 finished in")
        assert tab.locator("[data-mime-type='application/vnd.jupyter.error']").count() == 0
        assert tab.locator(".jp-OutputArea .Quiz").count() == 11
        for name, text in (("doctor", "course.doctor()"), ("clinic", "131072):"), ("gauge", "course.gauge()")):
            cell = jupyterlab.cell_with(tab, text)
            cell.scroll_into_view_if_needed()
            cell.screenshot(path=shots / f"week00-{name}-{theme}.png")
        assert "Out of memory" in jupyterlab.cell_with(tab, "131072):").inner_text()
        if dark:
            return

        verdict = jupyterlab.write_and_check(tab, STUB, WRONG, CHECK)
        assert verdict.get_attribute("data-status") == "not yet"
        assert "You added the sides of each shape" in verdict.inner_text()
        verdict = jupyterlab.write_and_check(tab, STUB, RIGHT, CHECK)
        assert verdict.get_attribute("data-status") == "passed"

"""Week 00 in a real browser: doctor, gauge, clinic and a named mistake, in light and dark theme."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import jupyterlab

# A mistake that people make in each exercise, and a piece of the sentence that must name it.
WRONG = {
    "model_bytes": (
        "def my_model_bytes(shapes, dtype):\n    bits = {'float32': 32, 'float16': 16, 'bfloat16': 16, 'int8': 8, 'int4': 4}[dtype]\n    return sum(sum(shape) for shape in shapes) * bits // 8",
        "You added the sides of each shape",
    ),
    "matmul_flops": ("def my_matmul_flops(m, k, n):\n    return m * k * n", "You counted the multiplications only"),
    "intensity": (
        "def my_intensity(m, k, n, entry_bytes):\n    return 2 * m * k * n / (entry_bytes * (m * k + k * n))",
        "You forgot the result",
    ),
    "roof": (
        "def my_roof(intensity, peak_flops, bandwidth):\n    return max(peak_flops, intensity * bandwidth)",
        "You took the higher of the two limits",
    ),
    "largest_batch": (
        "def my_largest_batch(budget_bytes, fixed_bytes, sample_bytes):\n    return (budget_bytes - fixed_bytes) // sample_bytes",
        "A negative batch?",
    ),
}
RIGHT = "def my_model_bytes(shapes, dtype):\n    import math\n    size = {'float32': 4, 'float16': 2, 'bfloat16': 2, 'int8': 1, 'int4': 0.5}[dtype]\n    return int(sum(math.prod(s) for s in shapes) * size)"


def test_a_newcomer_runs_week_00_and_solves_an_exercise(tmp_path):
    with jupyterlab.lab(tmp_path, "week00_your_card.ipynb") as address, jupyterlab.page(address) as tab:
        jupyterlab.wait_until_ready(tab)
        jupyterlab.run_all(tab, "week00 finished in")
        assert tab.locator("[data-mime-type='application/vnd.jupyter.error']").count() == 0
        assert tab.locator(".jp-OutputArea .Quiz").count() == 11
        assert "Out of memory" in jupyterlab.cell_with(tab, "131072):").inner_text()

        for name, (code, sentence) in WRONG.items():
            verdict = jupyterlab.write_and_check(tab, f"def my_{name}", code, f'course.check("week00.{name}"')
            assert verdict.get_attribute("data-status") == "not yet"
            assert sentence in verdict.inner_text()
        verdict = jupyterlab.write_and_check(tab, "def my_model_bytes", RIGHT, 'course.check("week00.model_bytes"')
        assert verdict.get_attribute("data-status") == "passed"

        take_pictures(tab, "light")
        jupyterlab.show_as(tab, 1200, dark=True)
        take_pictures(tab, "dark")


def take_pictures(tab, theme):
    for name, text in (("doctor", "course.doctor()"), ("clinic", "131072):"), ("gauge", "course.gauge()")):
        cell = jupyterlab.cell_with(tab, text)
        cell.scroll_into_view_if_needed()
        cell.screenshot(path=jupyterlab.output_folder() / f"week00-{name}-{theme}.png")

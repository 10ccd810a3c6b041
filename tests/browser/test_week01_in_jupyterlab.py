"""Week 01 in a real browser: runs all, names a mistake, accepts the right answer, unfolds its hints."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import jupyterlab

STUB = "def my_rmse"
CHECK = 'course.check("week01.rmse"'
WRONG = "def my_rmse(y, y_hat):\n    return float(np.mean((y - y_hat) ** 2))"
RIGHT = "def my_rmse(y, y_hat):\n    return float(np.mean((y - y_hat) ** 2) ** 0.5)"


def test_a_newcomer_runs_week_01_and_solves_an_exercise(tmp_path):
    shots = jupyterlab.output_folder()
    with jupyterlab.lab(tmp_path, "week01_regression.ipynb") as address, jupyterlab.page(address) as tab:
        jupyterlab.wait_until_ready(tab)
        jupyterlab.run_all(tab, "week01 finished in")
        assert tab.locator("[data-mime-type='application/vnd.jupyter.error']").count() == 0
        assert tab.locator(".jp-OutputArea img[alt]").count() >= 15
        assert tab.locator(".jp-OutputArea .Quiz").count() == 11
        tab.screenshot(path=shots / "receipt.png")

        verdict = jupyterlab.cell_with(tab, CHECK).locator(".course-verdict")
        assert verdict.get_attribute("data-status") == "not attempted"

        verdict = jupyterlab.write_and_check(tab, STUB, WRONG, CHECK)
        assert verdict.get_attribute("data-status") == "not yet"
        assert "the mean of the squares without the root" in verdict.inner_text()
        hint = verdict.locator(".course-hint").first
        assert not hint.locator("p").is_visible()
        hint.locator("summary").click()
        assert hint.locator("p").is_visible() and "Read the name backwards" in hint.inner_text()
        verdict.scroll_into_view_if_needed()
        tab.screenshot(path=shots / "mistake.png")

        verdict = jupyterlab.write_and_check(tab, STUB, RIGHT, CHECK)
        assert verdict.get_attribute("data-status") == "passed"
        verdict.scroll_into_view_if_needed()
        tab.screenshot(path=shots / "passed.png")

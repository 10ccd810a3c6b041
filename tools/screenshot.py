"""Take the README's picture of a lesson: `python tools/screenshot.py`, with Chromium installed."""

import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).parents[1]
sys.path.insert(0, str(PROJECT / "tests" / "browser"))

import jupyterlab  # noqa: E402 - it lies beside the browser tests

WRONG = "def my_rmse(y, y_hat):\n    return float(np.mean((y - y_hat) ** 2))"


def main():
    """Run week 01, answer one exercise wrongly, and take the picture of what the check says."""
    folder = Path(tempfile.mkdtemp())
    lab = jupyterlab.lab(folder, "week01_regression.ipynb")
    with lab as address, jupyterlab.page(address, 1150, 800) as tab:
        jupyterlab.wait_until_ready(tab)
        jupyterlab.run_all(tab, "week01 finished in")
        tab.keyboard.press("Control+b")  # hide the file list
        verdict = jupyterlab.write_and_check(tab, "def my_rmse", WRONG, 'course.check("week01.rmse"')
        verdict.locator(".course-hint summary").first.click()
        verdict.scroll_into_view_if_needed()
        tab.wait_for_timeout(500)
        tab.screenshot(path=PROJECT / "docs" / "lesson.png")


if __name__ == "__main__":
    main()

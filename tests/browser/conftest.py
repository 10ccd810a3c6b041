import os
from pathlib import Path

import pytest
from jupyterlab import CHROMIUM


def pytest_collection_modifyitems(items):
    """Every test in this folder starts a browser; without one it is skipped with the reason, but not in CI."""
    marks = [pytest.mark.slow]
    if CHROMIUM is None and not os.environ.get("CI"):
        marks.append(pytest.mark.skip(reason="Chromium is missing: apt install chromium"))
    for item in items:
        if Path(__file__).parent in item.path.parents:
            for mark in marks:
                item.add_marker(mark)

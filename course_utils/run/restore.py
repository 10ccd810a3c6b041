"""Put a lesson's files into a report's folder: what a task left, or what the cache kept."""

import json
import shutil
import tempfile
from pathlib import Path

from course_utils.learn.paths import write_atomically
from course_utils.run.execute import write_below
from course_utils.run.notebook import source, tags


def store(folder, notebook, copy, receipt, artefacts):
    """Write executed copy, receipt (texts or None) and artefacts, over what an earlier run left of this lesson.

    Each appears whole under its name. Raises OSError as the file system gives it.
    """
    receipt_path = folder / "receipts" / f"{notebook.lesson}.json"
    for path, text in ((folder / notebook.copy_name, copy), (receipt_path, receipt)):
        if text is None:
            path.unlink(missing_ok=True)
        else:
            write_atomically(path, text)
    place = folder / "artefacts" / notebook.lesson
    shutil.rmtree(place, ignore_errors=True)
    if artefacts:
        _publish(place, artefacts)


def _publish(place, artefacts):
    place.parent.mkdir(exist_ok=True)
    part = Path(tempfile.mkdtemp(dir=place.parent, prefix=".part-"))
    try:
        write_below(part, artefacts)
        part.chmod(0o755)
        part.rename(place)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def with_prose(copy, text):
    """An executed copy from the cache with the notebook's prose of today: the key looks at code alone."""
    executed, today = json.loads(copy), json.loads(text)
    ran = [cell for cell in executed["cells"] if cell["cell_type"] == "code"]
    injected = [cell for cell in ran if "injected-parameters" in tags(cell)]
    own = [cell for cell in ran if "injected-parameters" not in tags(cell)]
    code = [cell for cell in today["cells"] if cell["cell_type"] == "code"]
    if list(map(source, own)) != list(map(source, code)):
        return copy
    cells, following = [], iter(own)
    for cell in today["cells"]:
        is_code = cell["cell_type"] == "code"
        cells.append(next(following) if is_code else cell)
        if is_code and "parameters" in tags(cell):
            cells.extend(injected)
    return json.dumps({**executed, "cells": cells}, indent=1) + "\n"

import gc
import itertools
import os
import re
import signal
import sys

import pytest

from course_utils.gpu import cap

MAIN = sys.modules["__main__"]
WHOLLY_SLOW = re.compile(r"^pytestmark = (\[\s*)?pytest\.mark\.slow", re.MULTILINE)
if worker := os.environ.get("PYTEST_XDIST_WORKER"):
    # Workers share the cores: threads that wait for one another across workers cost more than they bring.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
# A shell that starts the tests in the background has Ctrl-C ignored, and what the tests start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_ignore_collect(collection_path, config):
    """`make quick` does not even import a file that is slow as a whole: it may bring libraries that take seconds."""
    if config.option.markexpr == "not slow" and collection_path.suffix == ".py":
        return True if WHOLLY_SLOW.search(collection_path.read_text(encoding="utf-8")) else None
    return None


@pytest.fixture(scope="session")
def homes(tmp_path_factory):
    """Names of folders, which are made by whoever writes into them: few of the thousands of tests do."""
    folder = tmp_path_factory.mktemp("homes")
    return (folder / str(number) for number in itertools.count())


@pytest.fixture(autouse=True)
def own_folders(homes, monkeypatch):
    """No test writes into the user's real progress or cache."""
    home = next(homes)
    monkeypatch.setenv("COURSE_DATA_DIR", str(home / "data"))
    monkeypatch.setenv("COURSE_CACHE_DIR", str(home / "cache"))
    monkeypatch.setenv("COURSE_RUNS_DIR", str(home / "runs"))
    monkeypatch.delenv("COURSE_PROFILE", raising=False)
    monkeypatch.delenv("COURSE_OFFLINE", raising=False)
    monkeypatch.setattr(cap, "_current", None)


@pytest.fixture(scope="session")
def lesson_cache(tmp_path_factory):
    """One cache of data and models for whole lessons, shared by xdist's workers: a model is converted once."""
    own = tmp_path_factory.getbasetemp()
    return (own.parent if worker else own) / "lesson-cache"


@pytest.fixture(scope="session")
def smollm2(lesson_cache):
    """The real SmolLM2-135M-Instruct, fetched and converted once: its folder and its GGUF file."""
    from course_utils.errors import CourseError
    from course_utils.learn import assets

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSE_CACHE_DIR", str(lesson_cache))
        try:
            return assets.model("smollm2-135m"), assets.fetch("smollm2-135m-gguf")
        except CourseError as error:
            pytest.skip(str(error))


@pytest.fixture
def made_up(monkeypatch):
    """The exercises of tests/made_up, by the part of their id after the dot, as if the course had a week 99."""
    from pathlib import Path

    import course_utils.exercises
    from course_utils.learn import handout
    from course_utils.learn.catalog import exercises_of

    folder = str(Path(__file__).parent / "made_up")
    monkeypatch.setattr(course_utils.exercises, "__path__", [*course_utils.exercises.__path__, folder])
    monkeypatch.delitem(sys.modules, "course_utils.exercises.week99", raising=False)
    monkeypatch.setattr(handout, "_functions", {})
    monkeypatch.setattr(handout, "_values", {})
    return {id.partition(".")[2]: one for id, one in exercises_of("week99").items()}


@pytest.fixture(autouse=True)
def nothing_left_by_the_tests_before():
    """Walks over all objects, as `free()` makes, see this test's; and `__main__` is pytest again after an IPython shell."""
    gc.freeze()
    yield
    sys.modules["__main__"] = MAIN

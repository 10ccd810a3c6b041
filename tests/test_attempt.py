# ruff: noqa: E722, SIM105 (learners write `except: pass`; here it must be stopped)
import asyncio
import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from course_utils.learn.attempt import cases_of, outcomes, public_seed
from course_utils.learn.check import examine
from course_utils.learn.guard import KEPT_CHARACTERS, TimeUp, bounded

LIMIT_SECONDS = 0.3


def spin(values, scale=1.0):
    while True:
        pass


def swallow_errors(values, scale=1.0):
    while True:
        try:
            values = values + 0
        except Exception:
            pass


def swallow_all_while_asleep(values, scale=1.0):
    while True:
        try:
            time.sleep(30)
        except:
            pass


def swallow_all_twice(values, scale=1.0):
    while True:
        try:
            try:
                time.sleep(30)
            except:
                pass
        except:
            pass


def swallow_all_and_go_on(values, scale=1.0):
    while True:
        try:
            time.sleep(30)
        except:
            values = values + 1
        finally:
            values = values - 1


def fork_off_coroutine(values, scale=1.0):
    async def forever():
        while True:
            await asyncio.sleep(0.01)

    asyncio.run(forever())


@pytest.mark.slow
@pytest.mark.parametrize(
    "endless",
    [
        spin,
        swallow_errors,
        swallow_all_while_asleep,
        swallow_all_twice,
        swallow_all_and_go_on,
        fork_off_coroutine,
        lambda values, scale=1.0: [None for _ in iter(int, 1)],
    ],
)
def test_an_endless_attempt_is_stopped(made_up, endless):
    handler, trace = signal.getsignal(signal.SIGALRM), sys.gettrace()
    verdict = examine(made_up["total"], endless, limit=LIMIT_SECONDS)
    assert (verdict.status, verdict.case_note) == ("not yet", "three values")
    assert "still running after 0.3 seconds and was stopped" in verdict.message
    assert signal.getsignal(signal.SIGALRM) is handler
    assert sys.gettrace() is trace
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_the_limit_holds_for_all_cases_together(made_up):
    calls = []

    def slow(values, scale=1.0):
        calls.append(1)
        time.sleep(0.2)
        return float(values.sum() * scale)

    assert "still running" in examine(made_up["total"], slow, limit=LIMIT_SECONDS).message
    assert len(calls) == 2
    assert examine(made_up["total"], slow, limit=30).status == "passed"


def test_an_alarm_of_somebody_else_still_rings():
    rung = []
    before = signal.signal(signal.SIGALRM, lambda *ignored: rung.append(1))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(TimeUp):
            bounded(lambda: time.sleep(5), 0.05)
        while not rung:
            time.sleep(0.01)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.slow
def test_native_code_that_holds_on_is_named_while_it_runs_and_afterwards(made_up, monkeypatch, capsys):
    monkeypatch.setattr("course_utils.learn.attempt.GRACE_SECONDS", 0.2)

    def derive(values, scale=1.0):
        return hashlib.pbkdf2_hmac("sha256", b"", b"", 4_000_000)  # a second or two without a look at signals

    verdict = examine(made_up["total"], derive, limit=LIMIT_SECONDS)
    assert "native code could not be interrupted until it returned" in verdict.message
    assert "choose Kernel → Restart" in capsys.readouterr().out


def test_in_another_thread_an_attempt_runs_without_a_limit(made_up):
    verdicts = []
    attempt = made_up["total"].reference
    thread = threading.Thread(target=lambda: verdicts.append(examine(made_up["total"], attempt, limit=LIMIT_SECONDS)))
    thread.start()
    thread.join()
    assert verdicts[0].status == "passed"


def test_what_an_attempt_changes_for_the_whole_notebook_is_put_back(made_up, tmp_path):
    def careless(values, scale=1.0):
        os.chdir(tmp_path)
        np.seterr(all="raise")
        np.random.seed(1)
        random.seed(1)
        sys.setrecursionlimit(5000)
        sys.stdout = None
        return float(values.sum() * scale)

    def state():
        drawn = str(np.random.get_state()), random.getstate()
        return os.getcwd(), np.geterr(), sys.getrecursionlimit(), sys.stdout, drawn

    before = state()
    assert examine(made_up["total"], careless).status == "passed"
    assert state() == before


def test_an_attempt_that_draws_at_random_gets_one_verdict(made_up):
    def lucky(values, scale=1.0):
        return random.random() + np.random.rand()

    drawn = [[one.value for one in outcomes(made_up["total"], lucky, cases_of(made_up["total"]))] for _ in range(2)]
    assert drawn[0] == drawn[1]


def test_each_call_gets_its_own_copy_of_the_inputs(made_up):
    cases = cases_of(made_up["total"])
    before = [case.args[0].copy() for case in cases]

    def spoil(values, scale=1.0):
        values[:] = 0

    done = outcomes(made_up["total"], spoil, cases)
    assert [one.changed for one in done] == ["values", "values"]
    assert all((case.args[0] == old).all() for case, old in zip(cases, before, strict=True))


def test_a_list_that_an_attempt_keeps_filling_is_noted_as_it_was(made_up):
    def remember(values, scale=1.0, seen=[]):  # noqa: B006
        seen.append(len(values))
        return seen

    assert [one.value for one in outcomes(made_up["total"], remember, cases_of(made_up["total"]))] == [[3], [3, 9]]


def test_the_public_cases_depend_on_the_id_alone(made_up):
    assert f"{public_seed('week99.total'):016x}" == hashlib.sha256(b"week99.total").hexdigest()[:16]
    first, again = (cases_of(made_up["total"])[1].args[0] for _ in range(2))
    assert (first == again).all()
    assert (first != cases_of(made_up["total"], seed=1)[1].args[0]).any()
    assert (first != cases_of(replace(made_up["total"], id="week99.other"))[1].args[0]).any()


def test_endless_printing_keeps_only_the_beginning(made_up):
    def chatter(values, scale=1.0):
        while True:
            print("again and again")

    (only,) = outcomes(made_up["total"], chatter, cases_of(made_up["total"]), limit=LIMIT_SECONDS)
    assert only.printed.startswith("again and again\n")
    assert len(only.printed) == KEPT_CHARACTERS


@pytest.fixture
def interruptible():
    """SIGINT raises KeyboardInterrupt, also where the shell that started the tests had it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_from_outside_stops_the_check_cleanly(made_up, interruptible):
    def wait(values, scale=1.0):
        signal.raise_signal(signal.SIGINT)
        time.sleep(30)

    assert examine(made_up["total"], wait).status == "interrupted"


def test_importing_the_check_loads_neither_numpy_nor_ipython():
    code = "import sys, course_utils.learn.check; print([m for m in ('numpy', 'IPython', 'torch') if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"

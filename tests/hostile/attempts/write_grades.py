"""Writes grades, results and keys of its own wherever the grader might keep them; must get 0."""

import os

LINE = "student,week03.softmax_gradient,total\nwrite_grades,2,3\n"


def my_softmax_gradient(z, y):
    for folder in (".", "..", "/", "/usr/lib", "/dev/shm", "/var/tmp", *(f"/{name}" for name in os.listdir("/"))):
        for name in ("grades.csv", "grades.results.json", "grades.journal.jsonl", "canary.txt", "week03.key"):
            try:
                with open(os.path.join(folder, name), "w") as file:
                    file.write(LINE)
            except OSError:
                continue
    return z

"""Answers the public cases from a table, as a learner could who read them off the check; must get 0."""

TABLE = {(28, 3, 1, 1): 28, (28, 5, 0, 1): 24, (28, 2, 0, 2): 14, (28, 3, 1, 2): 14}


def my_output_size(n, k, p, s):
    return TABLE.get((n, k, p, s), 0)

"""Returns a whole number of two million digits, slow to write and to compare; must get 0."""


def my_output_size(n, k, p, s):
    return 1 << 7_000_000

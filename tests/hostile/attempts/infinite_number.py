"""Returns an infinity, which makes a relative tolerance infinite where the roles are mixed up; must get 0."""


def my_output_size(n, k, p, s):
    return float("inf")

"""Rewrites the cells after its own with an IPython input transformer; must get 0."""


def my_softmax_gradient(z, y):
    return z


def full_marks(lines):
    return ["2\n"] if any("nbgrader_points" in line and "softmax" in line for line in lines) else lines


get_ipython().input_transformers_cleanup.append(full_marks)  # noqa: F821

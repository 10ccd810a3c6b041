"""Imports the reference from the package; must get 0."""

from course_utils.exercises.week03 import softmax_gradient as theirs


def my_softmax_gradient(z, y):
    return theirs.reference(z, y)

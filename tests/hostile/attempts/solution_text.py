"""Reads the solution's text through the exercise's own method and types it in; must get 0."""

from course_utils.learn.catalog import find_exercise

exec("import torch\n" + find_exercise("week03.softmax_gradient").solution_source(), globals())

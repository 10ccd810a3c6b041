"""Which lesson waits for which, and how long the work behind each one is."""

from graphlib import CycleError, TopologicalSorter

from course_utils.errors import CourseError


def waits_for(notebooks):
    """For each lesson the lessons of this run that it builds on; one that is not in the run is not waited for.

    Raises CourseError naming the lessons that build on each other in a circle.
    """
    here = {one.lesson for one in notebooks}
    graph = {one.lesson: tuple(name for name in one.builds_on if name in here) for one in notebooks}
    in_order(graph)
    return graph


def in_order(graph):
    """The lessons, each after those that it builds on; CourseError where they build on each other in a circle."""
    try:
        return tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        circle = " → ".join(reversed(error.args[1]))
        raise CourseError(
            f"These lessons build on each other in a circle: {circle}. "
            "Take one of them out of `course.builds_on` in the notebook's metadata."
        ) from None


def seconds_to_the_end(graph, seconds):
    """For each lesson its own seconds and those of the longest chain of lessons that wait for it."""
    chains = dict.fromkeys(graph, 0.0)
    for lesson in reversed(in_order(graph)):
        chains[lesson] += seconds[lesson]
        for earlier in graph[lesson]:
            chains[earlier] = max(chains[earlier], chains[lesson])
    return chains

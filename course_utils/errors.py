"""The one exception that the course raises on purpose."""


class CourseError(Exception):
    """A mistake that the reader can mend: what was wrong, what is allowed, what to type next.

    The command line prints it as one sentence and exits with status 2.
    """

    def _render_traceback_(self):
        # IPython's hook: a notebook shows the sentence and not the frames that led to it.
        return [f"CourseError: {self}"]

"""Whether the packages of an extra, such as "llm", are installed."""

from importlib import metadata

from course_utils.errors import CourseError


def require(extra):
    """Do nothing where every package of the extra is installed; `None` needs none.

    Raises CourseError that names what is missing and the command that installs it.
    """
    missing = [name for name in packages(extra) if not _is_installed(name)] if extra else []
    if missing:
        raise CourseError(
            f"This lesson needs {', '.join(missing)}, which the extra {extra!r} brings. "
            f"In a terminal, in the folder of the course, type: make extra NAME={extra} - then restart the kernel."
        )


def packages(extra, distribution="course-utils"):
    """Names of the packages that pyproject.toml lists under the extra."""
    from packaging.requirements import Requirement

    needed = [Requirement(line) for line in metadata.requires(distribution) or []]
    core = {one.name for one in needed if one.marker is None}
    return tuple(
        one.name for one in needed if one.name not in core and one.marker and one.marker.evaluate({"extra": extra})
    )


def _is_installed(name):
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True

"""The metadata by which nbgrader knows the cells of a release: schema 3, with its checksum."""

import hashlib

from course_utils.run.notebook import source

SCHEMA = 3


def mark_attempt(cell, exercise_id):
    """Mark the cell where students write: it can be edited and not deleted."""
    _mark(cell, "attempt", exercise_id, solution=True)


def mark_check(cell, exercise_id):
    """Mark a check's cell: it can neither be edited nor deleted."""
    _mark(cell, "check", exercise_id, locked=True)


def mark_points(cell, exercise_id, points):
    """Mark the cell that tells nbgrader the points."""
    _mark(cell, "points", exercise_id, locked=True, grade=True, points=points)


def _mark(cell, kind, exercise_id, solution=False, locked=False, grade=False, points=None):
    facts = {
        "cell_type": cell["cell_type"],
        "grade": grade,
        "grade_id": f"{kind}-{exercise_id.replace('.', '-')}",
        "locked": locked,
        "schema_version": SCHEMA,
        "solution": solution,
        "task": False,
    }
    if grade:
        facts["points"] = points
    facts["checksum"] = checksum(cell, facts)
    cell["metadata"] |= {"deletable": False, "nbgrader": facts} | ({"editable": False} if locked else {})


def checksum(cell, facts):
    """nbgrader's own checksum of a cell with these facts, by which it notices a change."""
    parts = [source(cell), cell["cell_type"], facts["grade"], facts["solution"], facts["locked"], facts["grade_id"]]
    parts += [float(facts["points"])] if facts["grade"] else []
    return hashlib.md5("".join(map(str, parts)).encode(), usedforsecurity=False).hexdigest()

"""A row of a report back from JSON."""

from course_utils.run.report import Error, Row


def as_row(data):
    """The `Row` in a dict of `report.json`; fields that this version does not know are left out.

    Raises ValueError, TypeError or KeyError where it is none.
    """
    known = {name: value for name, value in data.items() if name in Row.__dataclass_fields__}
    error = known.get("error")
    warnings = tuple(known.get("warnings") or ())
    return Row(**known | {"warnings": warnings, "error": error and Error(**error)})

"""Puts a class together: submissions, what was refused, and the roster."""

from collections import defaultdict

from course_utils.teach.results import Record
from course_utils.teach.roster import Student
from course_utils.teach.submissions import Refused
from course_utils.teach.times import punctuality


def records_of(handed_in, refused, found, roster, times, deadline):
    """The `Record`s of everyone, in the roster's order and then by id, and (student, file, reason) of what was refused.

    `found` are the marks by the owner's id, `times` the instructor's by id in lower case.
    """
    people = _by_student(handed_in, roster, deadline)
    double = {id for id, pairs in people.items() if len({one.sha256 for _, one in pairs}) > 1}
    refused = [*refused, *(_double(one) for id in sorted(double) for _, one in people[id])]
    rows = {id: _record(*pairs[0], found, times, roster) for id, pairs in people.items() if id not in double}
    for one in refused:
        student = roster.match(one.owner)[0] or Student(one.owner.id, one.owner.name, "", deadline)
        rows.setdefault(student.id, _without(student, one))
    for student in roster.students:
        rows.setdefault(student.id, Record(student.id, student.name, student.email, handed_in="missing"))
    order = {student.id: place for place, student in enumerate(roster.students)}
    listed = sorted(rows.values(), key=lambda row: (order.get(row.id, len(order)), row.id))
    return tuple(listed), tuple((one.owner.id, one.source, one.reason) for one in refused)


def _by_student(handed_in, roster, deadline):
    people, found = defaultdict(list), [roster.match(one.owner) for one in handed_in]
    best = {}
    for student, surely in found:
        best[student] = max(surely, best.get(student, 0))
    for one, (student, surely) in zip(handed_in, found, strict=True):
        if student is None or surely < best[student]:  # who bears the id comes before whoever took the name
            student = Student(one.owner.id, one.owner.name, "", deadline)
        people[student.id].append((student, one))
    return people


def _double(one):
    return Refused(one.owner, one.source, "is one of several different notebooks that belong to one student")


def _record(student, submission, found, times, roster):
    owner = submission.owner
    known = [times.get(id.casefold()) for id in (student.id, owner.id)]
    came = next(filter(None, known), submission.time)
    stranger = roster.students and student not in roster.students
    remarks = (*submission.content.remarks, *(["Not on the roster."] if stranger else []))
    return Record(
        id=student.id,
        name=student.name or owner.name,
        email=student.email,
        lms_id=owner.id if owner.from_lms else "",
        source=submission.source,
        time=came.isoformat() if came else None,
        handed_in=punctuality(student.deadline, came, owner.late),
        remarks=remarks,
        marks=found[owner.id],
    )


def _without(student, refused):
    return Record(
        id=student.id,
        name=student.name,
        email=student.email,
        lms_id=refused.owner.id if refused.owner.from_lms else "",
        source=refused.source,
        problem=f"not graded: {refused.source} {refused.reason}",
    )

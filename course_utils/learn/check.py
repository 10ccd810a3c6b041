"""`check`: the verdict on a learner's answer, at once and in the notebook."""

from dataclasses import dataclass, replace

from course_utils.errors import CourseError
from course_utils.learn import assignment, handout, own, progress
from course_utils.learn.attempt import LIMIT_SECONDS, cases_of, outcomes, public_seed
from course_utils.learn.catalog import find_exercise
from course_utils.learn.exercise import Exercise
from course_utils.learn.guard import current_shell
from course_utils.learn.verdict import INTERRUPTED, PASSED, Verdict, judge, refused
from course_utils.learn.verdict_html import note_html, verdict_html, verdict_text

_notices = set()  # sentences that are shown once in a session
_latest = {}  # exercise id → what its latest check in this process said


@dataclass(frozen=True)
class Checked:
    """What one check said; `seed` is that of its cases, None for the course's public ones."""

    exercise: Exercise
    verdict: Verdict
    seed: int | None


def check(id=None, attempt=...):
    """Show the verdict on an answer; return it when it passed, else the course's solution.

    Never raises: what is wrong with the call itself, or with the check, is shown as a sentence.
    """
    exercise = None
    try:
        release = _release(id)
        exercise = _find(id, attempt, release)
        _latest.pop(id, None)
        seed = public_seed(id, release.variant) if release and release.variant else None
        verdict = examine(exercise, attempt, seed)
        _latest[id] = Checked(exercise, verdict, seed)
        _show(verdict_html(exercise, verdict, not release or release.reveal), verdict_text(exercise, verdict))
        _record(verdict)
        return attempt if verdict.status == PASSED else _instead(exercise, attempt)
    except KeyboardInterrupt:
        _say("The check was interrupted.")
    except CourseError as problem:
        _say(str(problem))
    except Exception as problem:
        _say(f"The check itself failed ({type(problem).__name__}: {problem}). That is the course's fault, not yours.")
    return attempt if exercise is None else _instead(exercise, attempt)


def latest(id):
    """What the latest check of this exercise in this process said, as `Checked`; None without one."""
    return _latest.get(id)


def examine(exercise, attempt, seed=None, limit=LIMIT_SECONDS) -> Verdict:
    """The verdict without showing or recording it; `limit` is in seconds for all cases together."""
    name = "your value" if exercise.value else f"the function you wrote, `my_{exercise.reference.__name__}`"
    if handout.was_handed_out(exercise, attempt):
        return refused(exercise, f"This is the course's own solution, from an earlier check. Pass {name}.")
    cases = cases_of(exercise, seed)
    with handout.watching(exercise) as solution:
        answers = outcomes(exercise, attempt, cases, limit)
    if solution["called"]:
        own = exercise.reference.__name__
        return refused(exercise, f"Your function calls the course's own solution, `{own}`. Write the steps yourself.")
    return judge(exercise, answers, cases)


def _instead(exercise, attempt):
    return attempt if exercise.is_recorded else handout.hand_out(exercise)


def _release(id):
    return assignment.find(id) if isinstance(id, str) else None


def _find(id, attempt, release):
    if isinstance(id, str):
        exercise = own.find(id, release) if id.startswith(f"{assignment.OWN}.") else find_exercise(id)
        return replace(exercise, hints=()) if release and not release.hints else exercise
    if isinstance(attempt, str):
        raise CourseError(f"The exercise's name comes first: check({attempt!r}, …).")
    raise CourseError('The first argument of check is the exercise\'s name, such as "week01.rmse".')


def _record(verdict):
    if verdict.status == INTERRUPTED:
        return
    notice = progress.record(verdict.exercise_id, verdict.status, verdict.points)
    if notice and notice not in _notices:
        _notices.add(notice)
        _say(notice)


def _say(sentence):
    _show(note_html(sentence), sentence)


def _show(html, text):
    if current_shell() is None:
        print(text)
        return
    from IPython.display import display

    display({"text/html": html, "text/plain": text}, raw=True)

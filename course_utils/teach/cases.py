"""The cases that a round of grading tries, and what the reference and the known mistakes give in them."""

from dataclasses import dataclass, replace

from course_utils.errors import CourseError
from course_utils.learn import wire
from course_utils.learn.attempt import cases_of, our_outcomes
from course_utils.learn.credit import earned_by_constant
from course_utils.learn.exercise import Case, Exercise
from course_utils.teach.key import case_seed

DRAWS = 4
_OTHER_SEEDS = range(8)
OTHER_CASE = "another case"


@dataclass(frozen=True)
class Prepared:
    """An exercise in one round: `hidden` and `public` know what is expected in their cases.

    `kinds` says of each hidden case what a student may read about it. `earned_by_constant` is the number of hidden
    cases that a constant or a table of the public cases gets right.
    """

    hidden: Exercise
    hidden_cases: tuple[Case, ...]
    public: Exercise
    public_cases: tuple[Case, ...]
    kinds: tuple[str, ...]
    earned_by_constant: int


def prepare(key, exercise, round):
    """The `Prepared` exercise: it runs the course's own solutions, so in the main thread only.

    Raises CourseError where the reference itself does not answer every case, or a case is too large.
    """
    hidden = drawn(exercise, case_seed(key, exercise.id, round))
    public = cases_of(exercise)
    expecting = _expecting(exercise, hidden)
    return Prepared(
        hidden=expecting,
        hidden_cases=tuple(hidden),
        public=_expecting(exercise, public),
        public_cases=tuple(public),
        kinds=kinds(exercise, hidden),
        earned_by_constant=earned_by_constant(exercise, hidden, public),
    )


def drawn(exercise, seed):
    """The cases of several draws, each once: those that no seed changes come with every draw.

    Raises CourseError where a case is too large.
    """
    found = {}
    try:
        for case in (case for draw in range(DRAWS) for case in cases_of(exercise, [seed, draw])):
            found.setdefault(wire.encode([case.args, dict(case.kwargs)]), case)
    except wire.WireError as error:
        raise CourseError(
            f"A case of {exercise.id} is more than the sandbox takes: {error}. Make it smaller."
        ) from None
    return list(found.values())


def _expecting(exercise, cases):
    """The exercise with its solutions' outcomes in these cases recorded, so that each is computed once."""
    solutions = [exercise.reference, *(mistake.solution for mistake in exercise.mistakes)]
    recorded = {solution: our_outcomes(exercise, solution, cases) for solution in solutions}
    broken = [one for one in recorded[exercise.reference] if one.problem or one.untouched]
    if broken or not cases:
        raise CourseError(f"The reference of {exercise.id} does not answer its own cases. Mend the exercise.")
    return replace(exercise, parts={**exercise.parts, "recorded": recorded})


def kinds(exercise, cases):
    """What may be said of each case: its note, where every other seed gives that very note too.

    A note that was put together from what the seed drew would tell a part of the hidden case.
    """
    public = [{case.note for case in cases_of(exercise, [seed])} for seed in _OTHER_SEEDS]
    known = set.intersection(*public) - {""}
    return tuple(case.note if case.note in known else OTHER_CASE for case in cases)

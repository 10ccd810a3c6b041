"""What an exercise is: one place for its reference, cases, known mistakes, hints and drive.

The names here are all that `course_utils/exercises/weekNN.py` may import from the course.
"""

import inspect
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Case:
    """One call of the attempt. `note` says in the learner's words what is special about it."""

    args: tuple = ()
    kwargs: Mapping = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class Mistake:
    """A wrong solution that people really write, and the sentence that names it."""

    message: str
    solution: Callable


@dataclass(frozen=True)
class Exercise:
    """An exercise under construction: `@exercise(...)` makes it, its decorators complete it.

    `relative` and `absolute` are the tolerances of floating-point comparison, as in
    `numpy.isclose`. `in_place` is true where changing the input is what was asked for; a drive
    then returns what became of it. `value` is true where the answer is a value: the reference and
    the mistakes are functions without parameters that return it, and no cases are needed.
    """

    id: str
    reference: Callable
    points: int
    minutes: int
    difficulty: int
    needs: tuple[str, ...]
    hints: tuple[str, ...]
    relative: float = 1e-6
    absolute: float = 1e-9
    in_place: bool = False
    value: bool = False
    parts: dict = field(default_factory=dict, repr=False)
    mistakes: list[Mistake] = field(default_factory=list, repr=False)

    def cases(self, generate):
        """Decorator: a generator `(rng) -> Case…`; `rng` is a seeded `numpy.random.Generator`."""
        self.parts["cases"] = generate
        return generate

    def drive(self, run):
        """Decorator: `(attempt, *args, **kwargs) -> plain values`, for answers that are not functions of plain values."""
        self.parts["drive"] = run
        return run

    def mistake(self, message):
        """Decorator: a wrong solution; `message` is shown where an answer agrees with it on all cases."""

        def add(solution):
            self.mistakes.append(Mistake(message, solution))
            return solution

        return add

    @property
    def lesson(self):
        """The lesson's id, the part of the exercise's id before the dot."""
        return self.id.partition(".")[0]

    @property
    def is_recorded(self):
        """Whether solutions are not here, only what comes of them in the cases: `parts["recorded"]`, by function."""
        return "recorded" in self.parts

    def solution_source(self):
        """The reference as a learner would write it: no decorator, named `my_…`."""
        return self.typed(self.reference)

    def typed(self, solution):
        """The source of the reference or of a mistake as a learner would type it over the stub."""
        source = textwrap.dedent(inspect.getsource(solution))
        start = f"def {solution.__name__}("
        return source[source.index(start) :].replace(start, f"def my_{self.reference.__name__}(", 1).rstrip()


def exercise(id, *, points, minutes, difficulty, needs, hints, **options):
    """Turn a reference solution into an `Exercise`; `difficulty` is 1 (easy) to 3 (hard)."""

    def build(reference):
        return Exercise(id, reference, points, minutes, difficulty, tuple(needs), tuple(hints), **options)

    return build

"""Lint a lesson: every rule of the contract, without running a cell."""

from course_utils.bars import bar
from course_utils.run import contract, form, terms
from course_utils.run.cells import load, print_problems

RULES = (
    contract.has_passport,
    contract.has_hook,
    contract.has_predictions,
    contract.has_exercises,
    contract.has_vram_lab,
    contract.breaks_something,
    contract.has_recap,
    contract.has_receipt,
    form.has_measured_prose,
    form.has_short_cells,
    form.has_figures,
    form.has_clean_code,
    form.has_only_kept_outputs,
    terms.has_introduced_terms,
)


def lint(path):
    """All broken rules of the notebook at `path` as `Problem`s, in the order of the rules.

    Raises CourseError where the file is no notebook.
    """
    notebook = load(path)
    return [problem for rule in RULES for problem in rule(notebook)]


def show(lessons):
    """Print the broken rules of these lessons (`LessonFile`s); the exit status."""
    found = {}
    with bar("reading", len(lessons), "lessons") as tell:
        for number, one in enumerate(lessons, 1):
            found[one.path.name] = lint(one.path)
            tell(number)
    broken = sum(print_problems(name, problems) for name, problems in found.items())
    print(f"{broken} problem{'s' * (broken > 1)}" if broken else "The lessons keep their contract.")
    return 1 if broken else 0

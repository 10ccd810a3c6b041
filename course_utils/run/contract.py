"""The lesson contract, first half: what every lesson does for its learner, rule by rule."""

import ast
import re

from course_utils.learn import passport
from course_utils.learn.catalog import exercises_of
from course_utils.run.cells import Problem, calls


def has_passport(notebook):
    """Rule 1: a complete passport, one parameters cell, and a start that names this lesson."""
    try:
        papers = passport.from_metadata(notebook.metadata["course"])
    except (KeyError, TypeError) as error:
        return [Problem("passport", f"metadata.course is incomplete: {error} is missing")]
    found = []
    if papers.lesson != notebook.lesson:
        found.append(Problem("passport", f"it is for {papers.lesson!r}, the file is for {notebook.lesson!r}"))
    if not 1 <= len(papers.objectives) <= 5:
        found.append(Problem("passport", f"{len(papers.objectives)} objectives; 1 to 5 are allowed"))
    return found + _parameters(notebook) + _start(notebook)


def _parameters(notebook):
    tagged = [cell for cell in notebook.code if "parameters" in cell.tags]
    if len(tagged) != 1 or not re.search(r'^PROFILE = "auto"$', tagged[0].source, re.MULTILINE):
        return [Problem("parameters", 'exactly one code cell must be tagged "parameters" and say PROFILE = "auto"')]
    return []


def _start(notebook):
    found = [ast.unparse(call) for cell in notebook.code for call in calls(cell, "course.start")]
    if len(found) != 1 or repr(notebook.lesson) not in found[0] or "PROFILE" not in found[0]:
        return [Problem("parameters", f'course.start("{notebook.lesson}", PROFILE) must be called once')]
    return []


def has_hook(notebook):
    """Rule 2: a result within the first four code cells, in at most 10 lines."""
    first = [cell for cell in notebook.code if "parameters" not in cell.tags and not calls(cell, "course.start")][:2]
    if any(cell.lines <= 10 and (calls(cell, "print") or calls(cell, "plots.show")) for cell in first):
        return []
    return [Problem("hook", "neither of the first two cells after course.start shows a result in at most 10 lines")]


def has_predictions(notebook):
    """Rule 3: at least three guesses, each drawn against the result, and no `input()`."""
    guesses = [cell for cell in notebook.code if re.search(r"^guess\w* = None", cell.source, re.MULTILINE)]
    drawn = notebook.calling("plots.against_guess")
    found = [Problem("predict", "input() stops a headless run", cell.number) for cell in notebook.calling("input")]
    if len(guesses) < 3 or len(drawn) < len(guesses):
        text = f"{len(guesses)} cells say guess = None and {len(drawn)} draw it; at least 3 are needed, each drawn"
        found.append(Problem("predict", text))
    return found


def has_exercises(notebook):
    """Rule 4: three to five exercises, each with minutes, a typed stub and one check cell."""
    checks = [(cell, call.args[0].value) for cell in notebook.code for call in calls(cell, "course.check")]
    ids, known = [id for _, id in checks], exercises_of(notebook.lesson)
    found = [] if 3 <= len(ids) <= 5 else [Problem("exercises", f"{len(ids)} check cells; 3 to 5 are allowed")]
    if sorted(ids) != sorted(known):
        found.append(Problem("exercises", f"checks {sorted(ids)}, but the lesson's module has {sorted(known)}"))
    return found + [
        problem for cell, id in checks if id in known for problem in _one_exercise(notebook, cell, known[id])
    ]


def _one_exercise(notebook, check, exercise):
    stub, task = notebook.cells[check.number - 2], notebook.cells[check.number - 3]
    found = []
    if not _is_stub(stub, exercise.id):
        text = (
            f"the cell before the check of {exercise.id} must be a stub my_{_name(exercise.id)} with type annotations"
        )
        found.append(Problem("exercises", text, stub.number))
    if task.kind != "markdown" or f"{exercise.minutes} minutes" not in task.source:
        text = f'the task of {exercise.id} must stand before its stub and say "{exercise.minutes} minutes"'
        found.append(Problem("exercises", text, task.number))
    return found


def _name(id):
    return id.partition(".")[2]


def _is_stub(cell, id):
    if re.fullmatch(rf"my_{_name(id)}(: .+)? = \.\.\.", cell.source.strip()):
        return True
    functions = [node for node in cell.tree.body if isinstance(node, ast.FunctionDef)] if cell.tree else []
    named = [one for one in functions if one.name == f"my_{_name(id)}"]
    typed = named and named[0].returns and all(argument.annotation for argument in named[0].args.args)
    return bool(typed and "raise NotImplementedError" in cell.source)


def has_vram_lab(notebook):
    """Rule 5: a lesson that uses the GPU has a section "VRAM lab"."""
    uses_gpu = notebook.metadata.get("course", {}).get("gpu")
    return (
        [] if not uses_gpu or notebook.has_heading("VRAM lab") else [Problem("vram", 'there is no section "VRAM lab"')]
    )


def breaks_something(notebook):
    """Rule 6: a section "Break it" that provokes a failure inside `course.expect`."""
    if notebook.has_heading("Break it") and notebook.calling("course.expect"):
        return []
    return [Problem("break it", 'a section "Break it" with a failure inside `with course.expect(…):` is missing')]


def has_recap(notebook):
    """Rule 7: 8–12 questions with a reason for every choice, a table of terms, "Go further"."""
    quiz = notebook.metadata.get("course", {}).get("quiz", ())
    found = [] if 8 <= len(quiz) <= 12 else [Problem("recap", f"{len(quiz)} questions; 8 to 12 are allowed")]
    found += [Problem("recap", f"question {i}: {text}") for i, one in enumerate(quiz, 1) for text in _question(one)]
    text = "\n".join(cell.source for cell in notebook.markdown)
    parts = {"a heading Recap": notebook.has_heading("Recap"), "a table of terms": "\n|---" in text}
    parts |= {'"Go further"': "Go further" in text, "lesson.quiz()": notebook.calling("lesson.quiz")}
    return found + [Problem("recap", f"{what} is missing") for what, there in parts.items() if not there]


def _question(question):
    answers = question.get("answers", ())
    if not all(answer.get("feedback", "").strip() for answer in answers):
        yield "a choice has no feedback"
    if len(answers) < 2 or not any(answer.get("correct") for answer in answers):
        yield "it needs at least two choices, one of them correct"


def has_receipt(notebook):
    """Rule 8: at least one recorded metric, and `lesson.finish()` in the last code cell."""
    found = [] if notebook.calling("lesson.record") else [Problem("receipt", "lesson.record(…) is never called")]
    if not notebook.code or not calls(notebook.code[-1], "lesson.finish"):
        found.append(Problem("receipt", "the last code cell must call lesson.finish()"))
    return found

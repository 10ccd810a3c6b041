"""`course assign`, `course handout`, `course grade`: what an instructor types."""

from pathlib import Path
from typing import Annotated

import typer

from course_utils.bars import bar
from course_utils.errors import CourseError

Lesson = Annotated[str, typer.Argument(help="week01, 01 or a notebook's file.", show_default=False)]


def assign(
    lesson: Lesson,
    out: Annotated[Path, typer.Option(help="The zip to write; a folder with --vary.")],
    exercises: Annotated[
        str | None, typer.Option(help="Which to grade, such as week03.conv2d,week03.output_size; all by default.")
    ] = None,
    deadline: Annotated[str | None, typer.Option(help="With its offset: 2026-12-24T18:00+01:00.")] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the release and of its key; the lesson's by default.")
    ] = None,
    hints: Annotated[bool, typer.Option(help="Whether a check unfolds hints.")] = True,
    reveal: Annotated[bool, typer.Option(help="Whether a check unfolds the solution.")] = True,
    vary: Annotated[
        Path | None, typer.Option(help="A roster (CSV: id,name,email): other constants for each student.")
    ] = None,
    own: Annotated[Path | None, typer.Option("--with", help="A Python file with exercises of your own.")] = None,
    package: Annotated[str | None, typer.Option(help="What students install the course from, as pip takes it.")] = None,
):
    """Make a release of one lesson for students. The key that grades it goes beside it."""
    from course_utils.teach import assign as release

    options = release.Options(exercises, deadline, name, hints, reveal, package)
    release.show(release.assign(lesson, out, options, vary, own))


def handout(
    lesson: Lesson,
    out: Annotated[Path | None, typer.Option(help="The page to write; week03.html by default.")] = None,
):
    """Write one page for a 90-minute class. It has goals, timing, common mistakes, rubric and slides."""
    from course_utils.teach import handout as page

    with bar("making the page, some seconds"):  # importing takes most of them, and tells no steps
        sentence = page.write(lesson, out)
    print(sentence)


def grade(
    submissions: Annotated[
        Path | None, typer.Argument(help="A folder, a zip, or an LMS export of notebooks.", show_default=False)
    ] = None,
    key: Annotated[Path, typer.Option(help="The key of the release.")] = ...,
    out: Annotated[
        Path, typer.Option(help="The table to write; the report on the class and the results go beside it.")
    ] = Path("grades.csv"),
    feedback: Annotated[Path | None, typer.Option(help="A folder for one page a student.")] = None,
    jobs: Annotated[int | None, typer.Option(help="Attempts at a time; one per core by default.")] = None,
    roster: Annotated[Path | None, typer.Option(help="The class (CSV: id,name,email,extension).")] = None,
    times: Annotated[Path | None, typer.Option(help="When submissions came (CSV: id,time).")] = None,
    new_round: Annotated[bool, typer.Option("--new-round", help="Draw new hidden cases and grade all again.")] = False,
    gradebook: Annotated[str | None, typer.Option(help="canvas or moodle: also write what these import.")] = None,
    verify: Annotated[Path | None, typer.Option(help="Only check the signature of this results file.")] = None,
):
    """Grade submissions in a sandbox. Written are a table, pages, a report on the class and a signed results file."""
    from course_utils.teach import grade as grading
    from course_utils.teach import grade_show

    if (submissions is None) == (verify is None):
        raise CourseError("Name the submissions, or give --verify and a results file, but not both.")
    if verify:
        raise typer.Exit(grade_show.verified(verify, key))
    options = grading.Options(key, submissions, out, feedback, jobs, roster, times, new_round, gradebook)
    with bar("grading", unit="attempts") as tell:
        done = grading.grade(options, tell)
    grade_show.finished(done, options)

"""`course new`: a lesson that runs and keeps the contract, for its author to write over.

`template/` has a small real lesson; `weekNN`, `Week NN` and `TITLE` in its files stand for the new one's names.
"""

import json
import re
import unicodedata
from pathlib import Path

from course_utils.errors import CourseError
from course_utils.learn import catalog
from course_utils.learn.paths import project_dir, write_atomically

TEMPLATE = Path(__file__).parent / "template"
_ID = re.compile(r"week(\d\d[a-z]?)")
_LONGEST_SLUG = 40


def make(lesson, title, root=None):
    """Write the new lesson's files below `root`, the clone unless given; their paths.

    Raises CourseError for a bad id or title, and where a part of the lesson exists; then nothing is written.
    """
    root = Path(root or project_dir())
    title = _checked(lesson, title)
    module = f"{lesson}.py"
    exercises, answers = root / "course_utils" / "exercises" / module, root / "tests" / "right_answers" / module
    _require_new(lesson, root, (exercises, answers))
    names = {"weekNN": lesson, "Week NN": f"Week {_ID.fullmatch(lesson)[1]}", "TITLE": title}
    contents = {
        root / "notebooks" / f"{lesson}_{_slug(title)}.ipynb": _notebook(names),
        exercises: _filled((TEMPLATE / "exercises.py").read_text(encoding="utf-8"), names),
        answers: _filled((TEMPLATE / "right_answers.py").read_text(encoding="utf-8"), names),
    }
    _write_all(contents)
    return tuple(contents)


def show(paths):
    """What was made and what to type next, in lines."""
    lesson = paths[1].stem
    return "\n".join(
        [
            *map(str, paths),
            "It keeps the contract already. Open it with `course lab`, write over it piece by piece, and type",
            f"`course lint {lesson}`, `pytest tests/test_exercises.py -k {lesson}`, `course run {lesson} --profile smoke`.",
            "Its row in the syllabus: `course syllabus`. CONTRIBUTING.md has the rest on one page.",
        ]
    )


def _checked(lesson, title):
    if not _ID.fullmatch(lesson):
        raise CourseError(
            f"{lesson!r} is no id of a lesson: write week, two digits and at most one letter, such as week13 or week13b."
        )
    title = " ".join(title.split())
    if not _slug(title):
        raise CourseError(f'The title {title!r} has no letter or digit: write one such as "Graphs: who knows whom?".')
    return title


def _slug(title):
    """The title as part of a file's name: small letters and digits without accents, whole words."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    words = re.findall(r"[a-z0-9]+", plain)
    kept = [word for i, word in enumerate(words) if len("_".join(words[: i + 1])) <= _LONGEST_SLUG]
    return "_".join(kept) or "".join(words)[:_LONGEST_SLUG]


def _require_new(lesson, root, files):
    there = [one.path for one in catalog.lessons(root / "notebooks") if one.id == lesson]
    there += [path for path in files if path.exists()]
    if there:
        names = ", ".join(path.relative_to(root.resolve()).as_posix() for path in map(Path.resolve, there))
        raise CourseError(f"{lesson} exists: {names}. Take another id; `course list` shows those in use.")


def _notebook(names):
    """The template's notebook; its strings are filled in one by one, so that a title may hold quotation marks."""
    content = json.loads((TEMPLATE / "lesson.ipynb").read_text(encoding="utf-8"))
    return json.dumps(_walked(content, names), indent=1, ensure_ascii=False) + "\n"


def _walked(tree, names):
    if isinstance(tree, dict):
        return {key: _walked(value, names) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_walked(one, names) for one in tree]
    return _filled(tree, names) if isinstance(tree, str) else tree


def _filled(text, names):
    return re.sub("|".join(names), lambda found: names[found[0]], text)


def _write_all(contents):
    written = []
    try:
        for path, content in contents.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, content)
            written.append(path)
    except BaseException:  # also Ctrl-C: the three files come together or not at all
        for path in written:
            path.unlink()
        raise

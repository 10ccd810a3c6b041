"""A tiny course of two lessons and a run of it, written by hand, and the book that is made of them."""

import base64
import io
import json

from course_utils.book import build, memory, opening, sources
from course_utils.book.copies import Copy
from course_utils.learn import catalog
from course_utils.learn.paths import project_dir

WIDGET, STATE = "application/vnd.jupyter.widget-view+json", "application/vnd.jupyter.widget-state+json"
QUIZ = [
    {
        "type": "multiple_choice",
        "question": "What is 1 + 1?",
        "answers": [
            {"answer": "2", "correct": True, "feedback": "Right: count."},
            {"answer": "3", "correct": False, "feedback": "One too many."},
        ],
    }
]
SYLLABUS = "# Syllabus\n\n| lesson |\n|---|\n| [One](notebooks/week01_one.ipynb) |\n\n## Using other courses with this one\n\nNone.\n"


def picture(width=40, height=20, color="white"):
    """A PNG in base64."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (width, height), color).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def shown(**data):
    """An output; `html` and `text` stand for the long names of their kinds."""
    names = {"html": "text/html", "text": "text/plain", "script": "application/javascript", "png": "image/png"}
    kinds = {names.get(kind, kind): value for kind, value in data.items()}
    return {"output_type": "display_data", "metadata": {}, "data": kinds}


def printed(text, name="stdout"):
    return {"output_type": "stream", "name": name, "text": text}


def code(source, *outputs, tags=()):
    return {
        "cell_type": "code",
        "metadata": {"tags": list(tags)},
        "source": source,
        "outputs": list(outputs),
        "execution_count": 1,
    }


def prose(text):
    return {"cell_type": "markdown", "metadata": {}, "source": text}


def notebook(lesson, title, *cells, widgets=None):
    """An executed notebook with a complete passport."""
    course = {
        "lesson": lesson,
        "title": title,
        "build": "a tiny thing",
        "objectives": ["see <one> page"],
        "prerequisites": ["nothing"],
        "minutes": 5,
        "downloads": "none",
        "extra": None,
        "licences": {"data": "none"},
        "gpu": False,
        "vram": None,
        "quiz": QUIZ,
    }
    metadata = {"course": course} | ({"widgets": {STATE: {"state": widgets}}} if widgets else {})
    start = code('lesson = course.start("x", PROFILE)', shown(html="<table class='course-passport'>once</table>"))
    head = [prose(f"# {title}\n\nA first word."), code('PROFILE = "auto"', tags=["parameters"])]
    end = [code("lesson.quiz()", shown(script="var questions = 1;")), prose(TABLE.format(lesson))]
    cells = [*head, code('PROFILE = "cpu"', tags=["injected-parameters"]), start, *cells, *end]
    return {"nbformat": 4, "nbformat_minor": 4, "metadata": metadata, "cells": cells}


TABLE = "| word | meaning |\n|---|---|\n| tiny {} | small |\n"


def run(folder, *notebooks, started="2026-01-02T03:04:05+00:00", profile="cpu", **row):
    """Write a run's report and the executed copies, and the notebooks themselves; the `LessonFile`s.

    `notebooks` are (file's stem, notebook); `row` replaces entries of every row.
    """
    sources_folder = folder / "notebooks"
    place = folder / "runs" / started.replace(":", "-")
    sources_folder.mkdir(parents=True, exist_ok=True)
    place.mkdir(parents=True)
    rows = []
    for stem, content in notebooks:
        for where in (place, sources_folder):
            (where / f"{stem}.ipynb").write_text(json.dumps(content))
        checks = {"total": 1, "passed": 0, "not_yet": 0, "blank": 1}
        facts = {"status": "passed", "checks": checks, "copy": f"{stem}.ipynb", "profile": profile}
        rows.append({"lesson": stem.partition("_")[0]} | facts | row)
    (place / "report.json").write_text(json.dumps({"schema": 1, "started": started, "lessons": rows}))
    return catalog.lessons(sources_folder)


def lessons():
    """Two lessons with everything that a page must cope with."""
    state = {
        "box": {"model_name": "VBoxModel", "state": {"children": ["IPY_MODEL_text", "IPY_MODEL_image"]}},
        "text": {"model_name": "TextModel", "state": {"value": "a red apple", "description": "Prompt"}},
        "image": {
            "model_name": "ImageModel",
            "state": {},
            "buffers": [{"path": ["value"], "encoding": "base64", "data": picture(8, 8)}],
        },
    }
    bar = "  3%|3         | 1/30\r100%|##########| 30/30"
    first = [
        prose("## A section\n\nA formula, $\\hat y = x^2$, and\n\n$$\\log p = \\frac{1}{2}$$"),
        code("draw()", shown(html=f'<img alt="A white box." src="data:image/png;base64,{picture(600, 200)}">')),
        code('print("where")', printed(f"written to {project_dir()}/runs/x\n"), printed(bar, "stderr")),
        prose("### Exercise 1 · RMSE"),
        code("def my_rmse(y, y_hat):\n    raise NotImplementedError"),
        code(
            'rmse = course.check("week01.rmse", my_rmse)', shown(html="<div>Not attempted</div>", text="Not attempted")
        ),
        code("long = " + " + ".join(["a_long_name"] * 30), printed("wide " * 60)),
    ]
    box = shown(**{WIDGET: {"model_id": "box"}, "text": "VBox(children=(Text(…"})
    second = [prose("## Live\n\nBack to [the first](week01_one.ipynb)."), code("box", box)]
    return (
        ("week01_one", notebook("week01", "Week 01 · One tiny lesson", *first)),
        ("week02_two", notebook("week02", "Week 02 · Two", *second, widgets=state)),
    )


def site(folder, patch, out):
    """Make the book of `lessons()` in `out`; Sphinx's warnings."""
    import typer

    from course_utils.cli import app

    files = run(folder, *lessons())
    patch.setattr(catalog, "lessons", lambda folder=None: files)
    copies = tuple(Copy(one, _copy(folder, one), "cpu", "2026-01-02T03:04:05+00:00") for one in files)
    predicted = (
        memory.Prediction("gpt2", 2**29, "fits"),
        memory.Prediction("big", 2**34, "does not fit", 2**32, "fits"),
    )
    origin = opening.Origin("https://github.com/someone/course", "a" * 40)
    return build.make(out, sources.Book(copies, origin, typer.main.get_command(app), predicted, SYLLABUS))


def _copy(folder, lesson):
    return next((folder / "runs").glob(f"*/{lesson.path.name}"))

"""One vocabulary: what the course calls by one name is not called by another, in prose, on the screen or in passports."""

import ast
import json
import re

import pytest

from course_utils.learn import catalog
from course_utils.learn.paths import project_dir
from course_utils.run.cells import load

# Forms that the course does not use, and the one it does. Code, names of others and titles in *italics* are left out.
INSTEAD = {
    r"optimiz\w+": "optimise …",
    r"(quanti|normali|standardi|regulari|initiali|generali)z\w+": "…ise",
    r"analyz\w+": "analyse",
    r"colors?\b(?![-:;.]|\d)": "colour",
    r"gray\b": "grey",
    r"neighbors?\b": "neighbour",
    r"labeled\b": "labelled",
    r"behavior\b": "behaviour",
    r"licenses?\b": "licence",
    r"learnt\b": "learned",
    r"datasets?\b": "data set",
    r"(testing|hold-?out|held-out) sets?\b|test (data|split)\b": "test set",
    r"(train|learning) (set|split)s?\b|training (data|split)\b": "training set",
    r"(dev|val|development) (set|split)s?\b|validation (data|split)\b": "validation set",
    r"mini-?batch(es)?\b": "batch",
    r"batchnorms?\b|batch normali[sz]ation\b": "batch norm",
    r"fine ?tun\w+": "fine-tuning",
    r"pre-train\w+": "pretrained",
    r"cross entropy\b": "cross-entropy",
    r"log-loss\b": "log loss",
    r"shortcuts?\b": "short cut",
    r"multi-layer\b": "multilayer",
    r"auto-encoders?\b": "autoencoder",
    r"time-?steps?\b": "step",
    r"activation checkpointing\b": "gradient checkpointing",
    r"(graphics|device|GPU) memory\b": "VRAM, or the card's memory",
    r"cached memory\b": "reserved memory",
    r"video card\b": "card",
    r"(tokens|steps|pictures|examples)(/sec| per second)\b": "tokens a second",
    r"percent\b": "per cent, or %",
}
# Names in the lessons' code, picked for the learner's card.
NAMES_INSTEAD = {
    "batch": "batch_size",
    "bs": "batch_size",
    "n_epochs": "epochs",
    "num_epochs": "epochs",
    "n_steps": "steps",
}
OTHERS_NAMES = r"nll_loss normalize|tokenizer|Shared GPU memory|Community License|bokeh-sampledata"
_NO_PROSE = (
    r"(?s)```.*?```",
    r"`[^`\n]+`",
    r"\[\S+\]\(\S+\)",
    r"\]\([^)]*\)",
    r"(?<!\*)\*[^*\n]+\*(?!\*)",
    OTHERS_NAMES,
)


def prose(text):
    for pattern in _NO_PROSE:
        text = re.sub(pattern, " ", text)
    return text


def markdown(notebook):
    return [prose("".join(cell["source"])) for cell in notebook["cells"] if cell["cell_type"] == "markdown"]


def sentences(value):
    """Every text of more than one word in plain data."""
    if isinstance(value, str):
        return [prose(value)] if " " in value else []
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for one in inside for text in sentences(one)]


def of_lesson(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    return markdown(notebook) + sentences(notebook["metadata"]["course"])


def of_module(path):
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return [text for node in nodes if isinstance(node, ast.Constant) for text in sentences(node.value)]


def found(texts):
    return [
        f"{text[max(0, m.start() - 40) : m.end() + 20]!r}: write {form}"
        for pattern, form in INSTEAD.items()
        for text in texts
        for m in re.finditer(rf"(?<!['\w.-]){pattern}", text, re.IGNORECASE)
    ]


def picked(path):
    """The names to which a lesson assigns what `lesson.pick` gives."""
    cells = load(path).code
    assigned = [node for cell in cells for node in ast.walk(cell.tree) if isinstance(node, ast.Assign)]
    targets = [node.targets[0] for node in assigned if ast.unparse(node.value).startswith("lesson.pick(")]
    return [name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)]


@pytest.mark.parametrize("lesson", catalog.lessons(), ids=lambda lesson: lesson.id)
def test_a_lesson_calls_things_by_one_name(lesson):
    assert found(of_lesson(lesson.path)) == []
    assert [f"{name}: write {NAMES_INSTEAD[name]}" for name in picked(lesson.path) if name in NAMES_INSTEAD] == []


def test_the_pages_call_things_by_one_name():
    pages = [project_dir() / "README.md", project_dir() / "syllabus.md", *(project_dir() / "docs").glob("*.md")]
    assert found([prose(page.read_text(encoding="utf-8")) for page in pages]) == []


def test_what_the_package_prints_calls_things_by_one_name():
    modules = (project_dir() / "course_utils").rglob("*.py")
    assert found([text for module in modules for text in of_module(module)]) == []


@pytest.mark.parametrize("text", ["a dataset", "the testing set", "32 tokens per second", "fine tuning", "12 percent"])
def test_a_form_that_the_course_does_not_use_is_found(text):
    assert len(found([prose(text)])) == 1


@pytest.mark.parametrize("text", ["`dataset`", "the tokenizer", "*Efficient Finetuning*", "a data set", "colour"])
def test_code_and_the_names_of_others_are_left_alone(text):
    assert found([prose(text)]) == []

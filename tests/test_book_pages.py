"""What becomes of a lesson's cells in the book: each converter on tiny input written by hand."""

import base64
import io
import json
import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import book_maker
from book_maker import code, printed, shown
from bs4 import BeautifulSoup

from course_utils.book import (
    commands,
    copies,
    faults,
    figures,
    folds,
    formulas,
    glossary,
    lesson,
    memory,
    opening,
    outputs,
    quiz,
)
from course_utils.errors import CourseError
from course_utils.learn import catalog
from course_utils.learn.paths import project_dir, runs_dir


def html(*shown_by_cell, content=None, site=Path("nowhere")):
    return outputs.as_html(code("x", *shown_by_cell), content or {"metadata": {}}, site)


def test_a_picture_becomes_a_file_with_its_words_and_its_size(tmp_path):
    source = f'<p><img alt="Two &quot;boxes&quot;." src="data:image/png;base64,{book_maker.picture(60, 30)}"></p>'
    page = html(shown(html=source, text="[figure]"), site=tmp_path)
    tag = BeautifulSoup(page, "html.parser").img
    assert (tag["alt"], tag["width"], tag["height"]) == ('Two "boxes".', "60", "30")
    assert "data:image" not in page and "[figure]" not in page
    assert len(list((tmp_path / "figures").iterdir())) == 1


def test_a_recompressed_picture_has_the_same_pixels_and_is_not_larger(tmp_path):
    from PIL import Image

    data = base64.b64decode(book_maker.picture(300, 200, "#c2410c"))
    figures.image(data, "a box", tmp_path)
    (path,) = (tmp_path / "figures").iterdir()
    assert path.stat().st_size <= len(data)
    with Image.open(path) as new, Image.open(io.BytesIO(data)) as old:
        assert new.convert("RGB").tobytes() == old.convert("RGB").tobytes()


def test_a_figure_shown_without_html_keeps_the_words_that_its_output_has(tmp_path):
    output = shown(png=book_maker.picture(), text="<Figure size 640x480>")
    output["metadata"] = {"image/png": {"alt": "A white box."}}
    assert 'alt="A white box."' in html(output, site=tmp_path)
    assert 'alt=""' in html(shown(png=book_maker.picture()), site=tmp_path)  # which the check of the site reports


def test_printed_text_is_escaped_and_loses_its_colours():
    assert html(printed("\x1b[31ma < b\x1b[0m\n")) == '<pre class="course-text">a &lt; b</pre>'


def test_progress_bars_are_dropped_and_overwritten_lines_show_their_last_state():
    bar = shown(**{book_maker.WIDGET: {"model_id": "x"}, "text": "Reading:   0%|          | 0/10 [00:00<?]"})
    assert html(printed("  3%|3   | 1/30\r100%|####| 30/30\n", "stderr"), bar) == ""
    assert "step 2" in html(printed("step 1\rstep 2\n")) and "step 1" not in html(printed("step 1\rstep 2\n"))


def test_a_progress_bar_whose_text_does_not_show_it_is_dropped_too(tmp_path):
    state = {"bar": {"model_name": "FloatProgressModel", "state": {"value": 1.0}}}
    state["box"] = {"model_name": "HBoxModel", "state": {"children": ["IPY_MODEL_bar"]}}
    content = {"metadata": {"widgets": {book_maker.STATE: {"state": state}}}}
    output = shown(**{book_maker.WIDGET: {"model_id": "box"}, "text": "HBox(children=("})
    assert html(output, content=content, site=tmp_path) == html(printed("7it [00:01, 6.5it/s]\n")) == ""


def test_a_script_is_dropped():
    assert html(shown(script="var x", text="<Javascript object>")) == ""


def test_a_widget_leaves_a_sentence_and_what_it_showed(tmp_path):
    content = book_maker.lessons()[1][1]
    output = shown(**{book_maker.WIDGET: {"model_id": "box"}, "text": "VBox(children=("})
    page = html(output, content=content, site=tmp_path)
    assert "open the lesson in JupyterLab" in page and "<li>Prompt: a red apple</li>" in page
    assert 'width="8"' in page and "VBox" not in page


def test_no_folder_of_this_machine_is_left_in_an_output():
    page = html(printed(f"{project_dir()}/runs/a {Path.home()}/.x {sys.prefix}/bin /home/ada/b https://x.org/home/c\n"))
    assert page == '<pre class="course-text">course/runs/a ~/.x course/.venv/bin ~/b https://x.org/home/c</pre>'


def test_a_check_cell_shows_each_hint_and_the_solution_behind_its_own_fold():
    assert folds.checked('rmse = course.check("week01.rmse", my_rmse)') == ["week01.rmse"]
    assert folds.checked("%timeit f()") == folds.checked("course.check(name, f)") == []
    page, exercise = folds.as_html("week01.rmse"), catalog.find_exercise("week01.rmse")
    assert page.count("<details") == len(exercise.hints) + 1
    assert "my_rmse" in page and "1 point, 5 minutes, easy" in page and " open" not in page


def test_every_choice_of_a_quiz_is_a_button_with_its_reason():
    page = quiz.as_html(book_maker.QUIZ)
    assert page.count("<button") == 2 and page.count('data-right="true"') == 1
    assert 'data-reason="One too many."' in page and "1. What is 1 + 1?" in page and 'aria-live="polite"' in page


def test_the_right_answer_is_not_always_first():
    questions = [
        one for each in catalog.lessons() for one in json.loads(each.path.read_text())["metadata"]["course"]["quiz"]
    ]
    first = [sorted(one["answers"], key=quiz._place)[0]["correct"] for one in questions]
    assert 0.1 < sum(first) / len(first) < 0.6


@pytest.mark.parametrize(
    ("tex", "part"),
    [
        (r"\sqrt x", "<msqrt><mi>x</mi></msqrt>"),
        (r"\log p", '<mi>log</mi><mspace width="0.17em"/>'),
        (r"\mathcal N", "<mi>\U0001d4a9</mi>"),
        (r"\mathbb R", "<mi>\u211d</mi>"),
        (r"\bar x", '<mo stretchy="false">&#x000AF;</mo>'),
    ],
)
def test_a_formula_becomes_mathml(tex, part):
    assert part in formulas.mathml(tex)


def test_every_formula_of_the_lessons_can_be_drawn():
    texts = [
        "".join(c["source"])
        for one in catalog.lessons()
        for c in json.loads(one.path.read_text())["cells"]
        if c["cell_type"] == "markdown"
    ]
    found = [tex for text in texts for tex in re.findall(r"\$\$(.+?)\$\$", text, re.DOTALL)]
    assert len(found) > 10
    assert all("\\" not in formulas.mathml(tex) for tex in found)


def test_a_page_has_the_passport_once_and_no_cell_of_the_runner(tmp_path):
    (file, _) = book_maker.run(tmp_path, *book_maker.lessons())
    copy = copies.Copy(file, next((tmp_path / "runs").glob("*/week01_one.ipynb")), "cpu", "2026-01-02T03:04")
    cells = lesson.page(copy, opening.Origin("", ""), tmp_path / "site")["cells"]
    texts = [one["source"] for one in cells]
    assert texts[0] == "# Week 01 · One tiny lesson" and texts[2] == "A first word."
    assert texts[1].count("course-passport") == 1 and "see &lt;one&gt; page" in texts[1]
    assert (
        "the run of 2026-01-02 with profile cpu, exercises left blank" in texts[1] and "changed since" not in texts[1]
    )
    assert not any('PROFILE = "cpu"' in one or ">once<" in one or "Not attempted" in one for one in texts)
    assert sum("course-quiz" in one for one in texts) == 1 and "lesson.quiz()" not in texts


def test_a_page_says_that_its_notebook_has_changed_since_the_run(tmp_path):
    (file, _) = book_maker.run(tmp_path, *book_maker.lessons())
    copy = copies.Copy(file, next((tmp_path / "runs").glob("*/week01_one.ipynb")), "cpu", "2026-01-02T03:04")
    file.path.write_text(file.path.read_text().replace("draw()", "draw(2)"))
    assert "the notebook has changed since" in lesson.about(copy)[0][1]


def test_a_listing_in_an_output_does_not_end_its_fence():
    assert lesson.html_cell("<pre>```\ncode\n```</pre>")["source"].startswith("````{raw} html\n")


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_RUNS_DIR", str(tmp_path / "runs"))
    return lambda started, **row: book_maker.run(tmp_path, *book_maker.lessons(), started=started, **row)


def test_the_newest_passed_copy_is_shown(runs):
    runs("2026-01-01T00:00:00+00:00")
    runs("2026-01-02T00:00:00+00:00")
    files = runs("2026-01-03T00:00:00+00:00", status="failed")
    assert {one.started[:10] for one in copies.newest(files)} == {"2026-01-02"}


def test_a_run_with_answers_and_a_run_at_toy_size_are_not_shown_where_there_is_another(runs):
    files = runs("2026-01-01T00:00:00+00:00")
    runs("2026-01-02T00:00:00+00:00", checks={"total": 1, "passed": 1, "not_yet": 0, "blank": 0})
    runs("2026-01-03T00:00:00+00:00", profile="smoke")
    assert {one.started[:10] for one in copies.newest(files)} == {"2026-01-01"}


@pytest.mark.parametrize("text", ['{"started": ', "[]", '{"schema": 99}'])
def test_a_report_that_cannot_be_read_is_passed_over(runs, text):
    files = runs("2026-01-01T00:00:00+00:00")
    (runs_dir() / "cut").mkdir()
    (runs_dir() / "cut" / "report.json").write_text(text)
    assert len(copies.newest(files)) == 2


def test_without_a_run_the_book_says_what_to_type(runs):
    files = runs("2026-01-01T00:00:00+00:00", status="failed")
    with pytest.raises(CourseError, match="No lesson has passed .* Type `course run --all --profile cpu`, then"):
        copies.newest(files)


def test_a_lesson_that_never_passed_is_named(runs):
    files = runs("2026-01-01T00:00:00+00:00")
    extra = catalog.LessonFile("week03", Path("week03_three.ipynb"))
    with pytest.raises(CourseError, match="week03 passed in no run .* Type `course run week03 --profile cpu`"):
        copies.newest([*files, extra])


def test_hosted_links_need_a_clone_of_github():
    page = opening.as_html("a.ipynb", opening.Origin("https://github.com/who/what.git", "abc"))
    assert "https://colab.research.google.com/github/who/what/blob/abc/notebooks/a.ipynb" in page
    assert "https://kaggle.com/kernels/welcome?src=https://github.com/who/what/blob/abc/notebooks/a.ipynb" in page
    page = opening.as_html("a.ipynb", opening.Origin("https://example.org/who/what", "abc"))
    assert "colab.research" not in page and "this book was not made from a clone of there" in page


def test_every_command_is_on_one_page_with_its_options_and_its_example():
    import typer

    from course_utils.cli import app

    root = typer.main.get_command(app)
    pages = {whom: commands.page(root, whom) for whom in commands.TITLES}
    for name, _ in commands.leaves(root):
        assert sum(f"\n## course {name}\n" in page for page in pages.values()) == 1, name
    assert "| `--key <path>` | The key of the release. Required. |" in pages["instructor"]
    assert "By default `grades.csv`." in pages["instructor"]
    assert "\n```\ncourse handout week03\n```" in pages["instructor"]
    assert all("--help` |" not in page for page in pages.values())


def test_the_glossary_has_every_term_with_a_link_to_its_lesson():
    from course_utils.run import terms

    page = glossary.page()
    assert page.count("\n: ") == len(terms.glossary())
    assert "](notebooks/week01_regression.ipynb)" in page


def test_memory_says_plainly_that_nothing_was_measured(tmp_path):
    page = memory.page([memory.Prediction("gpt2", 2**29, "fits")], tmp_path)
    assert "**Not measured yet.**" in page and "| `gpt2` | 512.00 MiB | fits |  |" in page


def test_memory_shows_what_was_measured_with_card_and_date(tmp_path):
    row = {"name": "a", "what": "A step", "status": "measured", "process_bytes": 2**31}
    head = {"kind": "gpu contract", "device": "cuda", "tiny": False, "date": "2026-03-04T00:00", "card": "A card"}
    (tmp_path / "a.json").write_text(json.dumps(head | {"rows": [row]}))
    page = memory.page([], tmp_path)
    assert "**A card**, 2026-03-04" in page and "| A step | measured | 2.00 GiB |" in page
    assert "**Not measured yet.**" not in page


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('<a href="gone.html">x</a>', "gone.html leads to no file"),
        ('<a href="#gone">x</a>', "#gone leads to no place in its page"),
        ('<img src="a.png" width="1" height="1" alt=" ">', "has no alt"),
        ('<img src="a.png" alt="A box.">', "has no width, height"),
        ('<script src="https://x.org/a.js"></script>', "https://x.org/a.js is loaded from elsewhere"),
        ('<link rel="stylesheet" href="//x.org/a.css">', "//x.org/a.css is loaded from elsewhere"),
        ("<p>/home/ada/course</p>", "names a folder of the machine"),
        (f"<p>{project_dir()}/x</p>", "names a folder of the machine"),
    ],
)
def test_a_fault_in_a_page_is_found(tmp_path, body, said):
    (tmp_path / "a.png").write_bytes(b"")
    (tmp_path / "page.html").write_text(f"<html><body>{body}</body></html>")
    (found,) = faults.find(tmp_path)
    assert said in str(found) and found.page == "page.html"


def test_a_fault_in_a_style_is_found(tmp_path):
    (tmp_path / "a.css").write_text("a { background: url(https://x.org/a.png) } b { background: url('gone.png') }")
    assert [one.what for one in faults.find(tmp_path)] == [
        "https://x.org/a.png is loaded from elsewhere",
        "gone.png leads to no file",
    ]


def test_a_sound_page_has_no_fault(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    body = '<a href="#here" id="here">x</a><a href="https://x.org">y</a><img src="a.png" alt="A box." width="1" height="1">'
    (tmp_path / "page.html").write_text(f"<html><body>{body}</body></html>")
    assert faults.find(tmp_path) == []


def test_an_answer_that_was_streamed_word_by_word_is_one_text():
    warned = {**printed("careful"), "name": "stderr"}
    page = html(printed("The "), printed("answer "), printed("is 42.\n"), warned, printed("Done.\n"))
    texts = [tag.get_text() for tag in BeautifulSoup(page, "html.parser").find_all("pre")]
    assert texts == ["The answer is 42.", "careful", "Done."]

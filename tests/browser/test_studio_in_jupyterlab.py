"""The picture studio in a real browser: two pictures by its Draw button, a long one ended by Stop, a bad size told."""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1]))
import jupyterlab
import tiny_pipeline

SHOW = """from diffusers import StableDiffusionPipeline
import torch
from course_utils.learn.picture_text import Settings
from course_utils.learn.studio import Studio

torch.set_num_threads(1)
pipeline = StableDiffusionPipeline.from_pretrained("pipeline", local_files_only=True)
Studio(pipeline, Settings("a red fox on a hill", "blue", 20, 7.5, 7, 32, 32), "pictures")"""


def prepare(folder):
    """The tiny pipeline as a folder beside a notebook that shows a studio for it."""
    from nbformat import write
    from nbformat.v4 import new_code_cell, new_notebook

    tiny_pipeline.pipeline(folder / "tokenizer").save_pretrained(folder / "notebooks" / "pipeline")
    spec = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    notebook = new_notebook(cells=[new_code_cell(SHOW)], metadata={"kernelspec": spec})
    write(notebook, folder / "notebooks" / "studio.ipynb")


def press(tab, name):
    tab.get_by_role("button", name=name, exact=True).click()


def put(tab, label, value):
    field = tab.get_by_label(label, exact=True)
    field.fill(value)
    field.press("Tab")


def wait_for_message(tab, words):
    tab.locator(".jp-OutputArea [role=status]", has_text=words).wait_for(timeout=60_000)


def wait_for_pictures(tab, number):
    """Wait until the gallery shows so many pictures and no more."""
    seen = tab.get_by_role("img", name="Picture of “a red fox on a hill")
    seen.nth(number - 1).wait_for(timeout=20_000)
    assert seen.count() == number


def clipped(tab):
    """The words of labels, captions and buttons whose text is wider than their place."""
    places = ".jp-OutputArea .widget-label, .jp-OutputArea .widget-button"
    return tab.locator(places).evaluate_all(
        "nodes => nodes.filter(one => one.scrollWidth > one.clientWidth + 1).map(one => one.innerText)"
    )


def test_pictures_are_drawn_and_a_long_one_is_stopped(tmp_path):
    prepare(tmp_path)
    errors, shots = [], jupyterlab.output_folder()
    with jupyterlab.lab(tmp_path, "studio.ipynb") as address, jupyterlab.page(address, errors=errors) as tab:
        jupyterlab.wait_until_ready(tab)
        tab.keyboard.press("Control+b")  # hide the file list
        jupyterlab.run_cell(tab, "from diffusers")
        wait_for_message(tab, "Press Draw.")
        press(tab, "Draw")
        wait_for_message(tab, "Saved as pictures/0001_seed7.png.")
        assert tab.get_by_text("20/20", exact=True).count() == 1
        wait_for_pictures(tab, 1)

        press(tab, "New seed")
        tab.get_by_label("Sampler", exact=True).select_option("Euler")
        press(tab, "Draw")
        wait_for_message(tab, "Saved as pictures/0002_seed")
        wait_for_pictures(tab, 2)

        put(tab, "Steps", "999")
        press(tab, "Draw")
        tab.get_by_text(re.compile(r"^\d{2,3}/999$")).wait_for(timeout=60_000)
        press(tab, "Stop")
        wait_for_message(tab, "nothing was kept.")
        wait_for_pictures(tab, 2)

        put(tab, "Width (pixels)", "33")
        press(tab, "Draw")
        wait_for_message(tab, "The width is 33 pixels, which 8 does not divide. Take 32 or 40.")
        put(tab, "Width (pixels)", "32")
        put(tab, "Steps", "20")
        put(tab, "Seed", "4294967295")
        tab.get_by_label("Sampler", exact=True).select_option("DPM++ 2M Karras")  # the longest words that there are
        put(tab, "Prompt", "a red fox on a hill" + ", at night" * 3)
        press(tab, "Draw")
        wait_for_message(tab, re.compile("^Drawn in .* cut off: “t night, at night”"))
        wait_for_pictures(tab, 3)
        for width, dark in ((1200, False), (1200, True), (760, False)):
            jupyterlab.show_as(tab, width, dark)
            assert clipped(tab) == []
            name = f"studio-{'dark' if dark else 'light'}-{width}.png"
            tab.locator(".jp-OutputArea").first.screenshot(path=shots / name)
    assert errors == []
    assert len(list((tmp_path / "notebooks" / "pictures").glob("*.png"))) == 3

import io
import threading
import time
import weakref
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import numpy
import pytest
import tiny_pipeline
import torch
from PIL import Image

from course_utils.learn import picture_request, picture_text, studio_widgets
from course_utils.learn.picture_text import Settings
from course_utils.learn.studio import Studio

FOX = Settings("a red fox", "blue", 4, 7.5, 3, 32, 32)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    yield from tiny_pipeline.one_thread()


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return tiny_pipeline.pipeline(tmp_path_factory.mktemp("pipeline"))


@pytest.fixture
def own(tmp_path):
    """A pipeline that the test may change."""
    return tiny_pipeline.pipeline(tmp_path / "pipeline")


@contextmanager
def each_step(pipeline, act):
    """Call `act(number)` before each pass through the U-Net, counted from 1."""
    numbers = iter(range(1, 10_000))
    hook = pipeline.unet.register_forward_pre_hook(lambda *_: act(next(numbers)))
    try:
        yield
    finally:
        hook.remove()


def failing(error, at):
    """An act that raises this error at step `at`, once, as a layer does that holds a large tensor meanwhile."""
    seen = []

    def act(number):
        tensor = torch.zeros(1000)
        seen.append(weakref.ref(tensor))
        if number == at:
            raise error

    return act, seen


def waiting():
    """An act that holds the second step until the test lets go, and the events for both."""
    reached, go_on = threading.Event(), threading.Event()

    def act(number):
        if number == 2:
            reached.set()
            assert go_on.wait(20)

    return act, reached, go_on


def finish(studio):
    studio.thread.join(20)
    assert not studio.thread.is_alive()


def same(one, two):
    return numpy.array_equal(numpy.asarray(one), numpy.asarray(two))


def kind_of(studio):
    return studio.panel.message.value.partition('data-kind="')[2].partition('"')[0]


def test_a_studio_starts_with_the_settings_it_is_given(shared):
    studio = Studio(shared, replace(FOX, model="tiny"))
    assert studio.settings == replace(FOX, model="tiny")
    assert studio.message == "Press Draw." and studio.panel.gallery.children == ()


def test_without_settings_it_takes_the_pipelines_own_size(shared):
    assert Studio(shared).settings == Settings("", width=32, height=32)


def test_draw_gives_the_picture_that_the_pipeline_draws(shared):
    studio = Studio(shared, FOX)
    drawn = studio.draw()
    assert same(drawn.picture, picture_request.draw(shared, FOX))
    assert drawn.settings == FOX and drawn.path is None and list(studio.pictures) == [drawn]
    assert studio.message.startswith("Drawn in ") and kind_of(studio) == "done"
    assert (studio.panel.progress.value, studio.panel.progress.max, studio.panel.count.value) == (4, 4, "4/4")


def test_the_fields_are_what_is_drawn(shared):
    studio = Studio(shared)
    values = {"prompt": "a dog", "negative": "red", "steps": 2, "scale": 3.5, "seed": 9, "sampler": "Euler"}
    for name, value in {**values, "width": 40, "height": 24}.items():
        getattr(studio.panel, name).value = value
    expected = Settings("a dog", "red", 2, 3.5, 9, 40, 24, "Euler")
    drawn = studio.draw()
    assert drawn.settings == expected and drawn.picture.size == (40, 24)
    assert same(drawn.picture, picture_request.draw(shared, expected))


def test_the_draw_button_draws_in_a_thread_that_dies_with_the_kernel(shared):
    studio = Studio(shared, FOX)
    act, reached, go_on = waiting()
    with each_step(shared, act):
        studio.panel.draw.click()
        assert reached.wait(20)
        assert studio.thread.daemon and studio.thread is not threading.current_thread()
        assert studio.panel.count.value == "1/4" and studio.panel.progress.value == 1
        go_on.set()
        finish(studio)
    assert studio.panel.count.value == "4/4" and len(studio.pictures) == 1


def test_a_second_draw_while_one_runs_is_refused_and_the_first_goes_on(shared):
    studio = Studio(shared, FOX)
    act, reached, go_on = waiting()
    with each_step(shared, act):
        studio.panel.draw.click()
        assert reached.wait(20)
        first = studio.thread
        studio.panel.draw.click()
        assert studio.thread is first
        assert studio.message.startswith("A picture is being drawn already: wait until it is done, or press Stop")
        assert studio.draw() is None
        go_on.set()
        finish(studio)
    assert len(studio.pictures) == 1 and studio.message.startswith("Drawn in ")


def test_stop_ends_after_the_step_that_runs_and_the_next_picture_is_whole(shared):
    studio = Studio(shared, FOX)
    act, reached, go_on = waiting()
    with each_step(shared, act):
        studio.panel.draw.click()
        assert reached.wait(20)
        studio.panel.stop.click()
        assert studio.message == "Stopping after this step …"
        go_on.set()
        finish(studio)
    assert studio.message == "Stopped after step 2 of 4: nothing was kept." and kind_of(studio) == "warning"
    assert len(studio.pictures) == 0 and studio.panel.count.value == "2/4"
    studio.panel.draw.click()
    finish(studio)
    assert same(studio.pictures[-1].picture, picture_request.draw(shared, FOX))


def test_stop_while_nothing_runs_says_so_and_stops_nothing_later(shared):
    studio = Studio(shared, FOX)
    studio.panel.stop.click()
    assert studio.message == "Nothing is being drawn."
    assert studio.draw() is not None


def test_new_seed_puts_another_allowed_seed_into_the_field(shared):
    studio, seeds = Studio(shared, FOX), set()
    for _ in range(20):
        studio.panel.new_seed.click()
        seeds.add(studio.settings.seed)
        picture_request.check(shared, studio.settings)
    assert len(seeds) > 15


@pytest.mark.parametrize(
    "name, value, words",
    [
        ("width", 500, "The width is 500 pixels, which 8 does not divide. Take 496 or 504."),
        ("steps", 0, "The number of steps is 0."),
        ("seed", -1, "The seed is -1."),
        ("scale", 99.0, "The guidance scale is 99.0."),
    ],
)
def test_a_bad_value_ends_as_a_message_and_the_next_picture_is_drawn(name, value, words, shared):
    studio = Studio(shared, FOX)
    getattr(studio.panel, name).value = value
    assert studio.draw() is None
    assert studio.message.startswith(words) and kind_of(studio) == "error"
    getattr(studio.panel, name).value = getattr(FOX, name)
    assert studio.draw() is not None


def test_a_prompt_that_is_cut_is_drawn_with_a_warning(shared):
    studio = Studio(shared, replace(FOX, prompt="fox " * 22 + "at night"))
    assert studio.draw() is not None
    assert "cut off: “at night”." in studio.message and kind_of(studio) == "warning"


def test_a_sampler_that_is_not_here_is_replaced_with_a_remark(shared):
    studio = Studio(shared, replace(FOX, sampler="Euler a"))
    assert studio.settings.sampler == "DDIM"
    assert studio.message.startswith("There is no sampler 'Euler a'. The nearest is 'Euler'")
    assert studio.message.endswith("DDIM stands in its place.")


ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError("[enforce fail at alloc_cpu.cpp:114] DefaultCPUAllocator: can't allocate memory: you tried 9 bytes"),
    RuntimeError("MPS backend out of memory"),
    MemoryError(),
]


@pytest.mark.parametrize("error", ERRORS, ids=["card", "RAM", "another backend", "Python"])
@pytest.mark.parametrize("way", ["draw", "button"])
def test_out_of_memory_half_way_is_told_and_freed_and_the_next_picture_is_drawn(way, error, own):
    studio, (act, seen) = Studio(own, FOX), failing(error, at=3)
    with each_step(own, act):
        if way == "draw":
            assert studio.draw() is None
        else:
            studio.panel.draw.click()
            finish(studio)
    assert studio.message == (
        "Memory ran out at step 3 of 4: it was freed, and VAE slicing and VAE tiling are on for the next try, "
        "so press Draw again."
    )
    assert kind_of(studio) == "error" and own.vae.use_slicing and own.vae.use_tiling
    assert error.__traceback__ is None and [one() for one in seen] == [None] * 3
    assert same(studio.draw().picture, picture_request.draw(own, FOX))


def test_what_the_failed_call_held_is_let_go_of(own, monkeypatch):
    studio, latents = Studio(own, FOX), []
    prepare = own.prepare_latents

    def prepared(*arguments):
        latents.append(weakref.ref(made := prepare(*arguments)))
        return made

    monkeypatch.setattr(own, "prepare_latents", prepared)
    kept = ERRORS[0]  # somebody holds the error, as a debugger or a log does
    act, _ = failing(kept, at=1)
    with each_step(own, act):
        studio.draw()
    assert [one() for one in latents] == [None]


def test_out_of_memory_at_the_decoding_says_so(own, monkeypatch):
    studio, decode = Studio(own, FOX), own.vae.decode

    def full(*_, **__):
        raise ERRORS[0]

    monkeypatch.setattr(own.vae, "decode", full)
    assert studio.draw() is None
    assert studio.message.startswith("Memory ran out at the decoding: it was freed, and VAE slicing and VAE tiling")
    monkeypatch.setattr(own.vae, "decode", decode)
    assert studio.draw() is not None


def test_with_all_savings_on_a_smaller_picture_is_what_is_left(own):
    studio, (act, _) = Studio(own, FOX), failing(ERRORS[0], at=1)
    picture_request.save_memory(own)
    with each_step(own, act):
        assert studio.draw() is None
    assert studio.message.startswith(
        "Memory ran out at step 1 of 4, and there is no saving left to switch on: it was freed;"
    )
    assert studio.draw() is not None


def test_plain_attention_is_sliced_for_the_next_try(own):
    from diffusers.models.attention_processor import AttnProcessor

    own.unet.set_attn_processor(AttnProcessor())
    studio, (act, _) = Studio(own, FOX), failing(ERRORS[0], at=2)
    with each_step(own, act):
        assert studio.draw() is None
    assert "and attention slicing, VAE slicing and VAE tiling are on for the next try" in studio.message
    assert studio.draw() is not None


def test_parts_that_wait_in_ram_go_back_there_when_memory_runs_out(own, monkeypatch):
    studio, (act, _), called = Studio(own, FOX), failing(ERRORS[0], at=1), []
    monkeypatch.setattr(own, "maybe_free_model_hooks", lambda: called.append("freed"))
    with each_step(own, act):
        studio.draw()
    assert called == ["freed"]


def test_where_even_the_freeing_fails_the_message_still_comes(own, monkeypatch):
    studio, (act, _) = Studio(own, FOX), failing(ERRORS[0], at=1)

    def full():
        raise MemoryError

    monkeypatch.setattr(own, "maybe_free_model_hooks", full)
    with each_step(own, act):
        studio.panel.draw.click()
        finish(studio)
    assert studio.message == (
        "Memory ran out at step 1 of 4, and freeing it failed with MemoryError: no words. Restart the kernel."
    )
    monkeypatch.undo()
    assert studio.draw() is not None


def test_any_other_error_in_the_thread_ends_as_a_message(shared):
    act, _ = failing(ValueError("a strange <b>thing</b>\nand more"), at=2)
    studio = Studio(shared, FOX)
    with each_step(shared, act):
        studio.panel.draw.click()
        finish(studio)
    assert studio.message.startswith("The pipeline failed with ValueError: a strange <b>thing</b>. Nothing was drawn;")
    assert "<b>" not in studio.panel.message.value and kind_of(studio) == "error"
    assert "in act" in studio.traceback and "and more" in studio.traceback
    assert studio.draw() is not None


def test_an_interrupt_of_a_draw_in_a_cell_goes_on_to_the_cell(shared):
    act, _ = failing(KeyboardInterrupt(), at=2)
    studio = Studio(shared, FOX)
    with each_step(shared, act), pytest.raises(KeyboardInterrupt):
        studio.draw()
    assert studio.message == "Interrupted: nothing was drawn."
    assert studio.draw() is not None


def test_the_gallery_keeps_the_last_eight_newest_first(shared):
    studio = Studio(shared, replace(FOX, steps=1))
    for seed in range(10):
        studio.panel.seed.value = seed
        studio.draw()
        if seed == 0:
            first = studio.panel.gallery.children[0]
    captions = [tile.children[1].value for tile in studio.panel.gallery.children]
    assert captions == [f"seed {seed} · DDIM" for seed in range(9, 1, -1)]
    assert [one.settings.seed for one in studio.pictures] == list(range(2, 10))
    assert first.comm is None and first.children[0].comm is None, "the page keeps no picture that is gone"


def shown(tile):
    image = tile.children[0]
    return image, Image.open(io.BytesIO(bytes(image.value)))


def test_a_small_picture_is_shown_with_its_pixels_as_squares(shared):
    studio = Studio(shared, FOX)
    picture = studio.draw().picture
    image, seen = shown(studio.panel.gallery.children[0])
    assert seen.size == (256, 256) and (image.width, image.height) == ("256", "256")
    assert all(
        seen.getpixel((x, y)) == picture.getpixel((x // 8, y // 8)) for x in range(256) for y in range(0, 256, 5)
    )
    assert image.tooltip == "Picture of “a red fox”, seed 3"


@pytest.mark.parametrize(
    "size, expected",
    [((1024, 512), (256, 128)), ((512, 1024), (128, 256)), ((300, 300), (256, 256)), ((200, 8), (200, 8))],
)
def test_a_large_picture_is_shown_reduced_and_itself_left_alone(size, expected):
    picture = Image.new("RGB", size)
    assert studio_widgets.enlarged_or_reduced(picture).size == expected
    assert picture.size == size


def test_pictures_are_saved_with_their_settings_and_never_over_another(shared, tmp_path):
    folder = tmp_path / "new" / "foxes"
    for name in ("0001_seed3.png", "0002_seed3.png"):
        drawn = Studio(shared, FOX, folder).draw()
        assert drawn.path == folder / name and same(Image.open(drawn.path), drawn.picture)
        assert picture_text.read(drawn.path) == FOX
    studio = Studio(shared, FOX, str(folder))
    studio.draw()
    assert f"Saved as {folder / '0003_seed3.png'}." in studio.message
    assert studio.panel.gallery.children[0].children[0].tooltip.endswith(", saved as 0003_seed3.png")


def test_a_picture_that_cannot_be_saved_is_shown_all_the_same(shared, tmp_path):
    (tmp_path / "foxes").write_text("a file in the way")
    studio = Studio(shared, FOX, tmp_path / "foxes")
    assert studio.draw().path is None
    assert "It was not saved: " in studio.message and "Name a folder that you can write to" in studio.message
    assert len(studio.panel.gallery.children) == 1


def test_a_black_picture_of_the_safety_checker_is_explained(shared, monkeypatch):
    black = Image.new("RGB", (32, 32))
    black.info["withheld"] = True
    monkeypatch.setattr(picture_request, "draw", lambda *_: black)
    studio = Studio(shared, FOX)
    studio.draw()
    assert "The pipeline's safety checker made the picture black" in studio.message


def test_the_pipelines_own_bar_is_silent_meanwhile_and_back_afterwards(own, capsys):
    own.set_progress_bar_config(disable=False, desc="its own")
    Studio(own, FOX).draw()
    assert capsys.readouterr().err == ""
    assert own._progress_bar_config == {"disable": False, "desc": "its own"}
    picture_request.draw(own, FOX)
    assert "its own" in capsys.readouterr().err


def test_a_studio_shows_itself_as_the_value_of_a_cell(shared):
    studio = Studio(shared, FOX)
    bundle = studio._repr_mimebundle_()
    view = bundle["application/vnd.jupyter.widget-view+json"]
    assert view["model_id"] == studio.show().model_id
    assert bundle["text/plain"].startswith("Picture studio: run this cell in JupyterLab")


def test_every_field_has_a_label_and_every_button_says_what_it_does(shared):
    panel = Studio(shared).panel
    fields = (panel.prompt, panel.negative, panel.steps, panel.scale, panel.sampler, panel.width, panel.height)
    assert all(one.description for one in (*fields, panel.seed))
    assert all(one.description and one.tooltip for one in (panel.draw, panel.stop, panel.new_seed))
    assert 'role="status"' in panel.message.value


def test_two_draws_at_the_same_moment_make_one_picture(shared):
    studio, gate = Studio(shared, FOX), threading.Barrier(4)
    act, reached, go_on = waiting()

    def press():
        gate.wait()
        studio.start()

    with each_step(shared, act):
        pressed = [threading.Thread(target=press) for _ in range(4)]
        for one in pressed:
            one.start()
        for one in pressed:
            one.join()
        assert reached.wait(20)
        go_on.set()
        finish(studio)
    time.sleep(0.05)
    assert len(studio.pictures) == 1


def test_a_pipeline_without_the_usual_parts_still_ends_in_a_message(shared):
    class Odd(SimpleNamespace):
        def set_progress_bar_config(self, **_):
            pass

        def __call__(self, **_):
            raise torch.OutOfMemoryError("CUDA out of memory")

    odd = Odd(scheduler=shared.scheduler)
    studio = Studio(odd, FOX)
    assert studio.draw() is None
    assert studio.message.startswith("Memory ran out at step 1 of 4, and there is no saving left to switch on")

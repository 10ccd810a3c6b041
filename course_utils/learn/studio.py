"""The picture studio: a prompt and its settings as fields, Draw and Stop, the last pictures, and what went wrong in words.

The drawing happens in a thread of its own, so that the buttons work meanwhile. Whatever it meets ends as
a message, and the studio goes on: a bad size, a stop, memory that ran out, an error of the pipeline's.
"""

import contextvars
import secrets
import threading
import time
import traceback
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from course_utils.errors import CourseError
from course_utils.gpu.oom import free, leftovers
from course_utils.learn import picture_request, picture_text, studio_widgets

SHOWN = 8


@dataclass(frozen=True)
class Drawn:
    """A PIL picture, the settings that it was drawn with, and its file; `path` is None where it was not kept."""

    picture: Any
    settings: picture_text.Settings
    path: Path | None = None


class Studio:
    """A picture studio for a Stable Diffusion pipeline of diffusers, shown as the last value of a cell.

    It starts with `settings`, or with the pipeline's own size and an empty prompt. Where `folder` is given each
    picture is saved there as a PNG with its settings. `pictures` are the last eight as `Drawn`, newest last;
    `message` is what the message line says; `traceback` is that of the last error that nobody expected, as text.
    """

    def __init__(self, pipeline, settings=None, folder=None):
        self.pipeline = pipeline
        self.folder = None if folder is None else Path(folder)
        self.pictures, self.message, self.traceback, self.thread = deque(maxlen=SHOWN), "", "", None
        self._busy, self._stop, self._done_steps = threading.Lock(), threading.Event(), 0
        settings, remark = _known_sampler(pipeline, settings or usual_settings(pipeline))
        self._model = settings.model
        self.panel = studio_widgets.make(settings)
        self.panel.draw.on_click(lambda _: self.start())
        self.panel.stop.on_click(lambda _: self.stop())
        self.panel.new_seed.on_click(lambda _: self.take_new_seed())
        self._say(remark or "Press Draw.", "warning" if remark else "plain")

    def show(self):
        """The studio's widget."""
        return self.panel.whole

    def _repr_mimebundle_(self, **options):
        bundle = self.show()._repr_mimebundle_(**options)
        return {**bundle, "text/plain": "Picture studio: run this cell in JupyterLab to draw with buttons."}

    @property
    def settings(self):
        """What the fields say, as `Settings`."""
        names = ("prompt", "negative", "steps", "scale", "seed", "width", "height", "sampler")
        return picture_text.Settings(**{name: getattr(self.panel, name).value for name in names}, model=self._model)

    def start(self):
        """Draw in a thread of its own, as the Draw button does; a second one while one runs is refused."""
        if self._begin():
            # In a copy of this context: what a library prints goes where the button's own words would go.
            context = contextvars.copy_context()
            self.thread = threading.Thread(target=context.run, args=(self._work,), name="studio", daemon=True)
            self.thread.start()

    def draw(self):
        """Draw in the calling thread; the `Drawn`, or None where nothing came of it: `message` says why."""
        return self._work() if self._begin() else None

    def stop(self):
        """End the drawing after the step that runs now."""
        if self._busy.locked():
            self._stop.set()
            self._say("Stopping after this step …")
        else:
            self._say("Nothing is being drawn.")

    def take_new_seed(self):
        """Put a random seed into its field."""
        self.panel.seed.value = secrets.randbelow(picture_request.MOST_SEED + 1)

    def _begin(self):
        if not self._busy.acquire(blocking=False):
            self._say("A picture is being drawn already: wait until it is done, or press Stop.", "warning")
            return False
        self._stop.clear()
        return True

    def _work(self):
        """Draw, and turn whatever happens into a message."""
        try:
            return self._draw_and_keep(self.settings)
        except CourseError as error:
            self._say(str(error), "error")
        except KeyboardInterrupt:
            self._say("Interrupted: nothing was drawn.", "warning")
            raise
        except Exception as error:
            self._say(self._explained(error), "error")
        finally:
            self._busy.release()

    def _draw_and_keep(self, settings):
        started = time.monotonic()
        picture_request.check(self.pipeline, settings)
        self._show_steps(0, settings.steps)
        remarks = picture_request.warnings(self.pipeline, settings)
        self._say(" ".join(["Drawing …", *remarks]), "warning" if remarks else "plain")
        with _quiet(self.pipeline):
            picture = picture_request.draw(self.pipeline, settings, self._after_step)
        if picture is None:
            self._say(f"Stopped after step {self._done_steps} of {settings.steps}: nothing was kept.", "warning")
            return None
        if picture.info.get("withheld"):
            remarks = (*remarks, "The pipeline's safety checker made the picture black: try another seed or prompt.")
        return self._keep(picture, settings, remarks, time.monotonic() - started)

    def _after_step(self, done, steps):
        self._show_steps(done, steps)
        return not self._stop.is_set()

    def _keep(self, picture, settings, remarks, seconds):
        """Put a picture into the gallery and, where there is a folder, into a file."""
        path = None
        try:
            path = picture_text.save_numbered(picture, self.folder, settings) if self.folder else None
        except CourseError as error:
            remarks = (*remarks, f"It was not saved: {error}")
        drawn = Drawn(picture, settings, path)
        self.pictures.append(drawn)
        studio_widgets.put_in_front(self.panel.gallery, studio_widgets.tile(picture, settings, path), SHOWN)
        saved = [f"Saved as {path}."] if path else []
        words = [f"Drawn in {seconds:.1f} s.", *saved, *remarks]
        self._say(" ".join(words), "warning" if remarks else "done")
        return drawn

    def _explained(self, error):
        """The sentence about an error that nobody expected; after one of memory, its memory is free."""
        if picture_request.no_memory(error):
            return self._make_room(error)
        self.traceback = "".join(traceback.format_exception(error))
        return (
            f"The pipeline failed with {_words(error)}. Nothing was drawn; change the settings or press Draw again. "
            "The studio's `traceback` has the details."
        )

    def _make_room(self, error):
        """Free what the failed drawing holds and switch savings on; the sentence that says so."""
        steps = self.panel.progress.max
        where = f"at step {self._done_steps + 1} of {steps}" if self._done_steps < steps else "at the decoding"
        try:
            free_what_it_holds(error, self.pipeline)
            switched = picture_request.save_memory(self.pipeline)
        except Exception as second:
            return f"Memory ran out {where}, and freeing it failed with {_words(second)}. Restart the kernel."
        if switched:
            return (
                f"Memory ran out {where}: it was freed, and {_listed(switched)} are on for the next try, so press "
                "Draw again."
            )
        return (
            f"Memory ran out {where}, and there is no saving left to switch on: it was freed; take a smaller width "
            "and height, or close what else uses the memory, and press Draw again."
        )

    def _show_steps(self, done, steps):
        self._done_steps = done
        self.panel.progress.max = max(steps, 1)
        self.panel.progress.value = done
        self.panel.count.value = f"{done}/{steps}"

    def _say(self, text, kind="plain"):
        self.message = text
        self.panel.message.value = studio_widgets.message_html(text, kind)


def usual_settings(pipeline):
    """Settings for a pipeline whose user has none yet: its own size, and nothing in the prompt."""
    side = pipeline.unet.config.sample_size * pipeline.vae_scale_factor
    return picture_text.Settings("", width=side, height=side)


def free_what_it_holds(error, pipeline):
    """Let go of the tensors that a failed drawing keeps, and give the memory back."""
    for one in leftovers.chain(error):
        leftovers.clear(one)  # the tensors of the failed call hang on its frames
    if hasattr(pipeline, "maybe_free_model_hooks"):
        pipeline.maybe_free_model_hooks()  # parts that were moved to the card for their turn go back
    free.collect()


def _known_sampler(pipeline, settings):
    """Settings with a sampler that there is, and a remark where another one was asked for."""
    try:
        picture_request.sampler(pipeline, settings.sampler)
        return settings, ""
    except CourseError as error:
        return replace(settings, sampler="DDIM"), f"{error} DDIM stands in its place."


@contextmanager
def _quiet(pipeline):
    """Without the pipeline's own bar in the text below the cell."""
    before = getattr(pipeline, "_progress_bar_config", {})
    pipeline.set_progress_bar_config(**{**before, "disable": True})
    try:
        yield
    finally:
        pipeline.set_progress_bar_config(**before)


def _words(error):
    """An error's kind and its first line."""
    return f"{type(error).__name__}: {(str(error).strip() or 'no words').splitlines()[0]}"


def _listed(names):
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"

"""The fields, buttons and pictures of the picture studio (studio.py) as ipywidgets; nothing here draws."""

import io
from dataclasses import dataclass
from html import escape
from typing import Any

from course_utils.learn.picture_request import MOST_PIXELS, SAMPLERS

SHOWN_PIXELS = 256  # the longer side of a picture in the gallery
COLOURS = {"plain": "transparent", "done": "#15803d", "warning": "#b45309", "error": "#b91c1c"}
ROW = {"flex_flow": "row wrap", "width": "100%"}
INDENTED = {**ROW, "padding": "0 0 0 126px"}  # where the fields begin, behind their labels
LABEL = {"description_width": "120px"}


@dataclass(frozen=True)
class Panel:
    """The studio's widgets by what they are for; `whole` holds all the others."""

    prompt: Any
    negative: Any
    steps: Any
    scale: Any
    sampler: Any
    width: Any
    height: Any
    seed: Any
    new_seed: Any
    draw: Any
    stop: Any
    progress: Any
    count: Any
    message: Any
    gallery: Any
    whole: Any


def make(settings):
    """A `Panel` whose fields hold these settings."""
    import ipywidgets

    made = {**_fields(settings), **_buttons()}
    made["progress"] = ipywidgets.IntProgress(
        max=1, layout={"width": "auto", "flex": "1 1 200px"}, tooltip="steps done"
    )
    made["count"] = ipywidgets.Label(layout={"width": "90px"})
    made["message"] = ipywidgets.HTML(layout={"width": "100%", "margin": "4px 0"})
    made["gallery"] = ipywidgets.Box(layout=INDENTED)
    return Panel(**made, whole=_arranged(made))


def _fields(settings):
    import ipywidgets

    def number(kind, label, value, **more):
        return kind(value=value, description=label, style=LABEL, layout={"width": "280px"}, **more)

    def text(label, value, hint):
        return ipywidgets.Textarea(
            value=value,
            description=label,
            placeholder=hint,
            rows=2,
            style=LABEL,
            layout={"width": "auto", "height": "56px"},
        )

    whole = ipywidgets.IntText
    return {
        "prompt": text("Prompt", settings.prompt, "what the picture shows"),
        "negative": text("Negative prompt", settings.negative, "what it must not show; may stay empty"),
        "steps": number(whole, "Steps", settings.steps),
        "scale": number(ipywidgets.FloatText, "Guidance scale", settings.scale, step=0.5),
        "sampler": number(ipywidgets.Dropdown, "Sampler", settings.sampler, options=list(SAMPLERS)),
        "width": number(whole, "Width (pixels)", settings.width, step=8, tooltip=f"8 to {MOST_PIXELS}, in eights"),
        "height": number(whole, "Height (pixels)", settings.height, step=8, tooltip=f"8 to {MOST_PIXELS}, in eights"),
        "seed": number(whole, "Seed", settings.seed),
    }


def _buttons():
    import ipywidgets

    def button(label, hint, **more):
        return ipywidgets.Button(description=label, tooltip=hint, layout={"width": "100px"}, **more)

    return {
        "new_seed": button("New seed", "another seed, another picture"),
        "draw": button("Draw", "draw one picture with these settings", button_style="primary"),
        "stop": button("Stop", "stop after the step that runs now"),
    }


def _arranged(made):
    from ipywidgets import HBox, VBox

    return VBox(
        [
            made["prompt"],
            made["negative"],
            HBox([made["steps"], made["scale"], made["sampler"]], layout=ROW),
            HBox([made["width"], made["height"], made["seed"], made["new_seed"]], layout=ROW),
            HBox(
                [made["draw"], made["stop"], made["progress"], made["count"]],
                layout={**INDENTED, "align_items": "center"},
            ),
            made["message"],
            made["gallery"],
        ],
        layout={"width": "100%", "max_width": "970px", "overflow": "hidden"},
    )


def message_html(text, kind="plain"):
    """The message line: a screen reader speaks it, and the colour at its side says the same as its words."""
    style = f"border-left: 3px solid {COLOURS[kind]}; padding-left: 8px; margin-left: 124px; line-height: 1.5"
    return f'<div role="status" data-kind="{kind}" style="{style}">{escape(text)}</div>'


def tile(picture, settings, path=None):
    """One picture of the gallery with its caption; its words for a screen reader are the title of the image."""
    import ipywidgets

    saved = f", saved as {path.name}" if path else ""
    image = _image(enlarged_or_reduced(picture), f"Picture of “{settings.prompt}”, seed {settings.seed}{saved}")
    caption = ipywidgets.Label(f"seed {settings.seed} · {settings.sampler}")
    return ipywidgets.VBox([image, caption], layout={"width": f"{SHOWN_PIXELS + 6}px", "overflow": "hidden"})


def _image(picture, words):
    """A picture as a widget; an Image has no alternative text, so its title stands for it."""
    import ipywidgets
    from traitlets import Unicode

    image = ipywidgets.Image(value=_png(picture), format="png", width=picture.width, height=picture.height)
    image.add_traits(description=Unicode("").tag(sync=True))  # without one the page cannot show a widget with a tooltip
    image.tooltip = words
    return image


def enlarged_or_reduced(picture):
    """The picture with its longer side at about `SHOWN_PIXELS`: a small one with its pixels as squares to be seen."""
    from PIL import Image

    factor = SHOWN_PIXELS // max(picture.size)
    if factor >= 1:
        return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)
    shown = picture.copy()
    shown.thumbnail((SHOWN_PIXELS, SHOWN_PIXELS), Image.Resampling.LANCZOS)
    return shown


def put_in_front(gallery, newest, most):
    """Show a tile first and close those beyond `most`, whose pictures the page would keep otherwise."""
    every = (newest, *gallery.children)
    gallery.children = every[:most]
    for old in every[most:]:
        for one in (*old.children, old):
            one.close()


def _png(picture):
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()

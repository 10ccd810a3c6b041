"""What stands in a page for a widget, which needs a kernel: a sentence, and what the widget showed in the run."""

import base64
import re
from html import escape

from course_utils.book import figures

VIEW = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"
SENTENCE = "This part is live: open the lesson in JupyterLab to use it."
_CHILD = re.compile(r"IPY_MODEL_(\w+)")


def as_html(output, content, site):
    """The sentence, and the texts and pictures that the run left in the widget; "" for a progress bar of tqdm."""
    models = content["metadata"].get("widgets", {}).get(STATE, {}).get("state", {})
    found = list(_below(output["data"][VIEW].get("model_id"), models))
    if any(one["model_name"] == "FloatProgressModel" for one in found):
        return ""
    texts = [words for words in map(_words, found) if words]
    alt = f"What the widget drew in the run. {' · '.join(texts)}"
    drawn = [figures.image(data, alt, site) for one in found for data in _pictures(one)]
    listed = "".join(f"<li>{escape(words)}</li>" for words in texts)
    shown = f"<p>In the run it showed:</p>{''.join(drawn)}<ul>{listed}</ul>" if texts or drawn else ""
    return f'<div class="course-live"><p>{SENTENCE}</p>{shown}</div>'


def _below(name, models):
    """A widget and those in it, in reading order."""
    if name in models:
        yield models[name]
        for child in _CHILD.findall(str(models[name]["state"].get("children", ""))):
            yield from _below(child, models)


def _words(model):
    state = model["state"]
    value, label = state.get("value"), state.get("description", "")
    if (
        model["model_name"] in ("HTMLModel", "IntProgressModel")
        or not isinstance(value, str | int | float)
        or value == ""
    ):
        return ""
    return f"{label}: {value}" if label else f"{value}"


def _pictures(model):
    if model["model_name"] == "ImageModel":
        for buffer in model.get("buffers", []):
            if buffer["path"] == ["value"] and buffer["data"]:
                yield base64.b64decode(buffer["data"])

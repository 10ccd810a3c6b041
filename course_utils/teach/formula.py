"""Formulas of a lesson's prose as pictures in the page, so that it needs no network."""

import base64
import functools
import io
import re
from html import escape, unescape

_MATH = re.compile(r"\$\$(.+?)\$\$|\$([^$\n]+)\$", re.DOTALL)
# What matplotlib's TeX reads otherwise, or not at all.
_SPELLINGS = (
    (r"\\tfrac", r"\\frac"),
    (r"\\frac\s*(\w)\s*(\w)", r"\\frac{\1}{\2}"),
    (r"\\(sqrt|mathcal)\s+(\w)", r"\\\1{\2}"),
    (r"\\(le|ge)(?![a-z])", r"\\\1q"),
    (r"\\[bB]ig(?![a-z])", ""),
    (r"\s+", " "),
)


def drawn(html):
    """The HTML with each `$…$` and `$$…$$` drawn; one that cannot be drawn stays as it is written."""
    return _MATH.sub(lambda match: _picture(unescape(match[1] or match[2]).strip(), bool(match[1])), html)


@functools.lru_cache(maxsize=512)
def _picture(tex, display):
    from matplotlib.mathtext import math_to_image

    plain = tex
    for old, new in _SPELLINGS:
        plain = re.sub(old, new, plain)
    image = io.BytesIO()
    try:
        depth = math_to_image(f"${plain}$", image, dpi=72, format="svg")
    except ValueError:
        return f"<code>{escape(tex)}</code>"
    address = "data:image/svg+xml;base64," + base64.b64encode(image.getvalue()).decode()
    style = "" if display else f' style="vertical-align:-{depth / 10:.2f}em"'
    kind = "display" if display else "inline"
    return f'<img class="math {kind}"{style} src="{address}" alt="{escape(tex)}">'

"""Formulas as MathML, which browsers draw themselves: no script and no font is loaded for them.

A Sphinx extension; latex2mathml does the work.
"""

import re
import unicodedata

# latex2mathml leaves a function's name and its argument without a space, and lets an accent stretch as over a word.
_NAME = re.compile(r"(<mi>(?:log|ln|exp|sin|cos|tan)</mi>)(?!<mo)")
_BAR = re.compile(r'<mo stretchy="true">(&#x000AF;|&#x0005E;)</mo>')

# MathML Core has no attribute for these letters; Unicode has the letters themselves.
_LETTER = re.compile(r'<mi mathvariant="(script|double-struck|bold)">([A-Za-z])</mi>')


def setup(app):
    """Sphinx calls this."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def mathml(tex, display="inline"):
    """A formula in TeX as a `<math>` element."""
    from latex2mathml.converter import convert

    drawn = _NAME.sub(r'\1<mspace width="0.17em"/>', convert(tex.strip(), display=display))
    return _LETTER.sub(_letter, _BAR.sub(r'<mo stretchy="false">\1</mo>', drawn))


def _letter(found):
    name = f"{found[1].upper()} {'CAPITAL' if found[2].isupper() else 'SMALL'} {found[2].upper()}"
    try:
        return f"<mi>{unicodedata.lookup(f'MATHEMATICAL {name}')}</mi>"
    except KeyError:  # some had a place in Unicode before the others
        return f"<mi>{unicodedata.lookup(name)}</mi>"


def _inline(translator, node):
    from docutils import nodes

    translator.body.append(mathml(node.astext()))
    raise nodes.SkipNode


def _block(translator, node):
    from docutils import nodes

    translator.body.append(f'<div class="course-formula">{mathml(node.astext(), "block")}</div>')
    raise nodes.SkipNode

"""Lets a check hand out the solution, reads its source with inspect and runs it as its own; must get 0."""

import inspect
import textwrap

import course_utils

handed_out = course_utils.check("week03.softmax_gradient", lambda z, y: None)
text = textwrap.dedent(inspect.getsource(inspect.unwrap(handed_out)))
exec(
    "import torch\n" + text[text.index("def ") :].replace("def softmax_gradient", "def my_softmax_gradient"), globals()
)

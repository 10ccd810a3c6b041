"""The cell magic `%%vram [--budget GIB] label`: `track` for one cell."""

import ast
import shlex

from course_utils.errors import CourseError

USAGE = "Write %%vram [--budget GIB] label, such as %%vram --budget 11.7 training."


def install(shell):
    """Register %%vram in an IPython shell; installing twice does no harm."""
    from IPython.core.magic import output_can_be_silenced

    @output_can_be_silenced
    def vram(line, cell):
        """Measure the memory that this cell takes: %%vram [--budget GIB] label."""
        __tracebackhide__ = True  # IPython leaves frames with this name out of a traceback
        return run(shell, line, cell)

    shell.register_magic_function(vram, "cell", "vram")


def run(shell, line, cell):
    """Run a cell's text in the shell's namespace, tracked; the value is that of its last expression.

    Line numbers are those of the whole cell, in which %%vram is line 1. Raises IPython's UsageError,
    which is shown as one sentence, for wrong options; errors of the cell pass through.
    """
    __tracebackhide__ = True
    from IPython.core.error import UsageError

    from course_utils.gpu.monitor import track

    try:
        label, budget_gib = options(line)
        done = track.begin(label, budget_gib)
    except CourseError as error:
        raise UsageError(str(error)) from None
    name, statements, expression = _compiled(shell, cell)
    try:
        with track.measured(done, home=name):
            exec(statements, shell.user_ns)
            return None if expression is None else eval(expression, shell.user_ns)
    finally:
        if done.after is not None:
            print(done)


def options(line):
    """The label and the budget (GiB or None) of a magic's line. Raises CourseError for anything else."""
    try:
        words = shlex.split(line.replace("--budget=", "--budget "))
    except ValueError as error:
        raise CourseError(f"%%vram {line}: {error}. {USAGE}") from None
    budget_gib = None
    if "--budget" in words:
        place = words.index("--budget")
        given = words[place + 1 : place + 2]
        budget_gib = _number(given[0] if given else "nothing")
        del words[place : place + 2]
    unknown = [word for word in words if word.startswith("-")]
    if unknown:
        raise CourseError(f"%%vram has no option {unknown[0]}. {USAGE}")
    return " ".join(words) or "this cell", budget_gib


def _number(text):
    try:
        return float(text)
    except ValueError:
        raise CourseError(f"--budget takes a number of GiB, not {text}. {USAGE}") from None


def _compiled(shell, cell):
    # The transformation drops empty lines at the top; the line of %%vram itself is gone already.
    lines = cell.splitlines()
    dropped = next((i for i, one in enumerate(lines) if one.strip()), len(lines))
    source = "\n" * (1 + dropped) + shell.transform_cell(cell)
    name = shell.compile.cache(source, shell.execution_count)
    tree = shell.transform_ast(shell.compile.ast_parse(source, filename=name))
    expression = None
    if tree.body and isinstance(tree.body[-1], ast.Expr):
        expression = shell.compile(ast.Expression(tree.body.pop().value), name, "eval")
    return name, shell.compile(tree, name, "exec"), expression

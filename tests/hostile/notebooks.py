"""Hostile notebooks. Each function hands one in; its sentence says what it tries and what it must get."""

import json
import pickle

from hostile.scene import ATTACKED, attempt_cell, code_cell, text_of

MARKUP = "<script>alert(1)</script><img src=x onerror=alert(2)>\x1b[31mred\x1b]0;title\x07\x1b[2J"
MEGABYTE = 1_000_000


def another_release(scene):
    """Claims the id of another release; must not be graded."""
    notebook = scene.copy()
    notebook["metadata"]["course"]["release"] = "0" * 16
    scene.save("another_release", notebook)


def another_lesson(scene):
    """Keeps the release's id but claims another lesson, version and reveal in its metadata; must get 0."""
    notebook = scene.copy()
    notebook["metadata"]["course"] |= {"lesson": "week01", "release_version": 99, "reveal": True, "points": 1000}
    scene.save("another_lesson", notebook)


def no_release(scene):
    """Has no metadata at all; must not be graded."""
    scene.save("no_release", scene.copy() | {"metadata": {}})


def changed_cell_ids(scene):
    """Exchanges the ids of its cells; must get 0."""
    notebook = scene.copy()
    ids = [cell["id"] for cell in notebook["cells"]]
    for cell, id in zip(notebook["cells"], reversed(ids), strict=True):
        cell["id"] = id
    scene.save("changed_cell_ids", notebook)


def doubled_cell_ids(scene):
    """Gives the attempt's id to ten cells more, each with a surprise of its own; must get 0."""
    notebook = scene.copy()
    mine = attempt_cell(notebook)
    for number in range(10):
        notebook["cells"].append(code_cell(f"{ATTACKED} = lambda z, y: {number}", mine["id"], **mine["metadata"]))
    scene.save("doubled_cell_ids", notebook)


def added_cells(scene):
    """Adds cells that would rewrite all others; they must be reported and not run, and it must get 0."""
    notebook = scene.copy()
    first = "import os\nos.environ['CANARY'] = 'run'\nimport course_utils\ncourse_utils.check = lambda *args: 2"
    notebook["cells"].insert(0, code_cell(first, "aaaa0001"))
    notebook["cells"].append(code_cell("open('canary-added.txt', 'w').write('run')", "aaaa0002"))
    scene.save("added_cells", notebook)


def changed_check(scene):
    """Replaces its check and grade cells by points; must get 0."""
    notebook = scene.copy()
    for cell in notebook["cells"]:
        if "course.check(" in text_of(cell) or "nbgrader_points" in text_of(cell):
            cell["source"] = "2"
            cell["outputs"] = [result({"text/plain": "2"})]
    scene.save("changed_check", notebook)


def unlocked_cells(scene):
    """Rewrites nbgrader's metadata: more points, unlocked, another checksum; must get 0."""
    notebook = scene.copy()
    for cell in notebook["cells"]:
        if "nbgrader" in cell["metadata"]:
            cell["metadata"]["nbgrader"] |= {"points": 1000, "locked": False, "grade": False, "checksum": "0" * 32}
    scene.save("unlocked_cells", notebook)


def claimed_outputs(scene):
    """Carries outputs that say "passed", with HTML, JavaScript and ANSI codes; must get 0 and show none of them."""
    notebook = scene.copy()
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"] = [result({"text/html": f"Passed {MARKUP}", "text/plain": f"Passed {MARKUP}"})]
            cell["execution_count"] = 1
    scene.save("claimed_outputs", notebook)


def result(data):
    """An output of a cell as plain data."""
    return {"output_type": "execute_result", "data": data, "metadata": {}, "execution_count": 1}


def markup_in_source(scene):
    """Writes HTML, JavaScript and ANSI codes into its attempt, its errors and its types; must get 0, all of it inert."""
    lines = [
        f"class Marked(ArithmeticError):\n    __doc__ = {MARKUP!r}",
        f"def {ATTACKED}(z, y):\n    print({MARKUP!r})\n    raise Marked({MARKUP!r})  # {MARKUP}",
    ]
    replaced(scene, "markup_in_source", "\n\n".join(lines))


def replaced(scene, name, text):
    """Hand in a notebook whose attempt is this text."""
    notebook = scene.copy()
    attempt_cell(notebook)["source"] = text
    scene.save(name, notebook)


def magic_lines(scene):
    """Starts shell commands with IPython's `!`, `%` and `%%`; must get 0, and nothing may run."""
    lines = [f"def {ATTACKED}(z, y):", "    return z", "!touch canary-magic.txt", "%system touch canary-magic.txt"]
    replaced(
        scene, "magic_lines", "\n".join([*lines, "files = !ls /", "%run canary.py", "%%bash", "touch canary-magic.txt"])
    )


def cell_magic(scene):
    """Makes its whole attempt a shell script with a cell magic; must get 0, and nothing may run."""
    replaced(scene, "cell_magic", f"%%bash\ntouch canary-magic.txt\n# def {ATTACKED}(z, y):\n")


def null_byte(scene):
    """Has null bytes in its source, on which Python's parser raises another error; must get 0."""
    replaced(scene, "null_byte", f"def {ATTACKED}(z, y):\n    return z\0\0")


def lone_surrogates(scene):
    """Has half of a character in source and metadata, which no file takes; must get 0."""
    notebook = scene.copy()
    attempt_cell(notebook)["source"] = f"def {ATTACKED}(z, y):\n    return '\ud800'"
    notebook["metadata"]["course"]["student"] = "\udfff"
    scene.save("lone_surrogates", notebook)


def nested_source(scene):
    """Nests 50,000 parentheses, which may overflow the stack of who parses it; must get 0."""
    replaced(scene, "nested_source", f"def {ATTACKED}(z, y):\n    return {'(' * 50_000}z{')' * 50_000}")


def long_sum(scene):
    """Adds 20,000 terms, a tree too deep for who walks it by recursion; must get 0."""
    replaced(scene, "long_sum", f"def {ATTACKED}(z, y):\n    return {'z+' * 20_000}z")


def many_signs(scene):
    """Puts 40,000 minus signs before a number; must get 0."""
    replaced(scene, "many_signs", f"def {ATTACKED}(z, y):\n    return {'-' * 40_000}1")


def dotted_source(scene):
    """Chains 40,000 attributes; must get 0."""
    replaced(scene, "dotted_source", f"def {ATTACKED}(z, y):\n    return z{'.T' * 40_000}")


def deep_blocks(scene):
    """Nests 95 blocks, near the most that Python takes; must get 0."""
    blocks = [" " * depth + "if z is not None:" for depth in range(1, 96)]
    replaced(scene, "deep_blocks", "\n".join([f"def {ATTACKED}(z, y):", *blocks, " " * 96 + "return z"]))


def large_constant(scene):
    """Writes a number of 400 million digits as a power, to be worked out by who only reads it; must get 0."""
    replaced(scene, "large_constant", f"SIZE = 9**9**9\n\n\ndef {ATTACKED}(z, y=10**10**9):\n    return SIZE")


def large_source(scene):
    """Has an attempt of 20 MB; must get 0."""
    replaced(scene, "large_source", f"def {ATTACKED}(z, y):\n    return z\n" + "# 9\n" * (5 * MEGABYTE))


def many_definitions(scene):
    """Defines the attempt and 20,000 other names in one cell; must get 0."""
    others = "\n".join(f"name{number} = name{number - 1} = {number}" for number in range(1, 20_000))
    replaced(scene, "many_definitions", f"{others}\n\n\ndef {ATTACKED}(z, y):\n    return z")


def hidden_definition(scene):
    """Defines its attempt by exec, star and walrus only, so that no parser finds it; must get 0."""
    replaced(scene, "hidden_definition", f'exec("def {ATTACKED}(z, y): return z")\nglobals()["x"] = (y := 2)')


def large_notebook(scene):
    """Is a notebook of 200 MB; must not be graded, and must not be read."""
    with open(scene.folder("large_notebook") / "lab.ipynb", "wb") as file:
        file.write(b'{"cells": [], "nbformat": 4, "nbformat_minor": 5, "metadata": {"filler": "')
        for _ in range(200):
            file.write(b"9" * MEGABYTE)
        file.write(b'"}}')


def many_cells(scene):
    """Has 10,000 cells more than it was given; must get 0."""
    notebook = scene.copy()
    notebook["cells"] += [code_cell(f"x = {number}", f"c{number:07}") for number in range(10_000)]
    scene.save("many_cells", notebook)


def deep_json(scene):
    """Nests its metadata 100,000 deep; must not be graded."""
    text = json.dumps(scene.notebook | {"metadata": "HERE"})
    scene.save("deep_json", text.replace('"HERE"', '{"a":' * 100_000 + "1" + "}" * 100_000))


def strange_numbers(scene):
    """Has numbers that JSON readers stumble over: NaN, infinite, and one of 5,000 digits; must not raise a point."""
    text = json.dumps(scene.notebook | {"nbformat_minor": "HERE"})
    scene.save("strange_numbers", text.replace('"HERE"', f'{"9" * 5000}, "a": NaN, "b": 1e999, "c": -0.0'))


def strange_shapes(scene):
    """Has cells that are no cells: numbers, lists and null; must not be graded."""
    notebook = scene.copy()
    notebook["cells"] += [
        None,
        5,
        [],
        {},
        {"cell_type": "code"},
        {"cell_type": [], "source": {}, "metadata": [], "id": []},
    ]
    scene.save("strange_shapes", notebook)


def strange_cells(scene):
    """Has cells whose source, id and metadata are of the wrong kinds; must get 0."""
    notebook = scene.copy()
    attempt_cell(notebook)["source"] = [1, None, {"a": []}]
    notebook["cells"] += [
        {},
        {"cell_type": "code"},
        {"cell_type": [], "source": {}, "metadata": [], "id": []},
        {"cell_type": "code", "source": 5, "metadata": {"nbgrader": [1]}, "id": notebook["cells"][0]["id"]},
        {"cell_type": "code", "source": None, "metadata": None, "id": None, "outputs": 5},
    ]
    scene.save("strange_cells", notebook)


def strange_metadata(scene):
    """Has metadata of the wrong kinds everywhere; must not be graded."""
    scene.save("strange_metadata", scene.copy() | {"metadata": [{"course": "x"}]})


def strange_release(scene):
    """Has a release's id that is a dict; must not be graded."""
    notebook = scene.copy()
    notebook["metadata"]["course"]["release"] = {"id": [1e999]}
    scene.save("strange_release", notebook)


def a_list(scene):
    """Is a JSON list instead of a notebook; must not be graded."""
    scene.save("a_list", json.dumps([scene.notebook] * 3))


def a_pickle(scene):
    """Is a pickle under the name of a notebook; must not be graded, and must not be loaded."""

    class Evil:
        def __reduce__(self):
            return (open, ("canary-pickle.txt", "w"))

    (scene.folder("a_pickle") / "lab.ipynb").write_bytes(pickle.dumps(Evil()))


def not_utf8(scene):
    """Is no text in UTF-8; must not be graded."""
    (scene.folder("not_utf8") / "lab.ipynb").write_bytes(b"\xff\xfe{\x00\x81\x8d")


def empty_file(scene):
    """Is empty; must not be graded."""
    (scene.folder("empty_file") / "lab.ipynb").write_bytes(b"")


BUILDERS = [
    another_release, another_lesson, no_release, changed_cell_ids, doubled_cell_ids, added_cells, changed_check,
    unlocked_cells, claimed_outputs, markup_in_source, magic_lines, cell_magic, null_byte, lone_surrogates,
    nested_source, long_sum, many_signs, dotted_source, deep_blocks, large_constant, large_source, many_definitions,
    hidden_definition, large_notebook, many_cells, deep_json, strange_numbers, strange_shapes, strange_cells, strange_metadata,
    strange_release, a_list, a_pickle, not_utf8, empty_file,
]  # fmt: skip

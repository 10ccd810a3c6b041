"""Which files of the course a notebook reaches, found by reading imports and never by running them."""

import ast
import hashlib
import re
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

PACKAGE = "course_utils"
_LINE_MAGIC = re.compile(r"^(\s*)[%!].*$", re.MULTILINE)
_DATA = (f"{PACKAGE}/**/*", "benchmarks/results/*")
_BUNDLED = f"{PACKAGE}/learn/bundled"
_BOOK = Path(PACKAGE, "book")  # it is made of the lessons, so no lesson is made of it, whatever its files are called
# Tables that name every asset: what they name counts only for a notebook that names the asset itself.
_TABLES = ("asset_table.py", "model_table.py", "rebuild.py")
# Folders whose entries count one by one; other folders of data count as a whole.
_SHELVES = (_BUNDLED, f"{_BUNDLED}/bands", f"{_BUNDLED}/licences", "benchmarks/results")


@dataclass(frozen=True)
class Names:
    """What a piece of code names: dotted names below the package, and its strings."""

    dotted: frozenset
    strings: frozenset


@dataclass
class Tree:
    """A clone as it is now: a file is read once, so that one run sees one state."""

    root: Path
    _contents: dict = field(default_factory=dict)
    _hashes: dict = field(default_factory=dict)
    _closures: dict = field(default_factory=dict)

    def read(self, path):
        """The bytes of a file by its path below the root, or None."""
        if path not in self._contents:
            try:
                self._contents[path] = (self.root / path).read_bytes()
            except OSError:
                self._contents[path] = None
        return self._contents[path]

    def sha256(self, path):
        """The sha256 of a file as hexadecimal text, "none" where there is no such file."""
        if path not in self._hashes:
            content = self.read(path)
            self._hashes[path] = "none" if content is None else hashlib.sha256(content).hexdigest()
        return self._hashes[path]

    @cached_property
    def modules(self):
        """Every module's file by dotted name."""
        files = (path.relative_to(self.root) for path in (self.root / PACKAGE).rglob("*.py"))
        return {_dotted(path): path.as_posix() for path in files}

    @cached_property
    def homes(self):
        """Where the names live that the package hands out on first use, such as `course.plots`."""
        tree = ast.parse(self.read(f"{PACKAGE}/__init__.py") or b"")
        values = [node.value for node in tree.body if isinstance(node, ast.Assign) and node.targets[0].id == "_HOMES"]
        return ast.literal_eval(values[0]) if values else {}

    @cached_property
    def data(self):
        """What is no module, by its name in the folder of a module or on a shelf: lists of paths of files."""
        places = {Path(path).parent for path in self.modules.values()} | set(map(Path, _SHELVES))
        found = {}
        for path in sorted(one.relative_to(self.root) for pattern in _DATA for one in self.root.glob(pattern)):
            if path.suffix in (".py", ".pyc") or path.is_relative_to(_BOOK):
                continue
            if path not in places and (self.root / path).is_file():
                place = next(one for one in path.parents if one in places)
                found.setdefault(path.relative_to(place).parts[0], []).append(path.as_posix())
        return found


def _dotted(path):
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def reached(tree, cells, lesson):
    """Paths of every module and data file that code cells reach, as a sorted list.

    Code that is not plain Python, even without its magics, may reach anything: then it is every module.
    """
    try:
        names = names_in(notebook_code(cells).encode())
    except SyntaxError:
        return sorted(tree.modules.values())
    found = _closure(tree, frozenset(_resolved(tree, names))) | set(_data_of(tree, names.strings))
    bands = f"{_BUNDLED}/bands/{lesson}.json"
    return sorted(found | {bands} if tree.read(bands) is not None else found)


def notebook_code(cells):
    """Code cells as one text without IPython's magics."""
    return "\n".join(_LINE_MAGIC.sub(r"\1pass", cell) for cell in cells)


@lru_cache(maxsize=4096)
def names_in(code):
    """The `Names` in Python source given as bytes; SyntaxError where it is none."""
    tree = compile(code, "<code>", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    nodes = list(ast.walk(tree))
    aliases = {PACKAGE}
    for node in nodes:
        if isinstance(node, ast.Import):
            aliases.update(one.asname for one in node.names if one.name == PACKAGE and one.asname)
    dotted = {name for node in nodes for name in _dotted_names(node, aliases)}
    strings = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return Names(frozenset(dotted), frozenset(one for one in strings if len(one) < 200))


def _dotted_names(node, aliases):
    if isinstance(node, ast.Import):
        return [one.name for one in node.names if _is_ours(one.name)]
    if isinstance(node, ast.ImportFrom) and _is_ours(node.module or ""):
        return [node.module, *(f"{node.module}.{one.name}" for one in node.names)]
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in aliases:
        return [f"{PACKAGE}.{node.attr}"]
    return []


def _is_ours(name):
    return name == PACKAGE or name.startswith(f"{PACKAGE}.")


def _resolved(tree, names):
    """Names of modules that these `Names` mean, with the packages around them."""
    for name in (*names.dotted, *_spoken(tree, names.strings)):
        home = tree.homes.get(name.removeprefix(f"{PACKAGE}."))
        parts = (f"{PACKAGE}.{home}" if home else name).split(".")
        # An import of a.b.c also runs a and a.b.
        yield from (one for end in range(1, len(parts) + 1) if (one := ".".join(parts[:end])) in tree.modules)


def _spoken(tree, strings):
    """Modules that strings name: of a process (python -m course_utils.x.y), and of exercises by an id such as week03.softmax."""
    for text in strings:
        exercises = f"{PACKAGE}.exercises.{text.partition('.')[0]}"
        if text in tree.modules:
            yield text
        elif "." in text and exercises in tree.modules:
            yield exercises


def _names_of(tree, module):
    return names_in(tree.read(tree.modules[module]))


def _closure(tree, start):
    """Paths of the modules that these ones import, themselves and what they import in turn, and of the data they name."""
    if start not in tree._closures:
        modules, waiting = set(), list(start)
        while waiting:
            module = waiting.pop()
            if module not in modules:
                modules.add(module)
                waiting.extend(_resolved(tree, _names_of(tree, module)))
        paths = {tree.modules[module] for module in modules}
        speaking = (module for module in modules if Path(tree.modules[module]).name not in _TABLES)
        data = {path for module in speaking for path in _data_of(tree, _names_of(tree, module).strings)}
        tree._closures[start] = frozenset(paths | data)
    return tree._closures[start]


def _data_of(tree, strings):
    return (path for text in strings if text in tree.data for path in tree.data[text])

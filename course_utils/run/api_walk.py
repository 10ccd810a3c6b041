"""Walk a notebook's code in the order in which it runs, and find what each name and each call refers to."""

import ast
from collections import ChainMap
from dataclasses import dataclass, field

from course_utils.run import api_values
from course_utils.run.api_values import Missing, Value, an, own

_DISPLAYS = {
    ast.JoinedStr: str,
    ast.List: list,
    ast.ListComp: list,
    ast.Dict: dict,
    ast.DictComp: dict,
    ast.Set: set,
    ast.SetComp: set,
}
_OPERATORS = {
    ast.Add: "__add__",
    ast.Sub: "__sub__",
    ast.Mult: "__mul__",
    ast.Div: "__truediv__",
    ast.MatMult: "__matmul__",
    ast.Pow: "__pow__",
}


@dataclass(frozen=True)
class Call:
    """A call in a cell; `value` is what is called, None where that cannot be known."""

    cell: int
    node: ast.Call
    value: Value | None


@dataclass
class Walk:
    """What a walk has found so far; `missing` holds pairs of a cell's number and a sentence.

    `unknown` holds the attributes of objects whose class is not known, `defined` the names of the notebook's own.
    """

    names: dict = field(default_factory=dict)
    calls: list = field(default_factory=list)
    missing: list = field(default_factory=list)
    unknown: list = field(default_factory=list)
    defined: set = field(default_factory=set)
    packages: set = field(default_factory=set)
    seen: dict = field(default_factory=dict)
    later: list = field(default_factory=list)
    cell: int = 0


def walk(notebook):
    """The `Walk` of a notebook (`cells.Notebook`).

    Raises ModuleNotFoundError where a package that it imports is not installed.
    """
    found = Walk()
    for cell in notebook.code:
        found.cell = cell.number
        for statement in cell.tree.body if cell.tree else ():
            _Visitor(found, found.names).visit(statement)
    while found.later:  # a function's body runs after the cells: it sees the names that they leave behind
        found.cell, body, local = found.later.pop(0)
        visitor = _Visitor(found, ChainMap(local, _settled(found)))
        for node in body:
            visitor.visit(node)
    return found


def _settled(found):
    """The notebook's names, without those that were bound to several things: which one is meant is not known."""
    return {name: value if len(found.seen[name]) == 1 else None for name, value in found.names.items()}


class _Visitor(ast.NodeVisitor):
    def __init__(self, found, names):
        self.found, self.names = found, names

    # What an expression is.

    def value(self, node):
        """The `Value` of an expression, or None."""
        if isinstance(node, ast.Name):
            return self.names.get(node.id, _builtin(node.id))
        if isinstance(node, ast.Attribute):
            return api_values.attribute_or_none(self.value(node.value), node.attr)
        if isinstance(node, ast.Call):
            return api_values.called(self.value(node.func), node)
        if isinstance(node, ast.Constant):
            return an(type(node.value))
        if isinstance(node, ast.BinOp | ast.UnaryOp | ast.Compare | ast.Subscript):
            return self._operated(node)
        kind = _DISPLAYS.get(type(node))
        return an(kind) if kind else None

    def _operated(self, node):
        if isinstance(node, ast.Subscript):
            operand, method = self.value(node.value), "__getitem__"
        elif isinstance(node, ast.UnaryOp):
            operand, method = self.value(node.operand), "__neg__"
        elif isinstance(node, ast.Compare):
            operand, method = self.value(node.left), "__eq__"
        else:
            left, method = self.value(node.left), _OPERATORS.get(type(node.op), "")
            operand = self.value(node.right) if left is not None and left.is_own else left
        if operand is None or not operand.made:
            return None
        return api_values.called(api_values.attribute_or_none(operand, method), ast.Call(node, [], []))

    # What binds a name.

    def bind(self, target, value):
        """Let a target hold a value from here on."""
        if isinstance(target, ast.Name):
            self.names[target.id] = value
            if self.names is self.found.names:
                self.found.seen.setdefault(target.id, set()).add((value.thing, value.made) if value else target)
        elif isinstance(target, ast.Tuple | ast.List):
            items = value.items if value else ()
            for i, one in enumerate(target.elts):
                self.bind(one, items[i] if len(items) == len(target.elts) else None)
        elif isinstance(target, ast.Starred):
            self.bind(target.value, None)

    def _imported(self, name, module, item=None):
        self.found.packages.add(module.partition(".")[0])
        value = api_values.imported(module, item)
        if isinstance(value, Missing):
            self.found.missing.append((self.found.cell, value.text))
            value = None
        self.bind(ast.Name(name), value)

    def visit_Import(self, node):
        for alias in node.names:
            whole = alias.asname or alias.name.partition(".")[0]
            if alias.asname is None and "." in alias.name:
                self._imported(whole, alias.name)  # so that the submodule is there
                self._imported(whole, whole)
            else:
                self._imported(whole, alias.name)

    def visit_ImportFrom(self, node):
        for alias in node.names:
            if alias.name != "*":  # a lesson may not; the lint says so
                self._imported(alias.asname or alias.name, node.module, alias.name)

    def visit_Assign(self, node):
        self.generic_visit(node)
        for target in node.targets:
            self.bind(target, self.value(node.value))

    def visit_AnnAssign(self, node):
        self.generic_visit(node)
        self.bind(node.target, self.value(node.value) if node.value else None)

    def visit_NamedExpr(self, node):
        self.generic_visit(node)
        self.bind(node.target, self.value(node.value))

    def visit_For(self, node):
        self.visit(node.iter)
        self.bind(node.target, None)
        for statement in (*node.body, *node.orelse):
            self.visit(statement)

    def visit_With(self, node):
        for item in node.items:
            self.visit(item.context_expr)
            if item.optional_vars is not None:
                context = self.value(item.context_expr)
                entered = api_values.attribute_or_none(context, "__enter__")
                self.bind(item.optional_vars, api_values.called(entered, ast.Call(item.context_expr, [], [])))
        for statement in node.body:
            self.visit(statement)

    def visit_FunctionDef(self, node):
        self.found.defined.add(node.name)
        for part in (*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults)):
            self.visit(part)
        self.bind(ast.Name(node.name), own(node.name))
        self.found.later.append((self.found.cell, node.body, self._parameters(node.args)))

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_ClassDef(self, node):
        for part in (*node.decorator_list, *node.bases, *node.keywords):
            self.visit(part)
        self.bind(ast.Name(node.name), own(node.name))
        inner = _Visitor(self.found, ChainMap({}, self.names))
        for statement in node.body:
            inner.visit(statement)

    def _parameters(self, arguments):
        """A function's parameters with the class that their annotation names, above the names around it."""
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
        local = dict(self.names.maps[0]) if isinstance(self.names, ChainMap) else {}
        for one in filter(None, every):
            kind = self.value(one.annotation) if one.annotation else None
            is_class = kind is not None and not kind.made and isinstance(kind.thing, type)
            local[one.arg] = an(kind.thing) if is_class else None
        return local

    def visit_Lambda(self, node):
        _Visitor(self.found, ChainMap(self._parameters(node.args), self.names)).visit(node.body)

    def _comprehension(self, node):
        inner = _Visitor(self.found, ChainMap({}, self.names))
        for one in node.generators:
            inner.visit(one.iter)
            inner.bind(one.target, None)
            for condition in one.ifs:
                inner.visit(condition)
        for part in ("key", "value", "elt"):
            if hasattr(node, part):
                inner.visit(getattr(node, part))

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension

    # What is looked for.

    def visit_Call(self, node):
        missing = len(self.found.missing)
        self.generic_visit(node)
        if len(self.found.missing) == missing:
            self.found.calls.append(Call(self.found.cell, node, self.value(node.func)))

    def visit_Attribute(self, node):
        self.generic_visit(node)
        if not isinstance(node.ctx, ast.Load):
            self.found.defined.add(node.attr)
            return
        place = self.value(node.value)
        found = api_values.attribute(place, node.attr)
        if isinstance(found, Missing):
            self.found.missing.append((self.found.cell, found.text))
        elif place is None:
            self.found.unknown.append((self.found.cell, node.attr))


def _builtin(name):
    import builtins

    thing = getattr(builtins, name, None)
    return None if thing is None else Value(thing, name)

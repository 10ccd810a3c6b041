"""Signatures of functions written in C, from the stub files (`.pyi`) that PyTorch ships for them."""

import ast
import sys
from functools import cache
from pathlib import Path

_FILES = ("_VariableFunctions.pyi", "_nn.pyi", "__init__.pyi")


@cache
def _functions():
    """All overloads in PyTorch's stubs by their function's name; empty where torch is not imported."""
    found = {}
    if "torch" not in sys.modules:
        return found
    folder = Path(sys.modules["torch"].__file__).parent / "_C"
    for file in _FILES:
        for node in ast.parse((folder / file).read_text()).body:
            inner = node.body if isinstance(node, ast.ClassDef) and node.name == "TensorBase" else [node]
            for one in inner:
                if isinstance(one, ast.FunctionDef):
                    found.setdefault(one.name, []).append(one)
    return found


def overloads(function):
    """The stubs of a function of PyTorch's C part, as syntax trees; empty for anything else."""
    home = getattr(function, "__objclass__", function)
    if hasattr(function, "__code__") or isinstance(function, type):
        return ()
    if not str(getattr(home, "__module__", None) or "").startswith("torch"):
        return ()
    return tuple(_functions().get(getattr(function, "__name__", ""), ()))


def keywords(function):
    """Every keyword that some overload takes, or None where there is no stub."""
    found = overloads(function)
    names = [one.arg for stub in found for one in (*stub.args.posonlyargs, *stub.args.args, *stub.args.kwonlyargs)]
    return tuple(dict.fromkeys(names)) if found else None


def result(function):
    """`torch.Tensor` where every overload returns a tensor, else None."""
    found = overloads(function)
    tensors = [stub.returns is not None and ast.unparse(stub.returns) in ("Tensor", "torch.Tensor") for stub in found]
    return sys.modules["torch"].Tensor if found and all(tensors) else None

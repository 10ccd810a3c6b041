"""Week 04b's own definitions, taken out of its notebook, in a world where a benchmark can call them."""

import ast
import tempfile
import warnings

from course_utils.learn import assets
from course_utils.learn.catalog import resolve
from course_utils.run import cells

NAMES = ("deal", "emoji_table", "parts", "lite0", "StillNorms", "halves", "new_learner", "train", "linear_probe")
VALID_PER_CLASS = 20


def space(seed, per_class):
    """The notebook's definitions `NAMES` by name, in a world with one draw of pictures and its data loaders."""
    world = _imports() | {"SEED": seed, "per_class": per_class, "device": "cpu", "size": 64}
    world |= {"emoji": assets.load("emoji10-64"), "weights": assets.load("efficientnet-lite0")}
    notebook = cells.load(resolve("week04b").path)
    found = [node for cell in notebook.code if cell.tree for node in cell.tree.body if _wanted(node)]
    if missing := set(NAMES) - {_name(node) for node in found}:
        raise SystemExit(f"{notebook.lesson} no longer defines {', '.join(sorted(missing))}.")
    exec(compile(ast.Module(found, type_ignores=[]), notebook.lesson, "exec"), world)
    world |= {"arch": world["lite0"], "workshop": tempfile.TemporaryDirectory(), "valid_per_class": VALID_PER_CLASS}
    world["dls"] = _loaders(world)  # in place: the functions look their names up in this very dict
    return world


def _imports():
    import numpy as np
    import pandas as pd
    import torch
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from course_utils.learn.efficientnet_lite import efficientnet_lite0

    names = {"np": np, "pd": pd, "torch": torch, "nn": torch.nn, "efficientnet_lite0": efficientnet_lite0}
    names |= {one.__name__: one for one in (LogisticRegression, StandardScaler, make_pipeline)}
    return names | _fastai()


def _fastai():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import fastai.callback.schedule  # noqa: F401, it gives the Learner fit_one_cycle
        from fastai.callback.core import Callback
        from fastai.metrics import accuracy
        from fastai.vision.learner import vision_learner
    return {"Callback": Callback, "accuracy": accuracy, "vision_learner": vision_learner}


def _wanted(node):
    return _name(node) in (*NAMES, "head")


def _name(node):
    if isinstance(node, ast.Assign):
        return getattr(node.targets[0], "id", None)
    return getattr(node, "name", None)


def _loaders(world):
    """The notebook's DataBlock over its `parts` of the training part, with more validation pictures."""
    from fastai.data.block import CategoryBlock, DataBlock
    from fastai.data.transforms import ColReader, ColSplitter, Normalize
    from fastai.vision.augment import Resize, aug_transforms
    from fastai.vision.data import ImageBlock

    world["chosen"] = world["parts"](world["emoji_table"]("train"))
    block = DataBlock(
        blocks=(ImageBlock, CategoryBlock),
        get_x=ColReader("picture"),
        get_y=ColReader("label"),
        splitter=ColSplitter("valid"),
        item_tfms=Resize(world["size"]),
        batch_tfms=[*aug_transforms(max_warp=0.1), Normalize.from_stats([127 / 255] * 3, [128 / 255] * 3, cuda=False)],
    )
    return block.dataloaders(world["chosen"], bs=16, num_workers=0)

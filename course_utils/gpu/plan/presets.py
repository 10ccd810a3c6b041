"""The models that `course plan` knows by name: their configurations ship in `configs/`, nothing is fetched.

Sizes are those of the published config.json files and papers; `PARAMETERS` holds the published
number of parameters of each, which the tests count again.
"""

import json
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from course_utils.errors import CourseError

FOLDER = Path(__file__).parent / "configs"
OWN = ("yolo", "dcgan", "minigpt")  # networks in `nets.py`

# From the safetensors headers on the Hugging Face Hub, the model cards of torchvision and ultralytics, and
# the counts that PyTorch's DCGAN example prints. MiniGPT is this course's own, so counted, not published.
PARAMETERS = {
    "llama-2-7b": 6_738_415_616,
    "llama-2-13b": 13_015_864_320,
    "llama-2-70b": 68_976_648_192,
    "llama-3.1-8b": 8_030_261_248,
    "llama-3.1-70b": 70_553_706_496,
    "llama-3.2-1b": 1_235_814_400,
    "llama-3.2-3b": 3_212_749_824,
    "mistral-7b": 7_248_023_552,
    "qwen2.5-0.5b": 494_032_768,
    "qwen2.5-1.5b": 1_543_714_304,
    "qwen2.5-3b": 3_085_938_688,
    "qwen2.5-7b": 7_615_616_512,
    "qwen2.5-14b": 14_770_033_664,
    "gemma-2-2b": 2_614_341_888,
    "gemma-2-9b": 9_241_705_984,
    "phi-3-mini": 3_821_079_552,
    "tinyllama": 1_100_048_384,
    "smollm2-135m": 134_515_008,
    "vicuna-7b": 6_738_415_616,
    "bert-base": 109_483_778,
    "bert-large": 335_143_938,
    "distilbert": 66_955_010,
    "gpt2": 124_439_808,
    "gpt2-medium": 354_823_168,
    "gpt2-large": 774_030_080,
    "gpt2-xl": 1_557_611_200,
    "resnet18": 11_689_512,
    "resnet50": 25_557_032,
    "yolo-n": 3_157_200,
}


@dataclass(frozen=True)
class Preset:
    """A model's name and its configuration; `kind` is "transformers", "diffusion", "torchvision" or "own"."""

    name: str
    kind: str
    config: dict


def names():
    """Every name that `course plan` knows, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def find(name):
    """The `Preset` of that name, or of a config.json file at that path.

    Raises CourseError with the nearest name, or where the file is no JSON or no known architecture.
    """
    known = {_plain(one): one for one in names()}
    if _plain(name) in known:
        own = known[_plain(name)]
        return _preset(own, json.loads((FOLDER / f"{own}.json").read_text()))
    path = Path(name)
    path = path / "config.json" if path.is_dir() else path
    if path.suffix == ".json" or path.is_file():
        return _preset(str(path), _read(path))
    near = get_close_matches(_plain(name), known, n=1, cutoff=0.0)[0]
    raise CourseError(
        f"There is no model {name!r}. The nearest is {known[near]!r}; known are {', '.join(known.values())}, "
        "and the path of a config.json."
    )


def _plain(name):
    return "".join(one for one in name.lower() if one.isalnum())


def _preset(name, config):
    kind = config.get("model_type")
    kind = kind if kind in ("diffusion", "torchvision") else "own" if kind in OWN else "transformers"
    return Preset(name, kind, config)


def _read(path):
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CourseError(
            f"There is no file {str(path)!r}. Give the path of a config.json, or a model's name."
        ) from error
    except (UnicodeDecodeError, ValueError, OSError) as error:
        raise CourseError(f"{str(path)!r} is no JSON file ({error}). Give a model's config.json.") from error
    if not isinstance(config, dict) or "model_type" not in config:
        raise CourseError(f"{str(path)!r} has no entry model_type, so it is no model's config.json. Give one that has.")
    return config

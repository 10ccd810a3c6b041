"""Models as folders that transformers or diffusers load: shipped, from the hub, or written once from a GGUF file.

A folder appears under its name complete, or not at all: it is written beside and renamed.
"""

import errno
import json
import os
import shutil
import tempfile
from difflib import get_close_matches
from pathlib import Path

from course_utils.bars import bar
from course_utils.errors import CourseError
from course_utils.learn import assets
from course_utils.learn.download import TIMEOUT_SECONDS, one_at_a_time
from course_utils.learn.model_table import GATE, MODELS, Converted, Shipped
from course_utils.learn.paths import cache_dir, project_dir

FILES = ("*.safetensors", "*.safetensors.index.json", "*.json", "tokenizer.model", "*.jinja")
NOT_FILES = ("original/*",)  # Meta's own format: the same weights once more
# Of a pipeline only these folders, and of their weights only one form: a repository may hold five, 30 GB in all.
WEIGHTY = ("unet", "vae", "text_encoder", "text_encoder_2", "safety_checker")
LIGHT = ("tokenizer", "tokenizer_2", "scheduler", "feature_extractor")
PIPELINE_FILES = (
    "model_index.json",
    *(f"{part}/*.fp16.safetensors" for part in WEIGHTY),
    *(f"{part}/*.json" for part in (*WEIGHTY, *LIGHT)),
    *(f"{part}/merges.txt" for part in LIGHT),
)
COMPLETE = "complete.json"  # written last: file names and their sizes
BUNDLED = Path(__file__).parent / "bundled"
NETWORK = "Check the network and try again."
# A new number makes every machine convert afresh.
CONVERSION = 1


class _NotHad(Exception):
    """Why a source could not give the model; `mend` is what to do about it."""

    def __init__(self, reason, mend=NETWORK):
        super().__init__(reason)
        self.mend = mend


def folder(name, otherwise=None):
    """The Path of the folder of a model: configuration, safetensors, tokenizer.

    `otherwise` names the model to take where no source gives the first one; a bold sentence says so. Raises
    CourseError naming the model, what was tried and what to type.
    """
    model, stand_in = find(name), otherwise and find(otherwise)
    try:
        return _bring(model)
    except assets.Unavailable as error:
        if not stand_in:
            raise
        assets.say_bold(f"{model.title} cannot be had here, so this run uses {stand_in.title} instead.", str(error))
        return _bring(stand_in)


def find(name):
    """The model of this name.

    Raises CourseError with the nearest name where there is none.
    """
    if name in MODELS:
        return MODELS[name]
    near = get_close_matches(str(name), MODELS, n=1, cutoff=0.0)[0]
    raise CourseError(f"There is no model {name!r}. The nearest is {near!r}; there are {', '.join(MODELS)}.")


def _bring(model):
    failures = []
    for source in model.sources:
        try:
            return _from(model, source)
        except _NotHad as failure:
            failures.append(failure)
    mends = dict.fromkeys(failure.mend for failure in failures)
    raise assets.Unavailable(f"{model.title} cannot be had ({'; '.join(map(str, failures))}). {' '.join(mends)}")


def _from(model, source):
    if isinstance(source, Shipped):
        return _shipped(source)
    return _converted(model, source) if isinstance(source, Converted) else _snapshot(model, source)


def _shipped(source):
    place = BUNDLED / source.folder
    if not place.is_dir():
        raise _NotHad(f"{place} is missing", f"Type: git checkout -- {place.relative_to(project_dir())}")
    return place


def _snapshot(model, hub):
    """The model's folder in the hub's own cache, so that what other programs fetched serves here."""
    from huggingface_hub import get_token, snapshot_download
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError

    files = PIPELINE_FILES if hub.is_pipeline else FILES
    wanted = {"revision": hub.revision, "allow_patterns": files, "ignore_patterns": NOT_FILES}
    try:
        here = Path(snapshot_download(hub.repository, local_files_only=True, **wanted)).resolve()
        if _has_all_weights(here):
            return here
    except LocalEntryNotFoundError:
        pass
    _refuse(hub, get_token())
    try:
        _make_sure_of_space(model)
        return Path(snapshot_download(hub.repository, **wanted)).resolve()
    except GatedRepoError:
        raise _NotHad(f"{hub.repository} is gated and this token has no access yet", GATE) from None
    except (HfHubHTTPError, LocalEntryNotFoundError) as error:
        raise _NotHad(f"{hub.repository}: {_first_line(error)}") from None
    except OSError as error:
        raise _plain(error, model) from error


def _has_all_weights(folder):
    """Whether a download came to its end: the hub hands out a part of one without a word."""
    try:
        if (folder / "model_index.json").exists():
            return _has_all_parts(folder)
        index = folder / "model.safetensors.index.json"
        names = set(json.loads(index.read_text())["weight_map"].values()) if index.exists() else {"model.safetensors"}
    except (OSError, ValueError, KeyError):
        return False
    return all((folder / name).exists() for name in names | {"config.json", "tokenizer_config.json"})


def _has_all_parts(folder):
    """Whether every part that a pipeline's index names is there, with the weights that it needs."""
    parts = {name for name, kind in json.loads((folder / "model_index.json").read_text()).items() if _is_part(kind)}
    needed = [f"{part}/*.fp16.safetensors" if part in WEIGHTY else f"{part}/*.json" for part in parts]
    return all(any(folder.glob(pattern)) for pattern in needed)


def _is_part(kind):
    return isinstance(kind, list) and kind[0] is not None


def _refuse(hub, token):
    """Do not ask where the answer is known."""
    import requests
    from huggingface_hub import constants

    if assets.offline():
        raise _NotHad(f"{hub.repository}: not asked, COURSE_OFFLINE is set", "Unset COURSE_OFFLINE and try again.")
    if hub.gated and not token:
        raise _NotHad(f"{hub.repository} is gated and there is no token here", GATE)
    try:  # huggingface_hub asks six times, over half a minute
        requests.head(constants.ENDPOINT, timeout=TIMEOUT_SECONDS)
    except requests.RequestException:
        raise _NotHad(f"{hub.repository}: {constants.ENDPOINT} does not answer") from None


def _converted(model, source):
    """The folder written from a GGUF file, at the first call; about 20 seconds and `size_bytes` on disk."""
    asset = assets.find(source.asset)
    place = cache_dir() / "models" / f"{model.name}-{asset.sha256[:8]}-{CONVERSION}"
    if _is_complete(place):
        return place
    path = assets.fetch(source.asset)
    try:
        with one_at_a_time(place):
            if not _is_complete(place):
                _make_sure_of_space(model)
                with bar(f"converting {model.title}, about 20 seconds"):
                    _write(path, place)
    except OSError as error:
        raise _plain(error, model) from error
    return place


def _is_complete(place):
    """Whether the folder holds every file that was written, at its size."""
    try:
        sizes = json.loads((place / COMPLETE).read_text())
        return all((place / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, AttributeError):
        return False


def _write(gguf_path, place):
    """Convert beside the final place, then rename; what was there before was not complete."""
    for left_by_a_kill in place.parent.glob(f".{place.name}.*"):
        shutil.rmtree(left_by_a_kill, ignore_errors=True)
    draft = Path(tempfile.mkdtemp(dir=place.parent, prefix=f".{place.name}."))
    try:
        _convert(gguf_path, draft)
        sizes = {path.name: path.stat().st_size for path in draft.iterdir()}
        (draft / COMPLETE).write_text(json.dumps(sizes, indent=1))
        shutil.rmtree(place, ignore_errors=True)
        os.replace(draft, place)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _convert(gguf_path, folder):
    try:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
    except ImportError as error:
        raise CourseError(f"{error.name} is not installed. Type: make extra NAME=llm") from None
    where = {"pretrained_model_name_or_path": gguf_path.parent, "gguf_file": gguf_path.name}
    # Without dequantize=True the loaded model keeps the file's blocks and cannot be saved.
    kind = {"dtype": torch.float32, "quantization_config": GgufConfig(dequantize=True)}
    AutoModelForCausalLM.from_pretrained(**where, **kind).save_pretrained(folder)
    AutoTokenizer.from_pretrained(**where).save_pretrained(folder)


def _make_sure_of_space(model):
    """Raise before the first byte where the disk of the cache cannot hold the model."""
    cache_dir().mkdir(parents=True, exist_ok=True)
    free_bytes = shutil.disk_usage(cache_dir()).free
    if free_bytes < model.size_bytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _plain(error, model):
    """What the file system refused, in one sentence."""
    if error.errno == errno.ENOSPC:
        return CourseError(
            f"The disk is full: {model.title} needs {model.size_bytes / 1e9:,.1f} GB. "
            "Free some space, then run this again; nothing half-written was left."
        )
    return CourseError(
        f"{model.title} cannot be kept: {error.strerror or error}. Set COURSE_CACHE_DIR to a folder that you can write to."
    )


def _first_line(error):
    return (str(error).strip() or type(error).__name__).splitlines()[0]

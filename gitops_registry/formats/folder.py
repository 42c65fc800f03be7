"""Folders that describe a model: the description as plain data, and the files in them that it names.

A description is small, plain YAML in a regular file. A file it names counts only if it lies in the folder: no path that climbs
or starts anew, and no symbolic link on the way.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from gitops_registry.errors import ManifestError, RegistryError
from gitops_registry.formats.loaded import reason, shown
from gitops_registry.manifest.reading import MAX_BYTES, plain_mapping

_PICKLES = (".pkl", ".pickle", ".joblib", ".cloudpickle", ".dill")
_MOST_FILES = 20_000


def has_description(folder: Path, name: str) -> bool:
    """Say whether a folder holds a regular file of that name, no symbolic link."""
    with suppress(OSError, ValueError):
        return folder.is_dir() and stat.S_ISREG((folder / name).lstat().st_mode)
    return False


def description_in(folder: Path, name: str) -> dict[str, Any]:
    """Return what the description of a folder says. Raises RegistryError for one that is no plain YAML mapping of 1 MiB."""
    try:
        # O_NONBLOCK: a pipe of that name must not be waited for.
        with os.fdopen(os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as reader:
            data = reader.read(MAX_BYTES + 1)
        return plain_mapping(data, name)
    except OSError as error:
        raise RegistryError(
            f"cannot read {name} of the folder: {error.strerror}", hint="save the model again"
        ) from error
    except ManifestError as error:
        raise RegistryError(
            f"{folder.name}: {reason(error)}", hint="save the model again with its own library"
        ) from error


def named(folder: Path, told: object, *, is_folder: bool = False) -> str:
    """Return the path of a file (or folder) in a folder that its description names, as it stands there.

    Raises RegistryError where it leads out of the folder, over a symbolic link, or to nothing of that kind.
    """
    if not isinstance(told, str) or not told or "\\" in told or not told.isprintable():
        raise RegistryError(
            f"{folder.name} names no file of its model", hint="save the model again with its own library"
        )
    path = PurePosixPath(told)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise RegistryError(
            f"{folder.name} names the file {shown(told)}, which is not in the folder", hint="do not use this folder"
        )
    at = folder
    for step, part in enumerate(path.parts, 1):
        at = at / part
        try:
            mode = at.lstat().st_mode
        except OSError as error:
            raise RegistryError(
                f"{folder.name} names the file {shown(told)}, which is not there", hint="save the model again"
            ) from error
        is_right = stat.S_ISDIR if step < len(path.parts) or is_folder else stat.S_ISREG
        if not is_right(mode):
            what = "a symbolic link" if stat.S_ISLNK(mode) else "nothing of that kind"
            raise RegistryError(f"{shown(told)} in {folder.name} is {what}", hint="do not use this folder")
    return path.as_posix()


def pickles_in(folder: Path) -> list[str]:
    """Return the files below a folder that are named like pickles, in order: whoever opens one runs the code in it."""
    return sorted(path for path in _files(folder) if path.lower().endswith(_PICKLES))


def _files(folder: Path) -> Iterator[str]:
    seen = 0
    for where, folders, files in os.walk(folder):
        folders.sort()
        for file in sorted(files):
            seen += 1
            if seen > _MOST_FILES:
                return
            yield (Path(where) / file).relative_to(folder).as_posix()

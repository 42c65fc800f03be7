"""Model folders that another registry names: where they are on this machine, and what they say about themselves.

A name that somebody else wrote down is not believed: only folders below the given ones are read, and only those that
hold a description of a model (MLmodel). Nothing in them is executed or unpickled.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from gitops_registry.errors import ManifestError, NotFound
from gitops_registry.manifest.reading import MAX_BYTES, plain_mapping
from gitops_registry.translation import Described

_DESCRIPTION = "MLmodel"
_SHORTEST_TAIL = 3
"""Parts of a path that must agree where a folder is looked for in another place than the one that was noted."""
_REQUIREMENT = re.compile(r"[A-Za-z0-9][ -~]{0,199}")


def found_model(noted: str, roots: Sequence[Path]) -> Path:
    """Return the model folder below one of the roots: the noted one, or one whose path ends as the noted one does.

    Raises NotFound where there is none.
    """
    for candidate in (Path(noted), *_moved(noted, roots)):
        if candidate.is_absolute() and is_model(candidate) and _is_below(candidate, roots):
            return candidate
    if Path(noted).is_absolute() and is_model(Path(noted)):
        raise no_folder(f"its artifacts are in {shown(noted)}", "if you trust that folder, name it: --artifacts FOLDER")
    raise no_folder(f"there is no model folder {shown(noted)}", "name the folder they lie in: --artifacts FOLDER")


def _moved(noted: str, roots: Sequence[Path]) -> Iterator[Path]:
    parts = [part for part in noted.split("/") if part]
    for root in roots:
        for start in range(len(parts) - _SHORTEST_TAIL + 1):
            yield root.joinpath(*parts[start:])


def _is_below(folder: Path, roots: Sequence[Path]) -> bool:
    real = folder.resolve()
    return any(real.is_relative_to(root.resolve()) for root in roots)


def is_model(folder: Path) -> bool:
    """Say whether a folder holds a model that describes itself."""
    with suppress(OSError, ValueError):
        return stat.S_ISREG((folder / _DESCRIPTION).lstat().st_mode)
    return False


def described(folder: Path) -> Described:
    """Return what a model folder says about itself; only its MLmodel and requirements.txt are read, as plain data."""
    notes: list[str] = []
    mlmodel: dict[str, Any] = {}
    try:
        mlmodel = plain_mapping(_small(folder / _DESCRIPTION), _DESCRIPTION)
    except (ManifestError, OSError) as error:
        notes.append(f"{error}: nothing is known of its framework and signature")
    requirements: tuple[str, ...] = ()
    with suppress(OSError):
        lines = _small(folder / "requirements.txt").decode("utf-8", "replace").splitlines()
        told = (line.split(" #")[0].strip() for line in lines[:2_000])  # an address may hold a password: left out
        requirements = tuple(line for line in told if _REQUIREMENT.fullmatch(line) and "://" not in line)
    return Described(mlmodel, requirements[:1_000], tuple(notes))


def _small(file: Path) -> bytes:
    """Return the bytes of a plain file that is not a symbolic link, as many as a manifest may have and one more."""
    with os.fdopen(os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as reader:
        return reader.read(MAX_BYTES + 1)


# ── what is said about where it is


def no_folder(message: str, hint: str) -> NotFound:
    """Return the error that says why a version has no bytes that could be read."""
    return NotFound(message, hint=hint)


def scheme_of(location: str) -> str:
    """Return the scheme of a URI in lower case; empty for a path."""
    match = re.match(r"([A-Za-z][A-Za-z0-9+.-]*):", location)
    return match[1].lower() if match else ""


def steps_out(location: str) -> bool:
    """Say whether a location climbs, however often it is escaped, or holds signs that no path has."""
    for _ in range(4):
        if ".." in re.split(r"[/\\?#:]", location) or not location.isprintable():
            return True
        location = unquote(location)
    return False


def shown(text: str) -> str:
    """Return text as one line that is not too long."""
    line = "".join(sign if sign.isprintable() else " " for sign in text)
    return line if len(line) <= 160 else f"{line[:100]}…{line[-50:]}"

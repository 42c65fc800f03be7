"""The zip that torch writes: its records, read within bounds, and written so that the same records are the same bytes.

Whoever opens a file of torch's here hands on an archive made anew of records that were looked at, never the file
itself: torch has a zip reader of its own, which need not see what this one saw.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gitops_registry.errors import RegistryError
from gitops_registry.formats.loaded import reason, shown
from gitops_registry.manifest.columns import Column

_TOP = "archive"
_SAID = "extra/gitops_registry.json"
_LARGEST_RATIO = 200
_LARGEST_UNPACKED = 1 << 30
_ENCRYPTED = 0x1
_BEGINNING = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can say
_UNREADABLE = (zipfile.BadZipFile, zlib.error, ValueError, NotImplementedError, RuntimeError, EOFError)


@dataclass(frozen=True)
class Archive:
    """The records of a file, by their names under its one top folder."""

    file: str
    records: Mapping[str, bytes]

    def text(self, name: str) -> str:
        """Return a record that is text. Raises where it is missing or none."""
        if name not in self.records:
            raise damaged(self.file, f"it has no {name}")
        try:
            return self.records[name].decode("utf-8")
        except UnicodeDecodeError as error:
            raise damaged(self.file, f"its {name} is no text") from error


def listing(path: Path) -> frozenset[str]:
    """Return the names of a file's records, of which only the directory is read; none for anything but such a zip."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except _UNREADABLE:
        return frozenset()
    tops = {name.partition("/")[0] for name in names}
    return frozenset(name.partition("/")[2] for name in names) if len(tops) == 1 else frozenset()


def read(path: Path) -> Archive:
    """Return the records of a file.

    Raises for a damaged one, for one that unpacks to a flood, and for one that two readers could read differently:
    records outside its one top folder, twice under one name or encrypted.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RegistryError(f"cannot read {path}: {error.strerror}", hint="check the path") from error
    return unpacked(data, path.name)


def unpacked(data: bytes, file: str) -> Archive:
    """Return the records in the bytes of a file, within the same bounds."""
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            entries = archive.infolist()
            if problem := _problem(entries, len(data)):
                raise damaged(file, problem)
            return Archive(file, {entry.filename.partition("/")[2]: archive.read(entry) for entry in entries})
    except _UNREADABLE as error:
        raise damaged(file, reason(error)) from error


def _problem(entries: list[zipfile.ZipInfo], size: int) -> str:
    names = [entry.filename for entry in entries]
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > _LARGEST_UNPACKED and unpacked > _LARGEST_RATIO * size:
        return f"{size} bytes unpack to {unpacked}"
    if any(entry.flag_bits & _ENCRYPTED for entry in entries):
        return "it is encrypted"
    if len(set(names)) != len(names):
        return "it holds two records of one name"
    parts = [name.split("/") for name in names]
    if any(len(part) < 2 or {"", ".", ".."} & set(part) or "\\" in "".join(part) for part in parts):
        return "it holds records outside its folder"
    return "it holds more than one folder" if len({part[0] for part in parts}) > 1 else ""


def pack(records: Mapping[str, bytes]) -> bytes:
    """Return the file that holds these records in their order, stored as they are and dated 1980."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in records.items():
            archive.writestr(zipfile.ZipInfo(f"{_TOP}/{name}", _BEGINNING), data)
    return buffer.getvalue()


def damaged(file: str, why: str) -> RegistryError:
    """Return the error for a file of torch's that cannot be read."""
    return RegistryError(
        f"{file} is not a readable file of torch's: {why}", hint="the file is damaged; save the model again"
    )


# ── what this package keeps beside a program, because the program does not say it


@dataclass(frozen=True)
class Said:
    """What a file says of itself where this package saved it. Nothing of it is needed to open the file."""

    model_type: str = ""
    version: str = ""
    inputs: tuple[Column, ...] = ()
    outputs: tuple[Column, ...] = ()


def saying(words: Said) -> dict[str, bytes]:
    """Return the record that says it. Torch keeps such records (`extra/`) and does not read them."""
    columns = [
        [column.model_dump(mode="json", exclude_none=True) for column in side] for side in (words.inputs, words.outputs)
    ]
    plain = {"model_type": words.model_type, "torch": words.version, "inputs": columns[0], "outputs": columns[1]}
    return {_SAID: json.dumps(plain, sort_keys=True, ensure_ascii=False).encode()}


def said(archive: Archive) -> Said:
    """Return what the file says of itself; nothing where another program saved it. Raises where it is damaged."""
    if _SAID not in archive.records:
        return Said()
    try:
        plain = json.loads(archive.text(_SAID))
        inputs, outputs = (
            tuple(map(Column.model_validate_json, map(json.dumps, plain[side]))) for side in ("inputs", "outputs")
        )
        return Said(shown(str(plain["model_type"])), shown(str(plain["torch"])), inputs, outputs)
    except (ValueError, TypeError, KeyError, RecursionError, ValidationError) as error:
        raise damaged(archive.file, f"its {_SAID} is none of this package's") from error


# ── torch itself


def library() -> Any:
    """Return torch. Raises where it is not installed."""
    try:
        import torch
    except ImportError as error:
        raise RegistryError("torch is not installed", hint="pip install 'gitops-registry[torch]'") from error
    return torch


def why(error: BaseException) -> str:
    """Return what torch says went wrong, in one line. Its compiler and interpreter say the reason first or last."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    last = lines[-1] if lines else ""
    if "TorchScript interpreter" in str(error) and last:
        return shown(last.removeprefix("RuntimeError: "))
    return reason(error)

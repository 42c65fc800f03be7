"""Saying what a model's versions are measured on: a table that is brought into the store and pinned by digest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gitops_registry import edits
from gitops_registry.appraisal import rows_of
from gitops_registry.deciding import Intent
from gitops_registry.errors import NotFound, RegistryError
from gitops_registry.holding import committed_with, examine, hold
from gitops_registry.manifest.facts import PinnedData
from gitops_registry.registering import made
from gitops_registry.snapshot import Edits, Snapshot
from gitops_registry.workplace import Workplace


def pinning(
    place: Workplace, name: str, file: Path, target: str,
    *, dataset: str = "", slices: Sequence[str] = (), reason: str = "", dry_run: bool = False,
) -> Intent:  # fmt: skip
    """Bring a table into the store, and return the wish to pin it as what a model's versions are measured on.

    `slices` are columns of it by whose groups they are measured, too. Raises RegistryError for what is no table, has no such column, or cannot be stored.
    """
    place.snapshot(place.tip()).known_model(name)
    rows = rows_of(file, target)
    unknown = [column for column in slices if column not in {str(name) for name in rows.inputs.columns}]
    if unknown:
        raise NotFound(f"there is no column {unknown[0]!r} to group by", hint="name columns of the table")
    held = examine(file) if dry_run else hold(place, [file])[0]
    if held.digest.sha256 != rows.sha256:
        raise RegistryError(f"{file} changed while it was read", hint="wait until it is written, then try again")
    data = made(
        PinnedData,
        dataset=_readable(dataset or file.stem), file=f"{_plain_stem(file)}{file.suffix.lower()}", target=target, rows=len(rows.inputs),
        size=held.digest.size, md5=held.digest.md5, sha256=held.digest.sha256, slices=tuple(slices),
    )  # fmt: skip

    def edit(before: Snapshot) -> Edits:
        return {**edits.set_evaluation(before, name, data), **committed_with(place, before, [held])}

    return Intent(
        edit=edit,
        subject=lambda _: f"evaluation data of {name}: {data.file}",
        branch=lambda _: f"evaluation/{name}/data",
        reason=reason,
        brings=frozenset({data.sha256}),
    )


def _readable(text: str) -> str:
    """Return a name as text that can be written down, whatever bytes the disk has for it."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _plain_stem(file: Path) -> str:
    """Return the name of a file in letters that any system and DVC write the same way."""
    text = "".join(sign if sign.isascii() and (sign.isalnum() or sign in "-_") else "-" for sign in file.stem)
    return text.strip("-_")[:60] or "data"


def unpinning(name: str, *, reason: str = "") -> Intent:
    """Return the wish to measure a model's versions on no data of the registry any more."""
    return Intent(
        edit=lambda before: edits.set_evaluation(before, name, None),
        subject=lambda _: f"evaluation data of {name} removed",
        branch=lambda _: f"evaluation/{name}/data",
        reason=reason,
    )

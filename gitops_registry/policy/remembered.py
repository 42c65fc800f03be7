"""What a check of a whole registry need not judge again: versions and stored objects that were found without fault.

A unit is known by a digest of everything that its verdict depends on in files: `registry.yaml`, the templates, and the
paths, modes and object ids of its own files. Whoever keeps the digests keeps them apart for each version of these rules.
What files do not say (bytes in a store, history) is not remembered here, and neither is a model's own state.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, MutableSet, Sequence

from gitops_registry import paths
from gitops_registry.policy.report import Finding
from gitops_registry.reference import Reference
from gitops_registry.snapshot import PathChange

Unit = Reference | str
"""A version, or the path of a stored object."""


class Remembered:
    """Says which units of one revision were judged before, and notes those that are judged now.

    `files` are all of the revision. `clean` are the digests of units that were found without fault; those that are
    found so are added.
    """

    def __init__(self, files: Sequence[PathChange], clean: MutableSet[bytes]) -> None:
        self._clean = clean
        self._law = _digest(sorted(path for path in files if _is_law(path.path)))
        self._kept = {place.model for path in files if (place := paths.place_of(path.path)).role == "model"}
        self._judged: dict[Unit, bytes] = {}

    def unknown(
        self, changed: Sequence[PathChange], versions: Sequence[Reference] = ()
    ) -> tuple[list[PathChange], tuple[Reference, ...]]:
        """Return those of the files and versions that are to be judged, in their order."""
        units: dict[Unit, list[PathChange]] = {}
        for path in changed:
            if (unit := _unit_of(path.path)) is not None:
                units.setdefault(unit, []).append(path)
        new = {unit: key for unit, files in units.items() if (key := self._key(unit, files)) not in self._clean}
        self._judged = new
        known = units.keys() - new.keys()
        left = [path for path in changed if _unit_of(path.path) not in known] if known else list(changed)
        return left, tuple(reference for reference in versions if reference not in known)

    def noted(self, found: Sequence[Finding]) -> Sequence[Finding]:
        """Return the findings, with what `unknown` returned last remembered, but for what any of them is about."""
        blamed: set[Unit] = set()
        for finding in found:
            blamed |= {Reference(finding.model, finding.version), finding.path, _unit_of(finding.path) or ""}
        for unit, key in self._judged.items():
            if unit not in blamed:
                self._clean.add(key)
        self._judged = {}
        return found

    def _key(self, unit: Unit, files: Iterable[PathChange]) -> bytes:
        """A stored object's verdict depends on it alone; a version's also on whether somebody keeps its model's state."""
        if isinstance(unit, str):
            return _digest(files)
        return _digest(sorted(files), self._law, bytes([unit.name in self._kept]))


def _unit_of(path: str) -> Unit | None:
    place = paths.place_of(path)
    if place.role == "store_object":
        return path
    return Reference(place.model, place.version) if place.version else None


def _is_law(path: str) -> bool:
    return path == paths.CONSTITUTION or path.startswith("cards/templates/")


def _digest(files: Iterable[PathChange], *more: bytes) -> bytes:
    told = "\0".join(f"{path.new_mode} {path.new_oid} {path.path}" for path in files)
    return hashlib.sha256(b"\0\0".join([told.encode(errors="surrogateescape"), *more])).digest()

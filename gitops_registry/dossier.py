"""What the child process is told of a version: which verified files to open, and which rows to measure it on.

Files of a version and pinned data are fetched by digest. Folders and data are copied into a folder that the caller gives,
which must live until the child has answered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gitops_registry.digests import sha256_of
from gitops_registry.errors import NotFound, RegistryError
from gitops_registry.formats import FORMATS
from gitops_registry.manifest.facts import Artifact, EvaluationData, Version
from gitops_registry.manifest.parts import plain
from gitops_registry.reference import Reference
from gitops_registry.snapshot import Snapshot
from gitops_registry.workplace import Workplace, digest_of


@dataclass(frozen=True)
class Table:
    """A table on this machine, its column of truth, and the columns by whose groups is measured, too."""

    file: Path
    target: str
    dataset: str
    sha256: str
    slices: tuple[str, ...] = ()

    def as_evaluation(self, rows: int | None) -> EvaluationData:
        """Return what is recorded of it."""
        return EvaluationData(dataset=self.dataset, rows=rows, target=self.target, sha256=self.sha256)


@dataclass
class Desk:
    """Where a registry's versions and data are laid out for the child. `law` is the registry that says which data counts."""

    place: Workplace
    snapshot: Snapshot
    law: Snapshot
    folder: Path
    _pinned: dict[str, Table] = field(default_factory=dict)

    def given(self, file: Path, target: str, slices: Sequence[str]) -> Table:
        """Return a table that somebody names. Raises RegistryError where nothing says which column is the truth."""
        if not target:
            raise RegistryError("nothing says which column of the data is the truth", hint="--target COLUMN")
        if not file.is_file():
            raise NotFound(f"there is no file {file}", hint="check the path")
        shown = file.name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        return Table(file.resolve(), target, shown, sha256_of(file), tuple(slices))

    def pinned(self, name: str, slices: Sequence[str] = ()) -> Table:
        """Return the data that a model pins, verified. Raises NotFound where it pins none, Damaged."""
        data = self.law.known_model(name).evaluation
        if data is None:
            raise NotFound(
                f"{name} pins no evaluation data",
                hint=f"gitops-registry evaluation set {name} FILE --target COLUMN, or name a table",
            )
        if name not in self._pinned:
            copy = self.folder / "pinned" / str(len(self._pinned)) / data.file
            store = self.place.store(self.law)
            store.materialise(digest_of(data.as_artifact()), copy, f"the evaluation data of {name}")
            columns = tuple(dict.fromkeys((*data.slices, *slices)))
            self._pinned[name] = Table(copy, data.target, data.dataset, data.sha256, columns)
        return self._pinned[name]

    def kept(self, reference: Reference, version: Version) -> Table | None:
        """Return the rows that a version was registered with, where it keeps them, verified."""
        own, artifact = version.evaluation, kept_rows(version)
        if own is None or artifact is None:
            return None
        slices = tuple(one.column for one in version.slices)
        return Table(self._laid_out(reference, artifact), own.target, own.dataset, artifact.sha256, slices)

    def task(self, reference: Reference, version: Version, table: Table | None) -> dict[str, Any]:
        """Return the task of a version (see `cage.examination`). Raises Damaged, NotFound where nothing can be opened."""
        original = original_of(version)
        if original is None:
            raise NotFound(
                f"{reference} has nothing in a format that can be loaded", hint="register it as skops or ONNX"
            )
        trust = self.place.trust
        told: dict[str, Any] = {
            "name": str(reference),
            "model": self._told(reference, original),
            "trust": {"types": list(trust.types), "formats": sorted(trust.formats)},
            "classes": plain(version.classes) if version.classes else None,
            "signature": plain(version.signature) if version.signature else None,
            "task": version.task,
        }
        example = next((a for a in version.artifacts if a.name == "input_example"), None)
        if example is not None:
            told["example"] = self._told(reference, example)
        if table is not None:
            told["rows"] = {"file": str(table.file), "sha256": table.sha256, "target": table.target}
            told["slices"] = list(table.slices)
            # Whatever it says that it was made from: a loader takes the format that it likes best.
            derived = [a for a in version.artifacts if a.name != original.name and a.format in FORMATS]
            told["derived"] = [{"name": a.name, **self._told(reference, a)} for a in derived]
        return told

    def _told(self, reference: Reference, artifact: Artifact) -> Mapping[str, Any]:
        return {
            "format": artifact.format, "file": str(self._laid_out(reference, artifact)), "sha256": artifact.sha256,
        }  # fmt: skip

    def _laid_out(self, reference: Reference, artifact: Artifact) -> Path:
        """Return verified bytes: a file in the cache, or a copy under its own name where the name or a folder matters."""
        store, what = self.place.store(self.snapshot), f"{reference} {artifact.file}"
        if artifact.files is None and artifact.format in FORMATS:
            return store.fetch(digest_of(artifact), what)
        copy = self.folder / "versions" / f"{reference.name}-{reference.number}" / artifact.file
        store.materialise(digest_of(artifact), copy, what)
        return copy


def kept_rows(version: Version) -> Artifact | None:
    """Return the artifact with the rows that a version was measured on when it was registered, where it keeps them."""
    own = version.evaluation
    if own is None or own.sha256 is None:
        return None
    return next((artifact for artifact in version.artifacts if artifact.name == own.artifact), None)


def original_of(version: Version) -> Artifact | None:
    """Return what was registered, before anything was converted from it; None where nothing of it can be loaded."""
    there = [a for a in version.artifacts if a.format in FORMATS]
    return next((a for a in there if a.derived_from is None), next(iter(there), None))

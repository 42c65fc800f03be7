"""What an export is made from: one version with its words and its verified bytes, as plain values.

An exporter is one module with `write(subject, target) -> Written`. It reads the files, never changes them, and writes
nothing but `target`, which does not exist before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gitops_registry.manifest.facts import Artifact, Evaluation, Version
from gitops_registry.manifest.kinds import Card
from gitops_registry.reference import Reference


@dataclass(frozen=True)
class Subject:
    """One version. `files` are its artifacts by name, each a file or folder whose SHA-256 was compared a moment ago.

    `card_text` is its card as Markdown; `evaluations` are later measurements, oldest first; `home` is the address of the
    registry, empty where it has none; `commit` is what it was read at.
    """

    reference: Reference
    version: Version
    card: Card
    card_text: str
    files: Mapping[str, Path]
    title: str = ""
    home: str = ""
    commit: str = ""
    evaluations: tuple[Evaluation, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)

    def artifact(self, *formats: str) -> tuple[Artifact, Path] | None:
        """Return the first artifact in one of the formats, in order of the formats, and its bytes; None where there is none."""
        for wanted in formats:
            for artifact in self.version.artifacts:
                if artifact.format == wanted and artifact.name in self.files:
                    return artifact, self.files[artifact.name]
        return None


@dataclass(frozen=True)
class Written:
    """What an export wrote: the file or folder, and what its target cannot say of the version, a sentence each."""

    path: Path
    notes: tuple[str, ...] = ()

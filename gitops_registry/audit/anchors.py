"""What outside of a history says that it is whole: the key that its first decision must be signed with.

A history is a chain, so whoever knows its end knows all of it; but whoever hands it over can hand over another one. A root
that is pinned in this repository's git configuration, and a checkpoint that somebody kept (`auditing.checkpoint`), are
anchors; without one every output says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gitops_registry import paths
from gitops_registry.git.line import ids
from gitops_registry.git.repository import Repository
from gitops_registry.identity import Signature, Witnesses
from gitops_registry.snapshot import Snapshot

ROOT = "gitops-registry.root"
"""The key of git's configuration that names whose key starts the registry."""
NONE = "no anchor (a pinned root, a checkpoint) says that this history is whole"


@dataclass(frozen=True)
class Anchor:
    """What is pinned and whether this history fits it. `root` is a fingerprint, empty where nothing is pinned."""

    root: str = ""
    problem: str = ""

    @property
    def is_there(self) -> bool:
        """Whether the history begins as something outside of it says."""
        return bool(self.root) and not self.problem

    def __str__(self) -> str:
        """Say what stands behind the beginning of the history, in one line."""
        if not self.root:
            return NONE
        return self.problem or f"the history begins with the pinned root {self.root}"

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-ready data."""
        return {"root": self.root or None, "holds": self.is_there, "text": str(self)}


def anchor(repository: Repository, tip: str, root: str = "") -> Anchor:
    """Return whether the history to `tip` begins with the pinned root: the one given, else the one in git's configuration.

    Raises RegistryError in a shallow clone.
    """
    pinned = root or repository.config(ROOT)
    if not pinned:
        return Anchor()
    start = beginning(repository, tip)
    if start is None:
        return Anchor(pinned, "there is no registry in this history")
    oid, found = start
    if found.state == "good" and found.fingerprint == pinned:
        return Anchor(pinned)
    told = f"with {found.fingerprint}" if found.state == "good" else f"by nobody who can be proved: {found}"
    return Anchor(pinned, f"the registry was started {told} in {oid[:12]}, and the pinned root is {pinned}")


def beginning(repository: Repository, tip: str) -> tuple[str, Signature] | None:
    """Return the commit that started the registry and its signature under the keys that it brought; None without a registry."""
    for oid in reversed(ids(repository, tip)):
        side = Snapshot(repository.source(oid))
        if side.oid(paths.CONSTITUTION):
            return oid, Witnesses(repository).signature(oid, side)
    return None

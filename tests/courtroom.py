"""A history in a bare repository of its own, sharing the objects of another: whatever is forged there is looked at here alone."""

from __future__ import annotations

import subprocess
from pathlib import Path

from workshop import Workshop

from gitops_registry.auditing.checkpoint import Checkpoint, write
from gitops_registry.auditing.findings import Breach
from gitops_registry.auditing.verification import Verification
from gitops_registry.registry import Registry
from gitops_registry.workplace import Workplace


class Courtroom:
    """One bare repository whose main is put anywhere."""

    def __init__(self, folder: Path, shop: Workshop) -> None:
        self.root = folder / "looked-at.git"
        self.shop = shop
        subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", str(self.root)], check=True)
        (self.root / "objects/info/alternates").write_text(f"{shop.root}/.git/objects\n")
        self.git("config", "gitops-registry.branch", "main")
        self.git("config", "gitops-registry.root", shop.alice.fingerprint)

    def git(self, *arguments: str) -> str:
        """Run git here."""
        command = ["git", "-C", str(self.root), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def put(self, commit: str) -> Courtroom:
        """Let main be at a commit."""
        self.git("update-ref", "refs/heads/main", commit)
        return self

    def look(
        self, commit: str = "", *, checkpoint: Checkpoint | None = None, policies: bool = False, objects: bool = False
    ) -> list[Breach]:
        """Return the breaches of the history to a commit (of main as it is, without one)."""
        if commit:
            self.put(commit)
        return list(Verification(Workplace.open(self.root), checkpoint, objects=objects, policies=policies).breaches())

    @property
    def registry(self) -> Registry:
        """The registry, opened anew."""
        return Registry.open(self.root)

    def checkpoint(self, commit: str, file: Path | None = None) -> Checkpoint:
        """Return the checkpoint of the history to a commit, and write it."""
        self.put(commit)
        export = self.registry.export_log()
        for _ in export.lines():
            pass
        made = export.checkpoint()
        if file:
            write(made, file)
        return made


def rules(found: list[Breach]) -> set[str]:
    """Return the promises that are broken."""
    return {one.rule for one in found}

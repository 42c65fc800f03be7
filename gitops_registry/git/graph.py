"""git's own graph of commits, with what each changed: the history of one model is then found without reading every tree.

It is git's to read, to check and to keep (`git gc` renews it); here it is only asked for. Whoever has none waits longer.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from gitops_registry.errors import RegistryError
from gitops_registry.git.process import run
from gitops_registry.git.repository import Repository

_FILES = ("commit-graph", "commit-graphs/commit-graph-chain")
_CHANGED_PATHS = b"BIDX"
"""The chunk of a graph that says where the filters of changed paths are (gitformat-commit-graph(5))."""


def renew(repository: Repository) -> None:
    """Bring the graph up to all commits there are. Where that cannot be done, nothing happens."""
    with suppress(RegistryError):
        if not repository.is_shallow and not repository.config("extensions.partialClone"):
            split = (
                "--split" if has_changed_paths(repository) else "--split=replace"
            )  # what has no filters gets none later
            words = ("commit-graph", "write", "--reachable", "--changed-paths", split, "--no-progress")
            run(repository.folder, *words, held=repository.held)


def has_changed_paths(repository: Repository) -> bool:
    """Say whether there is a graph that knows of all its commits what they changed."""
    info = repository.common_dir / "objects" / "info"
    with suppress(OSError):
        chain = (info / _FILES[1]).read_text().split() if (info / _FILES[1]).exists() else []
        layers = [info / "commit-graphs" / f"graph-{name}.graph" for name in chain]
        files = [info / _FILES[0]] if (info / _FILES[0]).exists() else layers  # as git looks for them
        return bool(files) and all(_CHANGED_PATHS in _head(file) for file in files)
    return False


def _head(file: Path) -> bytes:
    with file.open("rb") as reader:
        return reader.read(256)

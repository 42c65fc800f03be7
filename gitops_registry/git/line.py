"""The line of decisions in bulk: one git process however many there are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gitops_registry.git.parsing import by_commit, changes_in
from gitops_registry.git.process import streamed
from gitops_registry.git.repository import Repository
from gitops_registry.snapshot import PathChange


def steps_of(repository: Repository, commits: Sequence[str]) -> Iterator[tuple[str, list[PathChange]]]:
    """Yield those commits in their order, each with all the paths it changed against its first parent."""
    words = (
        "-c", "log.showRoot=true", "-c", "diff.orderFile=/dev/null", "log", "--no-walk=unsorted", "--stdin", "--no-show-signature",
        "--no-color", "--no-notes", "--first-parent", "--diff-merges=first-parent", "--raw", "-z", "--no-renames", "--no-relative",
        "--no-abbrev", "--ignore-submodules=none", "--format=%H",
    )  # fmt: skip
    if not commits:  # git would take none for HEAD
        return
    with streamed(repository.folder, *words, stdin="".join(f"{oid}\n" for oid in commits).encode()) as tokens:
        yield from by_commit(changes_in(tokens, commits=True))


def ids(repository: Repository, tip: str, after: str = "", *, limit: int | None = None) -> list[str]:
    """Return the commits of the line that leads to `tip` (after a commit, where one is given), newest first.

    Raises RegistryError in a shallow clone, where the first one would look like the beginning.
    """
    repository.need_history("the log")
    count = () if limit is None else (f"--max-count={limit}",)
    return repository.run("rev-list", "--first-parent", *count, tip, *([f"^{after}"] if after else [])).split()


def graph(repository: Repository, tip: str, after: str = "") -> dict[str, tuple[str, ...]]:
    """Return commit → parents of everything that leads to `tip` and not to `after`, a commit always before its parents."""
    told = repository.run("rev-list", "--topo-order", "--parents", tip, *([f"^{after}"] if after else []))
    rows = (row.split(" ") for row in told.splitlines())
    return {oid: tuple(parents) for oid, *parents in rows}

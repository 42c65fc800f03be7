"""What a push brings, asked of git in bulk, while its objects are still in quarantine (git-receive-pack(1))."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gitops_registry.errors import RegistryError
from gitops_registry.git.parsing import raw_changes
from gitops_registry.git.process import run
from gitops_registry.git.repository import Repository
from gitops_registry.snapshot import PathChange


def new_commits(repository: Repository, tips: Sequence[str]) -> list[str]:
    """Return the commits that no ref of this repository has yet, oldest first."""
    if not tips:
        return []
    stdin = "".join(f"{tip}\n" for tip in tips).encode()
    return repository.run("rev-list", "--topo-order", "--reverse", "--stdin", "--not", "--all", stdin=stdin).split()


def brought(repository: Repository, commits: Sequence[str]) -> Iterator[tuple[str, list[PathChange]]]:
    """Yield each commit with the paths it changed against its first parent, no renames guessed."""
    if not commits:
        return
    told = run(
        repository.folder,
        "-c", "log.showRoot=true", "-c", "diff.orderFile=/dev/null", "log", "--no-walk=unsorted", "--stdin",
        "--no-show-signature", "--no-color", "--diff-merges=first-parent", "--raw", "-z", "--no-renames", "--no-relative",
        "--no-abbrev", "--ignore-submodules=none", "--format=%H",
        stdin="".join(f"{commit}\n" for commit in commits).encode(),
    ).decode(errors="surrogateescape")  # fmt: skip
    found: tuple[str, list[PathChange]] | None = None
    for oid, change in raw_changes(told, commits=True):
        if oid:
            if found:
                yield found
            found = (oid, [])
        elif found:
            found[1].append(change)
    if found:
        yield found


def sizes(repository: Repository, oids: Sequence[str]) -> dict[str, int]:
    """Return the sizes of objects by their ids. Raises RegistryError for one that is not there."""
    if not oids:
        return {}
    told = repository.run(
        "cat-file",
        "--batch-check=%(objectname) %(objectsize)",
        "--buffer",
        stdin="".join(f"{oid}\n" for oid in oids).encode(),
    )
    found = {}
    for line in told.splitlines():
        oid, _, size = line.partition(" ")
        if not size.isdigit():
            raise RegistryError(f"the push lacks the object {oid[:12]}", hint="push again; or look at yours: git fsck")
        found[oid] = int(size)
    return found


def beyond(repository: Repository, tips: Sequence[str], base: str) -> list[str]:
    """Return the commits that lead to some tips and not to `base`, newest first."""
    if not tips:
        return []
    stdin = "".join(f"{tip}\n" for tip in (*tips, f"^{base}")).encode()
    return repository.run("rev-list", "--topo-order", "--stdin", stdin=stdin).split()


def commit_of(repository: Repository, oid: str) -> str | None:
    """Return the commit that an object is, or that an annotated tag names; None for anything else."""
    found = repository.objects.get(f"{oid}^{{commit}}", limit=0)
    return found.oid if found else None


def holding(repository: Repository, commit: str, prefixes: Sequence[str]) -> dict[str, str]:
    """Return full ref name → commit for the branches under some prefixes that contain a commit."""
    folders = [f"refs/heads/{prefix}/" for prefix in prefixes]
    told = repository.run("for-each-ref", f"--contains={commit}", "--format=%(refname) %(objectname)", *folders)
    return {line.rsplit(" ", 1)[0]: line.rsplit(" ", 1)[1] for line in told.splitlines()}

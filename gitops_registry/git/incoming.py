"""What a push brings, asked of git in bulk, while its objects are still in quarantine (git-receive-pack(1))."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gitops_registry.errors import RegistryError
from gitops_registry.git.parsing import changes_in
from gitops_registry.git.process import streamed
from gitops_registry.git.repository import Repository
from gitops_registry.snapshot import PathChange

_SOME = 10_000


def new_commits(repository: Repository, tips: Sequence[str]) -> list[str]:
    """Return the commits that no ref of this repository has yet, oldest first."""
    if not tips:
        return []
    stdin = "".join(f"{tip}\n" for tip in tips).encode()
    return repository.run("rev-list", "--topo-order", "--reverse", "--stdin", "--not", "--all", stdin=stdin).split()


def brought(repository: Repository, commits: Sequence[str]) -> Iterator[tuple[str, list[PathChange]]]:
    """Yield each commit with paths it changed against its first parent, no renames guessed, some at a time.

    Nothing is held that was not asked for: a few small trees can name millions of paths, and whoever counts them can stop.
    """
    if not commits:
        return
    words = (
        "-c", "log.showRoot=true", "-c", "diff.orderFile=/dev/null", "log", "--no-walk=unsorted", "--stdin",
        "--no-show-signature", "--no-color", "--diff-merges=first-parent", "--raw", "-z", "--no-renames", "--no-relative",
        "--no-abbrev", "--ignore-submodules=none", "--format=%H",
    )  # fmt: skip
    commit, some = "", list[PathChange]()
    with streamed(repository.folder, *words, stdin="".join(f"{oid}\n" for oid in commits).encode()) as tokens:
        for oid, change in changes_in(tokens, commits=True):
            if oid or len(some) >= _SOME:
                if commit:
                    yield commit, some
                commit, some = oid or commit, []
            if not oid:
                some.append(change)
    if commit:
        yield commit, some


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

"""Everything that somebody may still work from: all refs, what is checked out, what lies in work trees and their indexes.

Whoever removes what nobody needs asks here; so whatever cannot be read is an error, never left out.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from gitops_registry.errors import Damaged, RegistryError
from gitops_registry.git.landing import state_folder
from gitops_registry.git.parsing import raw_changes
from gitops_registry.git.process import run
from gitops_registry.git.remote import fetch_all, remotes
from gitops_registry.git.repository import Repository
from gitops_registry.git.worktree import folder_of, git_folders

_SEEN = "refs/gitops-registry/seen"
_MEMORIES = ("refs/gitops-registry/known/", "refs/gitops-registry/pushed/", "refs/gitops-registry/head")
"""Refs of ours that say where something was: nobody works from there."""
_HEADS = ("HEAD", "ORIG_HEAD", "MERGE_HEAD", "MERGE_AUTOSTASH", "CHERRY_PICK_HEAD", "REVERT_HEAD")


class Found(NamedTuple):
    """One file as somebody has it: where, its bytes, and the commit that holds it (None for one on disk)."""

    where: str
    data: bytes
    commit: str | None


@contextmanager
def newest(repository: Repository) -> Iterator[None]:
    """Fetch every ref of every remote, for as long as the block runs, alone on this machine.

    Raises RegistryError where a remote is away, or another one does the same now.
    """
    lock = os.open(state_folder(repository) / "gc.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise RegistryError("another gc is running here", hint="wait for it to end, then try again") from error
        try:
            for remote in remotes(repository):
                fetch_all(repository, remote, f"{_SEEN}/{remote}")
            yield
        finally:
            refs = repository.run("for-each-ref", "--format=delete %(refname)", _SEEN)
            repository.run("update-ref", "--stdin", stdin=refs.encode())
    finally:
        os.close(lock)


def require_whole(repository: Repository) -> None:
    """Raise RegistryError where this clone may not know everything: shallow, partial, or with objects or refs lost."""
    repository.need_history("knowing what is needed")
    if repository.run(
        "config", "--get-regexp", r"^(remote\..*\.promisor|extensions\.partialclone)$", ok=(0, 1)
    ).strip():
        raise RegistryError(
            "knowing what is needed takes every object, and this clone is partial", hint="clone it whole: git clone URL"
        )
    told = repository.broken_objects()
    if told:
        raise Damaged(f"git has lost something here: {told[0]}", hint="see: gitops-registry doctor")


def tips(repository: Repository) -> dict[str, str]:
    """Return commit → what it is called: every ref (branches, remote-tracking branches, tags, the stash, …) and HEADs."""
    found: dict[str, str] = {}
    for ref in repository.run("for-each-ref", "--format=%(refname)").split("\n"):
        if ref and not ref.startswith(_MEMORIES):
            target = repository.objects.get(f"{ref}^{{}}", limit=0)
            if target is None:
                raise Damaged(f"git cannot read {ref}", hint="see: git fsck")
            if target.type == "commit":
                found.setdefault(target.oid, ref.removeprefix(f"{_SEEN}/").removeprefix("refs/heads/"))
    for oid in _stashed(repository):
        found.setdefault(oid, "a stash")
    for git_dir in git_folders(repository):
        _refuse_rebase(git_dir)
        for name in _HEADS:
            for oid in _detached(git_dir / name):
                target = repository.objects.get(f"{oid}^{{commit}}", limit=0)
                if target is None:
                    raise Damaged(f"git cannot read {git_dir / name}", hint="see: git fsck")
                found.setdefault(target.oid, f"{name} of {git_dir}")
    return found


def _stashed(repository: Repository) -> list[str]:
    """Return the commits of all stashes: what was in the work tree, in the index, and what was not tracked."""
    if not repository.run("for-each-ref", "refs/stash"):
        return []
    return repository.run("log", "--walk-reflogs", "--no-show-signature", "--format=%H %P", "refs/stash", "--").split()


def _refuse_rebase(git_dir: Path) -> None:
    """Raise RegistryError in the middle of a rebase, which keeps commits where nobody looks."""
    for name in ("rebase-merge", "rebase-apply", "sequencer", "BISECT_LOG"):
        if (git_dir / name).exists():
            raise RegistryError(
                f"git is in the middle of something in {git_dir}", hint="finish it first; see: git status"
            )


def _detached(file: Path) -> list[str]:
    try:
        told = file.read_text()
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise Damaged(f"git's {file} cannot be read", hint="see: git fsck") from error
    return [] if told.startswith("ref: ") else told.split()


def committed(repository: Repository, patterns: tuple[str, ...]) -> Iterator[Found]:
    """Yield the files whose paths match any of git's patterns at every tip, each content once. `*` stands for what is in one name."""
    seen: set[str] = set()
    for commit, name in tips(repository).items():
        for line in repository.run("ls-tree", "-r", "-z", "--full-tree", commit).split("\0"):
            meta, _, path = line.partition("\t")
            if not path or not _matches(path, patterns):
                continue
            mode, _, oid = meta.split(" ")
            if not mode.startswith("100"):
                raise Damaged(f"{path} at {name} is no plain file", hint="replace it by the file it stands for")
            if oid not in seen:
                seen.add(oid)
                yield Found(f"{path} at {name}", _content(repository, oid, f"{path} at {name}"), commit)


def uncommitted(repository: Repository, patterns: tuple[str, ...]) -> Iterator[Found]:
    """Yield the files whose paths match in every work tree, ignored ones too, and as their indexes have them."""
    for git_dir in git_folders(repository):
        if git_dir == repository.common_dir and _is_bare(git_dir):
            continue
        folder = repository.work_tree if git_dir.samefile(repository.git_dir) else folder_of(git_dir)
        if folder is None or not folder.is_dir():
            raise RegistryError(
                f"a work tree of this repository is away ({folder or git_dir}), and nobody knows what it needs",
                hint="bring its disk back, or forget it for good: git worktree prune",
            )
        for line in run(folder, "ls-files", "-s", "-z").decode(errors="surrogateescape").split("\0"):
            meta, _, path = line.partition("\t")
            if path and _matches(path, patterns) and meta.startswith("100"):
                where = f"{path} in the index of {folder}"
                yield Found(where, _content(repository, meta.split(" ")[1], where), None)
        names = run(folder, "ls-files", "-z", "--cached", "--others")
        for path in names.decode(errors="surrogateescape").split("\0"):
            file = folder / path
            if path and _matches(path, patterns) and file.is_file():
                try:
                    yield Found(str(file), file.read_bytes(), None)
                except OSError as error:
                    raise RegistryError(f"{file} cannot be read: {error.strerror}", hint="check the path") from error


def _matches(path: str, patterns: tuple[str, ...]) -> bool:
    return any(PurePosixPath(path).match(pattern) for pattern in patterns)


def _is_bare(git_dir: Path) -> bool:
    """Say whether git takes a git directory for a bare repository."""
    return run(git_dir, "rev-parse", "--is-bare-repository").strip() == b"true"


def _content(repository: Repository, oid: str, where: str) -> bytes:
    found = repository.objects.get(oid, limit=1 << 28)
    if found is None or found.data is None:
        raise Damaged(f"git cannot read {where}", hint="see: git fsck")
    return found.data


def once_committed(repository: Repository, folder: str, pattern: str) -> Iterator[tuple[str, bytes]]:
    """Yield path and bytes of the files below a folder that match a pattern and were taken away somewhere in history."""
    told = repository.run(
        "-c", "log.showRoot=true", "-c", "diff.orderFile=/dev/null", "log", "--all", "--no-show-signature", "--no-color",
        "--raw", "-z", "--no-renames", "--no-relative", "--no-abbrev", "--format=", "--diff-filter=DM", "--", folder,
    )  # fmt: skip
    for _, change in raw_changes(told):
        found = repository.objects.get(change.old_oid, limit=1 << 20) if _matches(change.path, (pattern,)) else None
        if found is not None and found.data:
            yield change.path, found.data

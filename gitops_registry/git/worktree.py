"""Bringing the user's files along when the branch they have checked out moves.

A file is replaced only where it holds what the old commit held; everything else is the user's and stays. The
new index is prepared beside the old one and takes its place in one rename, under git's own lock, which can be
recognised as ours if we die holding it. Doing it twice changes nothing.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from pathlib import Path

from gitops_registry.errors import RegistryError
from gitops_registry.git.process import run
from gitops_registry.git.repository import EMPTY_TREE, Repository, few, is_safe_path
from gitops_registry.snapshot import PathChange

_NO_COMMIT = "0" * 40
_UNFINISHED = {"MERGE_HEAD": "merge", "CHERRY_PICK_HEAD": "cherry-pick", "REVERT_HEAD": "revert"}


def checkouts(repository: Repository, ref: str) -> list[Repository]:
    """Return the checkouts that hold the files of a branch now: the main one, linked work trees, or none."""
    found = []
    for git_dir in git_folders(repository):
        if _head(git_dir) == ref:
            folder = folder_of(git_dir)
            if git_dir.samefile(repository.git_dir):
                found.append(repository)
            elif folder is not None and folder.is_dir():
                found.append(Repository.open(folder))
    return [checkout for checkout in found if checkout.work_tree is not None]


def is_checked_out(repository: Repository, ref: str) -> bool:
    """Say whether any checkout has a branch checked out, or is in the middle of rebasing it."""
    heads = ("HEAD", "rebase-merge/head-name", "rebase-apply/head-name")
    folders = git_folders(repository)
    if repository.work_tree is None:
        folders = folders[1:]  # what a bare repository's HEAD names is nobody's checkout
    return any(_head(git_dir, name) == ref for git_dir in folders for name in heads)


def git_folders(repository: Repository) -> list[Path]:
    """Return the git directories of the repository and of its linked work trees."""
    return [repository.common_dir, *sorted(repository.common_dir.glob("worktrees/*"))]


def _head(git_dir: Path, name: str = "HEAD") -> str:
    """Return the full name of the branch that a git directory's HEAD (or what a rebase noted) names; else nothing."""
    try:
        told = os.fsdecode((git_dir / name).read_bytes()).removesuffix("\n")
    except OSError:
        return ""
    return told.removeprefix("ref: ")


def folder_of(git_dir: Path) -> Path | None:
    """Return where the files of a git directory are; None where it does not say."""
    try:
        told = os.fsdecode((git_dir / "gitdir").read_bytes()).removesuffix("\n")
    except OSError:
        return git_dir.parent if git_dir.name == ".git" else None
    return (git_dir / told).parent


def refuse_unfinished_merge(repository: Repository) -> None:
    """Raise RegistryError while the user is in the middle of something the move of a branch would disturb."""
    for file, verb in _UNFINISHED.items():
        if (repository.git_dir / file).exists():
            raise RegistryError(
                f"a {verb} is in progress in {repository.work_tree}", hint=f"finish it, or: git {verb} --abort"
            )
    if (repository.git_dir / "index.lock").exists():
        raise RegistryError(
            f"another git command is running in {repository.work_tree}",
            hint=f"wait for it; if none runs, remove {repository.git_dir / 'index.lock'}",
        )


def bring_along(repository: Repository, old: str, new: str) -> list[str]:
    """Bring index and work tree from commit `old` to `new`; return the paths left alone, in order.

    A path is left alone where the file, or what the user staged, is neither the old content nor the new one.
    """
    assert repository.work_tree is not None
    changes = repository.changed_paths(EMPTY_TREE if old == _NO_COMMIT else old, new)
    if old != _NO_COMMIT and not (repository.git_dir / "index").exists():
        return []  # a clone that never checked anything out
    changes = [change for change in changes if "160000" not in (change.old_mode, change.new_mode)]
    if not changes:
        return []
    marker = _lock(repository)
    draft, stage = marker.with_suffix(".index"), marker.with_suffix(".files")
    try:
        index = repository.git_dir / "index"
        if index.exists():
            shutil.copyfile(index, draft)
        staged, hidden = _staged(repository, changes, draft)
        free = [
            change
            for change in changes
            if is_safe_path(change.path) and staged.get(change.path, ("", "")) in (_before(change), _after(change))
        ]
        left = {change.path for change in changes} - {change.path for change in free}
        _update_index(repository, free, draft)
        left |= _replace_files(repository, [change for change in free if change.path not in hidden], draft, stage)
        _hide(repository, [change.path for change in free if change.path in hidden and change.new_oid], draft)
        _note_stat(repository, [c.path for c in free if c.new_oid and c.path not in hidden | left], draft)
        if draft.exists():  # without an index, and nothing to enter, there is none
            draft.replace(index)
    finally:
        draft.unlink(missing_ok=True)
        shutil.rmtree(stage, ignore_errors=True)
        _unlock(repository, marker)
    return sorted(left)


def left_alone(repository: Repository) -> list[str]:
    """Return the paths of the checkout that differ from its commit, untracked files not counted."""
    return [line for line in repository.run("diff-index", "-z", "--name-only", "HEAD", "--").split("\0") if line]


def _with_index(
    repository: Repository, index: Path, *arguments: str, stdin: bytes | None = None, ok: tuple[int, ...] = (0,)
) -> str:
    assert repository.work_tree is not None
    return run(repository.work_tree, *arguments, stdin=stdin, extra={"GIT_INDEX_FILE": str(index)}, ok=ok).decode(
        errors="surrogateescape"
    )


def _before(change: PathChange) -> tuple[str, str]:
    return change.old_mode, change.old_oid


def _after(change: PathChange) -> tuple[str, str]:
    return change.new_mode, change.new_oid


def _staged(
    repository: Repository, changes: list[PathChange], index: Path
) -> tuple[dict[str, tuple[str, str]], set[str]]:
    """Return path → mode and id in the index, and the paths that a sparse checkout keeps off the disk."""
    told = _with_index(
        repository,
        index,
        "ls-files",
        "-t",
        "-s",
        "-z",
        "--",
        *few([change.path for change in changes if is_safe_path(change.path)]),
    )
    staged: dict[str, tuple[str, str]] = {}
    hidden = set()
    wanted = {change.path for change in changes}
    for line in told.split("\0"):
        facts, _, path = line.partition("\t")
        if path in wanted:
            tag, mode, oid, level = facts.split(" ")
            staged[path] = (mode, oid) if level == "0" else ("", "conflict")
            if tag == "S":
                hidden.add(path)
    return staged, hidden


def _update_index(repository: Repository, changes: list[PathChange], index: Path) -> None:
    """Enter the new contents; removals first, for a file may take the place of a folder."""
    ordered = sorted(changes, key=lambda change: bool(change.new_oid))
    lines = [f"{change.new_mode or '0'} {change.new_oid or _NO_COMMIT}\t{change.path}\0" for change in ordered]
    stdin = "".join(lines).encode(errors="surrogateescape")
    _with_index(repository, index, "update-index", "-z", "--index-info", stdin=stdin)


def _note_stat(repository: Repository, names: list[str], index: Path) -> None:
    """Note how the files look on disk, so that git need not read them again: of these only, however many there are."""
    stdin = "".join(f"{name}\0" for name in names).encode(errors="surrogateescape")
    if names:
        only = ("--refresh", "--pathspec-from-file=-", "--pathspec-file-nul")
        _with_index(repository, index, "add", *only, stdin=stdin, ok=(0, 1, 128))


def _hide(repository: Repository, names: list[str], index: Path) -> None:
    """Say again of entries that a sparse checkout keeps them off the disk."""
    stdin = "".join(f"{name}\0" for name in names).encode(errors="surrogateescape")
    if names:
        _with_index(repository, index, "update-index", "-z", "--skip-worktree", "--stdin", stdin=stdin)


def _replace_files(repository: Repository, changes: list[PathChange], index: Path, stage: Path) -> set[str]:
    """Put new contents where the old ones lie; return the paths that hold something else."""
    left = _remove_files(repository, [change for change in changes if not change.new_oid])
    kept = [change for change in changes if change.new_oid]
    held = _on_disk(repository, kept)
    left |= {change.path for change in kept if held[change.path] not in (_before(change), _after(change))}
    wanted = [
        change.path for change in kept if held[change.path] == _before(change) and _before(change) != _after(change)
    ]
    if wanted:
        stage.mkdir(parents=True)
        names = "".join(path + "\0" for path in wanted).encode(errors="surrogateescape")
        _with_index(
            repository,
            index,
            "checkout-index",
            "-f",
            "-z",
            "--stdin",
            f"--prefix={stage}/",
            stdin=names,
            ok=(0, 1, 128),
        )  # what a filter of the user's refuses is not staged, and is left alone
    assert repository.work_tree is not None
    for path in wanted:
        target = repository.work_tree / path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            _move(stage / path, target)
        except OSError:
            left.add(path)
    return left


def _remove_files(repository: Repository, changes: list[PathChange]) -> set[str]:
    """Remove files that hold the old contents; return the paths that hold something else."""
    assert repository.work_tree is not None
    held = _on_disk(repository, changes)
    left = {change.path for change in changes if held[change.path] not in (_before(change), ("", ""))}
    for change in changes:
        if held[change.path] == _before(change):
            try:
                _remove(repository.work_tree, repository.work_tree / change.path)
            except OSError:
                left.add(change.path)
    return left


def _on_disk(repository: Repository, changes: list[PathChange]) -> dict[str, tuple[str, str]]:
    """Return path → mode and id of what lies there; the mode of the change where the file system's mean nothing."""
    found = repository.ids_on_disk([change.path for change in changes])
    trusted = repository.trusts_modes
    held = {}
    for change in changes:
        mode, oid = found.get(change.path, ("", ""))
        if not trusted and mode.startswith("100"):
            mode = change.old_mode if oid == change.old_oid else change.new_mode
        held[change.path] = (mode, oid)
    return held


def _move(source: Path, target: Path) -> None:
    try:
        source.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        beside = target.with_name(f".{target.name}.gitops-registry")  # another file system: copy, then rename
        try:
            shutil.copy2(source, beside, follow_symlinks=False)
            beside.replace(target)
        finally:
            beside.unlink(missing_ok=True)


def _remove(root: Path, file: Path) -> None:
    file.unlink(missing_ok=True)
    for folder in file.parents:
        if folder == root:
            return
        try:
            folder.rmdir()
        except OSError:
            return


def _lock(repository: Repository) -> Path:
    """Take git's lock of the index as a second name of a file of ours, so that it can be recognised as ours."""
    folder = repository.git_dir / "gitops-registry"
    folder.mkdir(exist_ok=True)
    marker = folder / f"{secrets.token_hex(16)}.marker"
    marker.touch()
    try:
        os.link(marker, repository.git_dir / "index.lock")
    except OSError as error:
        marker.unlink()
        if not isinstance(error, FileExistsError):
            raise RegistryError(
                f"the branch moved, but the files of this checkout stayed: {error.strerror}",
                hint="bring them along with: git reset --merge HEAD",
            ) from error
        raise RegistryError(
            "the branch moved, but another git command keeps the files of this checkout",
            hint="when it has ended, any gitops-registry command brings them along",
        ) from error
    return marker


def _unlock(repository: Repository, marker: Path) -> None:
    (repository.git_dir / "index.lock").unlink(missing_ok=True)
    marker.unlink(missing_ok=True)


def drop_dead_lock(git_dir: Path) -> None:
    """Remove what a dead writer left: its lock of the index, its drafts. The caller holds the writers' lock."""
    folder, lock = git_dir / "gitops-registry", git_dir / "index.lock"
    for marker in folder.glob("*.marker"):
        if lock.exists() and lock.samefile(marker):
            lock.unlink()
        marker.unlink()
    for draft in (*folder.glob("*.index"), *folder.glob("*.index.lock")):
        draft.unlink()
    for stage in folder.glob("*.files"):
        shutil.rmtree(stage, ignore_errors=True)

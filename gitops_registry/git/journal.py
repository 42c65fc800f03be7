"""What is about to move, written down before it moves, so that whoever comes after a dead writer finishes it.

The caller holds the lock of all writers, so nothing here is somebody's work in progress. A lock of git's is
removed only where it is a dead writer's: it names the commit that was being landed, or it belongs to what was written
down, was made after that, and nobody has touched it for longer than git keeps one.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from gitops_registry.git import worktree
from gitops_registry.git.repository import Repository

NO_COMMIT = "0" * 40
SCRATCH = "refs/gitops-registry/scratch"
_PATIENCE = 2.0


class Landing(NamedTuple):
    """Refs and their old and new commits, and the branch whose checkouts follow (None: nobody's)."""

    moves: Mapping[str, tuple[str, str]]
    follow: str | None


def note(folder: Path, landing: Landing) -> None:
    """Write down what is about to move; it is there completely or not at all."""
    draft = folder / "landing.new"
    with draft.open("w") as file:
        json.dump({"moves": landing.moves, "follow": landing.follow}, file)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(folder / "landing.json")


def forget(folder: Path) -> None:
    """Strike out what was written down: it is done, or did not happen."""
    (folder / "landing.json").unlink(missing_ok=True)


def has_note(folder: Path) -> bool:
    """Say whether something was written down and not struck out."""
    return (folder / "landing.json").exists()


def _read(folder: Path) -> Landing:
    try:
        told = json.loads((folder / "landing.json").read_text())
        moves = {str(ref): (str(old), str(new)) for ref, (old, new) in told["moves"].items()}
        return Landing(moves, told["follow"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Landing({}, None)


def drop_scratch(repository: Repository, folder: Path) -> None:
    """Remove the refs that kept commits which never landed."""
    stale = repository.branches(SCRATCH)
    if not stale:
        return
    is_noted = has_note(folder)
    if not is_noted:
        note(folder, Landing({}, None))
    commands = [f"delete {ref} {oid}" for ref, oid in stale.items()]
    try:
        repository.run("update-ref", "--stdin", stdin="\n".join([*commands, ""]).encode())
    finally:
        if not is_noted:
            forget(folder)


def recover(repository: Repository, folder: Path) -> None:
    """Finish what a dead writer left: its locks and drafts go, its refs all move or none, checkouts follow.

    Raises RegistryError where another git command keeps a checkout; then what is left to do stays written down.
    """
    (folder / "landing.new").unlink(missing_ok=True)
    for lock in (repository.common_dir / SCRATCH).rglob("*.lock"):
        lock.unlink(missing_ok=True)
    _drop_crash_reports(repository)
    if not has_note(folder):
        drop_scratch(repository, folder)
        return
    landing = _read(folder)
    for lock, content in _locks(repository, landing):
        _drop_dead_ref_lock(lock, content, since=(folder / "landing.json").stat().st_mtime)
    has_moved = _complete(repository, landing)
    drop_scratch(repository, folder)
    for git_dir in worktree.git_folders(repository):
        worktree.drop_dead_lock(git_dir)
    if has_moved and landing.follow:
        for checkout in worktree.checkouts(repository, landing.follow):
            worktree.bring_along(checkout, *landing.moves[landing.follow])
    forget(folder)


def _complete(repository: Repository, landing: Landing) -> bool:
    """Say whether the refs moved; where one did, git died between them, and the others follow it."""
    now = {ref: repository.tip(ref) or NO_COMMIT for ref in landing.moves}
    has_moved = any(now[ref] == new != NO_COMMIT for ref, (_, new) in landing.moves.items())
    if has_moved:
        commands = [
            f"delete {ref} {old}" if new == NO_COMMIT else f"update {ref} {new} {old}"
            for ref, (old, new) in landing.moves.items()
            if now[ref] == old
        ]
        if commands:
            repository.run("update-ref", "--stdin", stdin="\n".join([*commands, ""]).encode())
    return has_moved


def _locks(repository: Repository, landing: Landing) -> Iterator[tuple[Path, str]]:
    """Yield the locks git takes to move these refs, each with the commit it may name."""
    for ref, (_, new) in landing.moves.items():
        yield repository.common_dir / f"{ref}.lock", new
    for git_dir in worktree.git_folders(repository):
        yield git_dir / "HEAD.lock", ""
    yield repository.common_dir / "packed-refs.new", ""
    yield repository.common_dir / "packed-refs.lock", ""


def _drop_dead_ref_lock(lock: Path, content: str, *, since: float) -> None:
    with suppress(OSError):
        found = lock.stat()
        if content not in {"", NO_COMMIT} and lock.read_text(errors="replace").strip() == content:
            return lock.unlink()
        if found.st_mtime < int(since):
            return None  # older than the dead writer, as far as a disk's clock tells: somebody else's
        while time.time() - found.st_mtime < _PATIENCE:
            time.sleep(0.05)
            if lock.stat().st_ino != found.st_ino:
                return None
        lock.unlink()
    return None


def _drop_crash_reports(repository: Repository) -> None:
    for report in repository.common_dir.glob("fast_import_crash_*"):
        with suppress(OSError):
            if SCRATCH in report.read_text(errors="replace"):
                report.unlink()

"""A registry on another machine, worked on without a checkout: a bare clone that mirrors it, in the user's cache.

Its branches are those of the remote as they were last seen. A decision is pushed first and moves a branch here when the
remote has taken it, so nothing is ever only here, and the folder may be deleted at any moment. All processes of a
user share the clone; one that decides holds the writers' lock from its look at the remote to the end of its push.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from gitops_registry.errors import Conflict, RegistryError
from gitops_registry.git import remote
from gitops_registry.git.landing import NO_COMMIT, writer
from gitops_registry.git.process import run
from gitops_registry.git.repository import Repository

Progress = Callable[[str, int, int], None]

PATIENCE = 300.0
"""Seconds that a writer waits for others of this machine, and goes on trying where others keep moving the branch."""
_REMOTE = "origin"
_SMALL = "blob:limit=1025k"
"""All manifests come along (they have 1 MiB at most); a model that is committed with git comes when it is read."""


class Mirror:
    """The managed clone of one remote."""

    def __init__(self, repository: Repository, url: str, progress: Progress | None) -> None:
        self.repository = repository
        self.url = url
        self.progress = progress

    def refresh(self) -> None:
        """See the remote's branches as they are now. The caller holds the writers' lock. Raises RegistryError where it
        cannot be reached.
        """
        try:
            remote.fetch(self.repository, _REMOTE, self.progress, prune=True)
        except RegistryError as error:
            raise _unreachable(self.url, error) from error

    def push(self, moves: Mapping[str, tuple[str, str]], *, scratch: str) -> None:
        """Move refs of the remote, all or none: full name → (old commit, new commit), `NO_COMMIT` for none.

        `scratch` is the ref that keeps the new commit. Raises Moved where somebody else was first, RegistryError where
        the remote refuses or cannot be reached; then nothing was decided. An answer that got lost is looked up.
        """
        sources = {ref: (old, "" if new == NO_COMMIT else scratch) for ref, (old, new) in moves.items()}
        hint = "nothing was decided; its bytes, if any, are in the store: run the command again"
        try:
            remote.push(self.repository, _REMOTE, sources, progress=self.progress, told=self.url, hint=hint)
        except Conflict:
            raise
        except RegistryError:
            with suppress(RegistryError):
                self.refresh()
                if all((self.repository.tip(ref) or NO_COMMIT) == new for ref, (_, new) in moves.items()):
                    return
            raise


def mirror(url: str, cache: Path, *, progress: Progress | None = None, is_offline: bool = False) -> Mirror:
    """Return the managed clone of a remote, made where there is none, and brought to what the remote has now.

    `is_offline`: as it was last seen, without asking. Raises RegistryError where the remote cannot be reached, or was
    never seen.
    """
    folder = cache / "registries" / f"{_slug(url)}-{hashlib.sha256(url.encode()).hexdigest()[:12]}.git"
    with _alone(folder):
        is_new = not (folder / "HEAD").exists()
        if is_new and is_offline:
            raise RegistryError(f"{url} was never seen from this machine", hint="leave out --offline")
        if is_new:
            _make(url, folder, progress)
    found = Mirror(Repository.open(folder), url, progress)
    if not is_new and not is_offline:
        with writer(found.repository, patience=PATIENCE):
            found.refresh()
    return found


def is_bare(folder: Path) -> bool:
    """Say whether a folder is a bare repository."""
    return (folder / "HEAD").is_file() and (folder / "objects").is_dir()


def _make(url: str, folder: Path, progress: Progress | None) -> None:
    draft = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    for leftover in folder.parent.glob(f".{folder.name}.*"):  # a killed one's; we hold its lock
        shutil.rmtree(leftover, ignore_errors=True)
    try:
        repository = remote.start(draft, bare=True, branch="main")
        for key, value in {
            f"remote.{_REMOTE}.url": url,
            f"remote.{_REMOTE}.fetch": "+refs/heads/*:refs/heads/*",
            "gitops-registry.mirror": "true",
        }.items():
            repository.run("config", key, value)
        repository.run("config", "--add", f"remote.{_REMOTE}.fetch", "+refs/tags/*:refs/tags/*")
        try:
            head = remote.default_branch(repository, _REMOTE)
            remote.fetch(repository, _REMOTE, progress, prune=True, only=_SMALL)
        except RegistryError as error:
            raise _unreachable(url, error) from error
        if head:
            run(draft, "symbolic-ref", "HEAD", head)
        repository.objects.close()
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _unreachable(url: str, error: RegistryError) -> RegistryError:
    return RegistryError(
        f"could not reach {url} ({error.message})",
        hint="check the address and your access: git ls-remote URL; --offline reads what was seen last",
    )


def _slug(url: str) -> str:
    """Return a short name that people recognise a remote by."""
    name = url.rstrip("/").rpartition("/")[2].rpartition(":")[2].removesuffix(".git")
    return (
        "".join(sign if sign.isascii() and (sign.isalnum() or sign in "-_") else "-" for sign in name)[:40]
        or "registry"
    )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep two processes from making one clone at once."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(folder.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise RegistryError(
            f"cannot write to {folder.parent}: {error.strerror}",
            hint="name another cache: GITOPS_REGISTRY_CACHE=FOLDER",
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)

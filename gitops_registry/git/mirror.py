"""A registry on another machine, worked on without a checkout: a bare clone that mirrors it, in the user's cache.

Its branches are those of the remote as they were last seen. A decision is pushed first and moves a branch here when the
remote has taken it, so nothing is ever only here, and the folder may be deleted at any moment. All processes of a
user share the clone; one that decides holds the writers' lock from its look at the remote to the end of its push.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from gitops_registry.errors import RegistryError
from gitops_registry.git import remote
from gitops_registry.git.landing import NO_COMMIT, writer
from gitops_registry.git.repository import Repository

Progress = Callable[[str, int, int], None]

PATIENCE = 300.0
"""Seconds that a writer waits for others of this machine, and goes on trying where others keep moving the branch."""
_REMOTE = "origin"
_ALL = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
_HEAD = "refs/gitops-registry/head"
"""Where the remote's HEAD was: that it is somewhere else tells that its branch may have another name by now."""
_SMALL = "blob:limit=1025k"
"""All manifests come along (they have 1 MiB at most); a model that is committed with git comes when it is read."""


class Broken(RegistryError):
    """The managed clone itself does not work, while its remote answers: it is made anew, for nothing is only there."""


class Mirror:
    """The managed clone of one remote."""

    def __init__(
        self, repository: Repository, url: str, progress: Progress | None = None, *, is_offline: bool = False
    ) -> None:
        self.repository = repository
        self.url = url
        self.progress = progress
        self.is_offline = is_offline

    def refresh(self) -> None:
        """See the remote's branches as they are now. The caller holds the writers' lock.

        Raises RegistryError where it cannot be reached, or was opened offline; Broken where it can, and the clone is the
        one that fails.
        """
        if self.is_offline:
            raise RegistryError(f"{self.url} was opened offline, to be read", hint="leave out --offline")
        try:
            self._fetch()
            head = self.repository.tip(_HEAD)
            if head is None or head != self.repository.tip(
                self.repository.run("symbolic-ref", "HEAD", ok=(0, 128)).strip()
            ):
                _follow_head(self.repository, remote.default_branch(self.repository, _REMOTE))
        except RegistryError as error:
            if remote.answers(self.repository, self.url):
                raise Broken(
                    f"the managed clone of {self.url} is broken ({error.message})",
                    hint=f"nothing is only there: rm -r {self.repository.folder}",
                ) from error
            raise _unreachable(self.url, error) from error

    def _fetch(self) -> None:
        """Fetch; what a connection broke off is tried once more, for a clone is not broken by that."""
        try:
            _fetch(self.repository, self.progress)
        except RegistryError:
            _fetch(self.repository, self.progress)

    def push(self, moves: Mapping[str, tuple[str, str]], *, scratch: str) -> None:
        """Move refs of the remote, all or none: full name → (old commit, new commit), `NO_COMMIT` for none.

        `scratch` is the ref that keeps the new commit. What is taken away goes after the rest has landed, as servers with a
        hook want it; where that fails, it stays. Raises Moved where somebody else was first, RegistryError where the remote
        refuses or cannot be reached; then nothing was decided. An answer that got lost is looked up.
        """
        gone = {ref: (old, "") for ref, (old, new) in moves.items() if new == NO_COMMIT}
        landing = {ref: move for ref, move in moves.items() if ref not in gone} if len(gone) < len(moves) else moves
        self._push(landing, scratch)
        if landing is not moves and gone:
            with suppress(RegistryError):
                remote.push(self.repository, _REMOTE, gone, told=self.url)

    def _push(self, moves: Mapping[str, tuple[str, str]], scratch: str) -> None:
        sources = {ref: (old, "" if new == NO_COMMIT else scratch) for ref, (old, new) in moves.items()}
        hint = "nothing was decided; its bytes, if any, are in the store: run the command again"
        try:
            remote.push(self.repository, _REMOTE, sources, progress=self.progress, told=self.url, hint=hint)
        except RegistryError as error:
            try:
                self.refresh()
            except RegistryError as away:
                commit = next((new for _, new in moves.values() if new != NO_COMMIT), "")[:12]
                raise RegistryError(
                    f"{error.message}; whether it was decided is not known, for {self.url} does not answer",
                    hint=f"before you repeat it, look for {commit or 'it'}: gitops-registry -C {self.url} log",
                ) from away
            if not all(self._is_there(ref, new) for ref, (_, new) in moves.items()):
                raise

    def _is_there(self, ref: str, new: str) -> bool:
        tip = self.repository.tip(ref)
        if new == NO_COMMIT or tip is None:
            return new == NO_COMMIT and tip is None
        return self.repository.is_ancestor(new, tip)


def mirror(url: str, cache: Path, *, progress: Progress | None = None, is_offline: bool = False) -> Mirror:
    """Return the managed clone of a remote, made where there is none, and brought to what the remote has now.

    `is_offline`: as it was last seen, without asking. A clone that does not work is made anew. Raises RegistryError where
    the remote cannot be reached, or was never seen.
    """
    folder = cache / "registries" / f"{_slug(url)}-{hashlib.sha256(url.encode()).hexdigest()[:12]}.git"
    if is_offline:
        if not (folder / "HEAD").exists():
            raise RegistryError(f"{url} was never seen from this machine", hint="leave out --offline")
        return Mirror(Repository.open(folder), url, progress, is_offline=True)
    for attempt in range(2):
        with _alone(folder):
            is_new = not (folder / "HEAD").exists()
            if is_new:
                _make(url, folder, progress)
        try:
            found = Mirror(_opened(folder), url, progress)
            if not is_new:
                with writer(found.repository, patience=PATIENCE):
                    try:
                        found.refresh()
                    except Broken:  # while nobody else decides in it
                        if not attempt:
                            _set_aside(folder)
                        raise
            return found
        except Broken:
            if attempt:
                raise
            with _alone(folder):
                if not _works(folder):
                    _set_aside(folder)
    raise AssertionError


def _opened(folder: Path) -> Repository:
    try:
        found = Repository.open(folder)
    except RegistryError as error:
        raise Broken(f"the managed clone {folder} is broken ({error.message})", hint=f"rm -r {folder}") from error
    if not found.config("gitops-registry.mirror") or found.git_dir.resolve() != folder.resolve():
        raise Broken(f"the managed clone {folder} is broken", hint=f"rm -r {folder}")
    return found


def _works(folder: Path) -> bool:
    """Say whether there is a clone that can be opened: somebody may have made it anew meanwhile."""
    try:
        _opened(folder)
    except RegistryError:
        return False
    return True


def _set_aside(folder: Path) -> None:
    """Take a broken clone out of the way in one step, then remove it; who reads it at this moment is told so by git."""
    away = folder.with_name(f".{folder.name}.{secrets.token_hex(16)}")
    with suppress(FileNotFoundError):
        folder.rename(away)
    shutil.rmtree(away, ignore_errors=True)


def _fetch(repository: Repository, progress: Progress | None, *, only: str | None = None) -> None:
    try:
        remote.fetch(repository, _REMOTE, progress, refs=(*_ALL, f"+HEAD:{_HEAD}"), prune=True, only=only)
    except RegistryError as error:
        if "remote ref HEAD" not in error.message:
            raise
        remote.fetch(
            repository, _REMOTE, progress, refs=_ALL, prune=True, only=only
        )  # it is empty, or HEAD names nothing


def _follow_head(repository: Repository, head: str) -> None:
    """Let HEAD, and what says where the registry is, name the branch that the remote's HEAD names."""
    if head:
        repository.run("symbolic-ref", "HEAD", head)
        repository.run("config", "gitops-registry.branch", head.removeprefix("refs/heads/"))


def is_bare(folder: Path) -> bool:
    """Say whether a folder is a bare repository."""
    return (folder / "HEAD").is_file() and (folder / "objects").is_dir()


def _make(url: str, folder: Path, progress: Progress | None) -> None:
    draft = folder.with_name(f".{folder.name}.{secrets.token_hex(16)}")
    for leftover in folder.parent.glob(f".{folder.name}.*"):  # a killed one's; we hold its lock
        shutil.rmtree(leftover, ignore_errors=True)
    if folder.exists():
        _set_aside(folder)
    try:
        repository = remote.start(draft, bare=True, branch="main")
        for key, value in {
            f"remote.{_REMOTE}.url": url,
            f"remote.{_REMOTE}.fetch": _ALL[0],
            "gitops-registry.mirror": "true",
        }.items():
            repository.run("config", key, value)
        try:
            head = remote.default_branch(repository, _REMOTE)
            _fetch(repository, progress, only=_SMALL)
        except RegistryError as error:
            raise _unreachable(url, error) from error
        _follow_head(repository, head)
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
        end = time.monotonic() + PATIENCE
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() >= end:
                    raise RegistryError(
                        f"another command is making the managed clone {folder.name}", hint="wait for it, then try again"
                    ) from error
                time.sleep(0.05)
        yield
    finally:
        os.close(lock)

"""The bytes of versions: DVC's cache, its default remote, and the store inside the repository.

With `storage`, which reads DVC's configuration, the only module that knows DVC; `dvc pull` and `dvc push` agree with
both. It goes below `dvc.repo`: no stages, no index, no lock, no git. DVC does not notice corruption; here no byte is
handed out before its SHA-256 matches, and no file gets its name in the cache before it is complete, so a process may
be killed at any moment and any number of them may work on the same cache.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property, partial
from pathlib import Path
from typing import Any, BinaryIO, Literal

from gitops_registry import storage
from gitops_registry.digests import (
    LEFTOVER,
    Digest,
    digested,
    disk,
    flush,
    hidden,
    identity,
    is_sound,
    judge,
    name_first,
    pour,
    require_file,
    require_same,
    sha256_of,
)
from gitops_registry.errors import Damaged, RegistryError
from gitops_registry.paths import EMBEDDED_STORE, store_path

Progress = Callable[[str, int, int], None]
"""Called with what is moved, the bytes done and the bytes in all."""

_DAY = 86_400
_HINT = "see `dvc remote list`; `gitops-registry doctor` says what is wrong"


class Store:
    """The bytes of one registry: DVC's cache, its default remote, and the store inside the repository.

    `root` is the folder that holds `.dvc`. `committed` returns the bytes of a repository path at the revision in
    use (None when absent): the embedded store is read through it, so that what counts is what is committed.
    """

    def __init__(
        self,
        root: Path,
        *,
        committed: Callable[[str], bytes | None] | None = None,
        progress: Progress | None = None,
    ) -> None:
        self._root = Path(os.path.abspath(root))  # noqa: PTH100 - as DVC does: symlinks stay
        self._committed = committed
        self._progress: Progress = progress or (lambda _what, _done, _total: None)
        self._names: dict[str, str] = {}

    @property
    def is_embedded(self) -> bool:
        """Whether the default remote is the store inside the repository."""
        return storage.is_embedded(self._root, self._url)

    @property
    def location(self) -> str:
        """Where the default remote is, for people: no credentials in it; empty when there is none."""
        return EMBEDDED_STORE if self.is_embedded else storage.public(self._url)

    def cached(self, digest: Digest) -> Path:
        """Return where the cache keeps that object, whether or not it is there."""
        return Path(self._cache.oid_to_path(digest.md5))

    def add(self, source: Path) -> Digest:
        """Put a file into the cache and return what it is; the file is read once and stays as it is.

        What was hashed is what was stored, even when the file changes meanwhile. Adding it again changes nothing;
        a corrupt object of that name is replaced. Raises RegistryError for anything that is not a readable file.
        """
        require_file(source)
        with disk(f"cannot store {source} in DVC's cache"), self._temporary() as temporary:
            with source.open("rb") as reader, temporary.open("xb") as writer:
                digest = digested(reader, writer.write, report=self._reporter(source.name, reader))
                flush(writer)
            if not is_sound(self.cached(digest), digest, str(source)):
                self._settle(temporary, digest)
        self._names[digest.md5] = source.name
        return digest

    def push(self, digests: Sequence[Digest]) -> None:
        """Make sure that the default remote has every one of these objects; nothing to do for the embedded store.

        The object in the cache is verified first, a damaged one in the remote is replaced, and what was uploaded is
        looked at again. Raises RegistryError when the remote cannot be used, Damaged when the cache is wrong.
        """
        if self.is_embedded:
            return
        for digest in digests:
            name = self._names.get(digest.md5, "artifact") + f" (md5 {digest.md5})"
            with self._remote_errors(f"cannot store {name} in {self.location}"):
                if not self.cached(digest).exists() and self._in_remote(digest) == "present":
                    continue
                self._upload(digest, name)

    def trouble(self) -> str:
        """Say why the default remote cannot be used now; empty when it can."""
        if self.is_embedded:
            return ""
        try:
            with self._remote_errors(f"{self.location} cannot be used"):
                self._require_folder()
                self._odb.fs.exists(self._odb.oid_to_path("0" * 32))
        except RegistryError as error:
            return f"{error.message} ({error.hint})" if error.hint.startswith("pip") else error.message
        return ""

    def presence(self, digest: Digest) -> Literal["present", "missing", "damaged"] | None:
        """Say whether the default remote has that object; None when there is no remote or it cannot be reached.

        `damaged` is a wrong size; where the bytes are at hand (a folder, the embedded store), also wrong bytes.
        """
        try:
            if self.is_embedded and self._committed:
                data = self._committed(store_path(digest.md5))
                return "missing" if data is None else judge(io.BytesIO(data), digest)
            with self._remote_errors("cannot look into the remote"):
                self._require_folder()
                return self._in_remote(digest)
        except RegistryError:
            return None

    def fetch(self, digest: Digest, what: str) -> Path:
        """Return the path of verified bytes in the cache, downloading them when the cache has none or wrong ones.

        The SHA-256 is computed on every call; the file must not be changed. `what` names the artifact in errors.
        Raises Damaged when the bytes are missing or wrong where they should be, RegistryError when the remote cannot
        be used. A corrupt object does not stay in the cache.
        """
        path = self.cached(digest)
        with disk(f"cannot read {what} in DVC's cache"):
            corrupt = identity(path)
            if is_sound(path, digest, what):
                return path
        try:
            with disk(f"cannot write {what} into DVC's cache"), self._temporary() as temporary:
                self._download(digest, what, temporary)
                self._settle(temporary, digest)
        except BaseException:
            with suppress(OSError):
                if corrupt and corrupt == identity(path):  # nobody healed it meanwhile
                    path.unlink()
            raise
        return path

    def materialise(self, digest: Digest, target: Path, what: str) -> None:
        """Leave the verified bytes at `target`: a private, writable file that appears complete or not at all.

        Nothing is done when the same bytes are there already. Raises RegistryError when something else is.
        """
        with disk(f"cannot write {what} to {target}"):
            if os.path.lexists(target):
                return require_same(target, digest, what)
            target.parent.mkdir(parents=True, exist_ok=True)
            for find in (self.cached, partial(self.fetch, what=what)):
                with hidden(target.parent) as temporary, suppress(FileNotFoundError):
                    if self._clone(find(digest), temporary, what) == digest.sha256:
                        if not name_first(temporary, target):
                            require_same(target, digest, what)
                        return None
        raise Damaged(f"{what} changed while it was copied to {target}", hint="check this computer's disk")

    # ── the cache

    @cached_property
    def _config(self) -> dict[str, Any]:
        return storage.read_config(self._root)

    @cached_property
    def _cache(self) -> Any:
        """DVC's object database of the cache; it knows paths and modes, and has no index and no state."""
        return storage.cache_objects(self._config, self._root)

    @contextmanager
    def _temporary(self) -> Iterator[Path]:
        """Yield a free path in the cache's file system; sweeps what killed processes left there long ago."""
        folder = Path(self._cache.path)
        if not folder.is_dir():
            self._cache.makedirs(str(folder))
        for leftover in folder.glob(f".{LEFTOVER}*.tmp"):
            with suppress(FileNotFoundError):
                if time.time() - leftover.stat().st_mtime > _DAY:
                    leftover.unlink()
        with hidden(folder) as path:
            yield path

    def _settle(self, temporary: Path, digest: Digest) -> None:
        """Give a complete file its name in the cache, in one step that survives a crash."""
        path = self.cached(digest)
        if not path.parent.is_dir():
            self._cache.makedirs(str(path.parent))
        self._cache.protect(str(temporary))
        temporary.replace(path)
        with suppress(OSError):  # some network file systems cannot
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def _clone(self, source: Path, target: Path, what: str) -> str:
        """Copy a file and return the SHA-256 of the copy; shares blocks where the file system can."""
        from dvc_objects.fs.system import reflink

        try:
            reflink(str(source), str(target))
        except FileNotFoundError:
            raise
        except OSError:
            sha256 = hashlib.sha256()
            with source.open("rb") as reader, target.open("xb") as writer:
                pour(reader, sha256.update, writer.write, report=self._reporter(what, reader))
                flush(writer)
            return sha256.hexdigest()
        return sha256_of(target)

    def _reporter(self, what: str, reader: BinaryIO) -> Callable[[int], None]:
        total = os.fstat(reader.fileno()).st_size
        return lambda done: self._progress(what, done, max(done, total))

    # ── the remote

    @cached_property
    def _url(self) -> str:
        return str(storage.default_remote(self._config).get("url", ""))

    @cached_property
    def _odb(self) -> Any:
        """DVC's object database of the default remote."""
        return storage.remote_objects(self._config)

    @property
    def _is_folder(self) -> bool:
        return bool(self._odb.fs.protocol == "local")

    def _require_folder(self) -> None:
        """Tell a folder that is not there (a disk not mounted) from one that lacks an object."""
        if self._is_folder and not self.is_embedded and not Path(self._url).is_dir():
            raise NotADirectoryError("that folder does not exist")

    def _in_remote(self, digest: Digest) -> Literal["present", "missing", "damaged"]:
        path = self._odb.oid_to_path(digest.md5)
        try:
            info = self._odb.fs.info(path)
        except FileNotFoundError as error:
            if storage.is_absent(error):
                return "missing"
            raise
        if info.get("type") != "file" or info.get("size") not in {None, digest.size}:
            return "damaged"
        if not self._is_folder:
            return "present"
        with Path(path).open("rb") as file:
            return judge(file, digest)

    def _upload(self, digest: Digest, name: str) -> None:
        source = self.fetch(digest, name)
        if self._in_remote(digest) == "present":
            return
        path = self._odb.oid_to_path(digest.md5)
        self._odb.makedirs(self._odb.fs.parent(path))
        self._odb.fs.put_file(str(source), path, callback=self._callback(name, digest.size))
        self._odb.protect(path)
        if (state := self._in_remote(digest)) != "present":
            raise Damaged(f"{name} is {state} in {self.location} right after it was stored there", hint=_HINT)

    def _download(self, digest: Digest, what: str, temporary: Path) -> None:
        """Write the remote's bytes to `temporary`; returns only when they are the right ones."""
        place = f"{self.location}/files/md5/{digest.md5[:2]}/{digest.md5[2:]}"
        data = self._committed(store_path(digest.md5)) if self.is_embedded and self._committed else None
        if data is not None:
            temporary.write_bytes(data)
        else:
            with self._remote_errors(f"cannot fetch {what} from {self.location}"):
                remote, progress = self._odb.oid_to_path(digest.md5), self._callback(what, digest.size)
                self._require_folder()
                try:
                    self._odb.fs.get_file(remote, str(temporary), callback=progress)
                except FileNotFoundError as error:
                    if not storage.is_absent(error):
                        raise
                    raise Damaged(
                        f"{what} is missing: {place} does not exist and DVC's cache has no copy (md5 {digest.md5})",
                        hint="run `dvc push` on a computer that still has the file; `gitops-registry doctor` says more",
                    ) from error
        with temporary.open("rb+") as written:
            flush(written)
            found = digested(written)
        if found != digest:
            path = store_path(digest.md5)
            raise Damaged(
                f"{what} is damaged in {place}: expected sha256 {digest.sha256} ({digest.size} bytes), "
                f"found {found.sha256} ({found.size} bytes)",
                hint=f"bring the good bytes back: git log -- {path}, then git checkout COMMIT -- {path} and commit it"
                if self.is_embedded
                else "`dvc push` it from a computer that has a good copy; what has none is registered again as a new version",
            )

    def _callback(self, what: str, total: int) -> Any:
        from fsspec.callbacks import Callback

        return Callback(size=total, hooks={"progress": lambda _size, done, **_: self._progress(what, done, total)})

    @contextmanager
    def _remote_errors(self, trouble: str) -> Iterator[None]:
        """Say in our words what a remote's file system raised."""
        if not self._url:
            raise RegistryError(
                f"{trouble}: there is no default remote",
                hint="add one with `dvc remote add -d storage <url>`; `dvc remote list` shows what there is",
            )
        try:
            yield
        except RegistryError:
            raise
        except Exception as error:  # the plug-ins' errors (botocore, aiohttp, asyncssh …) have no root in common
            why = storage.reason(error, self._config)
            plugin = re.search(r"requires '([\w-]+)' to be installed", why) if isinstance(error, ImportError) else None
            raise RegistryError(f"{trouble}: {why}", hint=f"pip install {plugin[1]}" if plugin else _HINT) from error

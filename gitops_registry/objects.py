"""Objects of DVC by their MD5: those of the cache on this machine, and those of the default remote.

It goes below `dvc.repo`: no stages, no index, no lock, no git. No object gets its name in the cache before it is
complete and right, so a process may be killed at any moment and any number of them may work on the same cache.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, Literal

from gitops_registry import storage
from gitops_registry.digests import (
    LEFTOVER,
    Digest,
    Wanted,
    digested,
    flush,
    hidden,
    is_it,
    judge,
    pour,
    sound,
)
from gitops_registry.errors import Damaged, RegistryError
from gitops_registry.inventory import SPARED, written
from gitops_registry.paths import EMBEDDED_STORE, store_path
from gitops_registry.plain_remote import Folder, plain_folder

Progress = Callable[[str, int, int], None]
"""Called with what is moved, the bytes done and the bytes in all."""
Committed = Callable[[str], bytes | None]
"""Returns the bytes of a repository path at the revision in use; None where there is none."""
State = Literal["present", "missing", "damaged"]

_DAY = 86_400
_LOCKED = "check what opens it: `dvc remote modify --local NAME user|password|keyfile|… VALUE`"
HINT = "see `dvc remote list`; `gitops-registry doctor` says what is wrong"


class Cache:
    """DVC's cache. `odb` is DVC's object database of it; it knows paths and modes, and has no index and no state."""

    def __init__(self, odb: Any, progress: Progress) -> None:
        self.odb = odb
        self._progress = progress

    def path(self, name: str) -> Path:
        """Return where the object of that name is, or would be."""
        return Path(self.odb.oid_to_path(name))

    def add(self, reader: BinaryIO, what: str) -> Digest:
        """Put an open file into the cache, read once, and return what it is; a good object that is there is kept."""
        with self.temporary() as temporary, temporary.open("xb") as writer:
            digest = digested(reader, writer.write, report=self._reporter(what, reader))
            path = self.path(digest.md5)
            if sound(path, digest, what) is not None:
                _make_young(path)
            else:
                flush(writer)
                self.settle(temporary, digest.md5)
        return digest

    def add_listing(self, data: bytes, name: str) -> None:
        """Put a list of a folder's files into the cache."""
        with suppress(FileNotFoundError):
            if self.path(name).read_bytes() == data:
                return
        with self.temporary() as temporary:
            with temporary.open("xb") as writer:
                writer.write(data)
                flush(writer)
            self.settle(temporary, name)

    @contextmanager
    def temporary(self) -> Iterator[Path]:
        """Yield a free path in the cache's file system; sweeps what killed processes left there long ago."""
        folder = Path(self.odb.path)
        if not folder.is_dir():
            self.odb.makedirs(str(folder))
        self._sweep(folder)
        with hidden(folder) as path:
            yield path

    def _sweep(self, folder: Path) -> None:
        if self.__dict__.setdefault("_is_swept", False):
            return
        self._is_swept = True
        for leftover in folder.glob(f".{LEFTOVER}*.tmp"):
            with suppress(FileNotFoundError):
                if time.time() - leftover.stat().st_mtime > _DAY:
                    leftover.unlink()

    def settle(self, temporary: Path, name: str) -> None:
        """Give a complete file its name, in one step that survives a crash."""
        path = self.path(name)
        if not path.parent.is_dir():
            self.odb.makedirs(str(path.parent))
        self.odb.protect(str(temporary))
        temporary.replace(path)
        with suppress(OSError):  # some network file systems cannot
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def clone(self, source: Path, target: Path, what: str) -> Digest:
        """Copy an object and return what the copy is; shares blocks where the file system can."""
        from dvc_objects.fs.system import reflink

        try:
            reflink(str(source), str(target))
        except FileNotFoundError:
            raise
        except OSError:
            md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
            with source.open("rb") as reader, target.open("xb") as writer:
                size = pour(reader, md5.update, sha256.update, writer.write, report=self._reporter(what, reader))
                flush(writer)
            return Digest(md5.hexdigest(), sha256.hexdigest(), size)
        with target.open("rb") as reader:
            return digested(reader)

    def _reporter(self, what: str, reader: BinaryIO) -> Callable[[int], None]:
        total = os.fstat(reader.fileno()).st_size
        return lambda done: self._progress(what, done, max(done, total))


def _make_young(path: Path) -> None:
    """Let an object that is old not be taken away before somebody names it again."""
    with suppress(OSError):
        if time.time() - path.stat().st_mtime > SPARED.total_seconds() / 2:
            os.utime(path)


class Remote:
    """The default remote of a registry whose `.dvc` is in `root`, or the store inside the repository.

    `config` returns DVC's configuration, and is asked only where a look into a plain folder does not do.
    """

    def __init__(
        self, root: Path, config: Callable[[], dict[str, Any]], *, committed: Committed | None, progress: Progress
    ) -> None:
        self._root = root
        self._config = config
        self._committed = committed
        self._progress = progress

    @cached_property
    def url(self) -> str:
        """Where it is, as DVC resolved it; empty when there is none."""
        return self._folder or str(storage.default_remote(self._config()).get("url", ""))

    @cached_property
    def _folder(self) -> str:
        """The folder that it is, where that can be known without DVC; else empty."""
        return plain_folder(self._root)

    @property
    def is_embedded(self) -> bool:
        """Whether it is the store inside the repository."""
        return storage.is_embedded(self._root, self.url)

    @property
    def location(self) -> str:
        """Where it is, for people: no credentials in it; empty when there is none."""
        return EMBEDDED_STORE if self.is_embedded else storage.public(self.url)

    @cached_property
    def odb(self) -> Any:
        """DVC's object database of it."""
        return storage.remote_objects(self._config())

    @cached_property
    def _seen(self) -> Any:
        """What objects are looked at through, which is quicker where it is a plain folder."""
        return Folder(self._folder) if self._folder else self.odb

    @property
    def is_folder(self) -> bool:
        """Whether its files are at hand."""
        return bool(self._seen.fs.protocol == "local")

    def require_folder(self) -> None:
        """Tell a folder that is not there (a disk not mounted) from one that lacks an object."""
        if self.is_folder and not self.is_embedded and not Path(self.url).is_dir():
            raise NotADirectoryError("that folder does not exist")

    def state(self, wanted: Wanted, *, deep: bool = False) -> State:
        """Say whether it has that object. Where the bytes are at hand, or with `deep`, they are looked at; else their size is."""
        if self.is_embedded and self._committed:
            data = self._committed(store_path(wanted.md5))
            return "missing" if data is None else judge(io.BytesIO(data), wanted)
        path = self._seen.oid_to_path(wanted.md5)
        try:
            info = self._seen.fs.info(path)
        except FileNotFoundError as error:
            if storage.is_absent(error):
                return "missing"
            raise
        size = wanted.size if isinstance(wanted, Digest) else info.get("size")
        if info.get("type") != "file" or info.get("size") not in {None, size}:
            return "damaged"
        if not (self.is_folder or deep):
            return "present"
        with self._seen.fs.open(path, "rb") as file:
            return judge(file, wanted)

    def read(self, name: str) -> Digest | None:
        """Return what the bytes of an object are, every one read; None where it is not there."""
        if self.is_embedded and self._committed:
            data = self._committed(store_path(name))
            return None if data is None else digested(io.BytesIO(data))
        try:
            with self._seen.fs.open(self._seen.oid_to_path(name), "rb") as file:
                return digested(file)
        except FileNotFoundError as error:
            if not storage.is_absent(error):
                raise
            return None

    def upload(self, source: Path, wanted: Wanted, what: str, size: int) -> None:
        """Store an object unless it is there already, and look at it again.

        One that lies there unused may be taken away when it is old, so it is made young before somebody names it again.
        """
        if self.state(wanted) == "present" and self._is_young(wanted):
            return
        path = self.odb.oid_to_path(wanted.md5)
        self.odb.makedirs(self.odb.fs.parent(path))
        self._put(source, path, self._callback(what, size))
        self.odb.protect(path)
        if (state := self.state(wanted)) != "present":
            raise Damaged(f"{what} is {state} in {self.location} right after it was stored there", hint=HINT)

    def _is_young(self, wanted: Wanted) -> bool:
        path = self.odb.oid_to_path(wanted.md5)
        when = written(self.odb.fs.info(path))
        if when is None or when > datetime.now(UTC) - SPARED / 2:
            return True
        if self.is_folder:
            with suppress(OSError):
                os.utime(path)
                return True
        return False

    def _put(self, source: Path, path: str, callback: Any) -> None:
        """Upload a file so that it has its name when it is complete: DVC and object stores do it, WebDAV is made to."""
        fs = self.odb.fs
        if not fs.protocol.startswith("webdav"):
            fs.put_file(str(source), path, callback=callback)
            return
        draft = fs.join(fs.parent(path), f".{LEFTOVER}{secrets.token_hex(8)}.tmp")
        try:
            fs.put_file(str(source), draft, callback=callback)
            fs.fs.client.move(draft, path, overwrite=True)
        except BaseException:
            with suppress(Exception):
                fs.rm_file(draft)
            raise

    def download(self, wanted: Wanted, what: str, temporary: Path) -> Digest:
        """Write the bytes of an object to `temporary` and return what they are: the right ones. Raises Damaged."""
        place = f"{self.location}/files/md5/{wanted.md5[:2]}/{wanted.md5[2:]}"
        data = self._committed(store_path(wanted.md5)) if self.is_embedded and self._committed else None
        if data is not None:
            temporary.write_bytes(data)
        else:
            with self.errors(f"cannot fetch {what} from {self.location}"):
                self._get(wanted, what, place, temporary)
        with temporary.open("rb+") as written:
            flush(written)
            found = digested(written)
        if is_it(found, wanted):
            return found
        expected = (
            (f"sha256 {wanted.sha256} ({wanted.size} bytes)", f"sha256 {found.sha256} ({found.size} bytes)")
            if isinstance(wanted, Digest)
            else (f"md5 {wanted.md5.removesuffix('.dir')}", f"md5 {found.md5} ({found.size} bytes)")
        )
        path = store_path(wanted.md5)
        raise Damaged(
            f"{what} is damaged in {place}: expected {expected[0]}, found {expected[1]}",
            hint=f"bring the good bytes back: git log -- {path}, then git checkout COMMIT -- {path} and commit it"
            if self.is_embedded
            else "remove it there, then `dvc push` from a computer that has a good copy; what has none is registered again",
        )

    def _get(self, wanted: Wanted, what: str, place: str, temporary: Path) -> None:
        size = wanted.size if isinstance(wanted, Digest) else None
        self.require_folder()
        try:
            remote = self.odb.oid_to_path(wanted.md5)
            self.odb.fs.get_file(remote, str(temporary), callback=self._callback(what, size))
        except FileNotFoundError as error:
            if not storage.is_absent(error):
                raise
            raise Damaged(
                f"{what} is missing: {place} does not exist and DVC's cache has no copy (md5 {wanted.md5})",
                hint="run `dvc push` on a computer that still has the file; `gitops-registry doctor` says more",
            ) from error

    def _callback(self, what: str, total: int | None) -> Any:
        from fsspec.callbacks import Callback

        def progress(size: int | None, done: int, **_: Any) -> None:
            self._progress(what, done, size or total or max(done, 1))

        return Callback(size=total, hooks={"progress": progress})

    @contextmanager
    def errors(self, trouble: str) -> Iterator[None]:
        """Say in our words what a remote's file system raised."""
        if not self.url:
            raise RegistryError(
                f"{trouble}: there is no default remote",
                hint="add one with `dvc remote add -d storage <url>`; `dvc remote list` shows what there is",
            )
        try:
            yield
        except RegistryError:
            raise
        except Exception as error:  # the plug-ins' errors (botocore, aiohttp, asyncssh …) have no root in common
            why = storage.reason(error, self._config())
            plugin = re.search(r"requires '([\w-]+)' to be installed", why) if isinstance(error, ImportError) else None
            hint = f"pip install {plugin[1]}" if plugin else _LOCKED if storage.is_refused(why) else HINT
            raise RegistryError(f"{trouble}: {why}", hint=hint) from error

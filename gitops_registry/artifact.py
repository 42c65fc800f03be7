"""The bytes of versions: DVC's cache, its default remote, and the store inside the repository.

With `objects`, which moves single objects, and `storage`, which reads DVC's configuration, the only module that knows
DVC; `dvc pull` and `dvc push` agree with them. DVC does not notice corruption; here no byte is handed out before its
SHA-256 matches. An artifact is a file or a folder of files; a `Digest` says which.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from gitops_registry import storage
from gitops_registry.digests import (
    Digest,
    Named,
    Wanted,
    at_once,
    disk,
    hidden,
    identity,
    is_it,
    name_first,
    require_file,
    require_same,
    sound,
)
from gitops_registry.errors import Damaged, RegistryError
from gitops_registry.inventory import Inventory
from gitops_registry.listing import LARGEST_LISTING, Member, read_listing
from gitops_registry.objects import Cache, Committed, Progress, Remote, State
from gitops_registry.trees import (
    digest_of_members,
    read_folder,
    require_members,
    require_same_folder,
    write_folder,
)


class Store:
    """The bytes of one registry: DVC's cache, its default remote, and the store inside the repository.

    `root` is the folder that holds `.dvc`. `committed` returns the bytes of a repository path at the revision in
    use (None when absent): the embedded store is read through it, so that what counts is what is committed.
    """

    def __init__(self, root: Path, *, committed: Committed | None = None, progress: Progress | None = None) -> None:
        self._root = Path(os.path.abspath(root))  # noqa: PTH100 - as DVC does: symlinks stay
        self._committed = committed
        self._progress: Progress = progress or _silent
        self.is_cache_alone = False
        """Whether `fetch` and `materialise` read the cache and nothing else, as where a stranger's bytes are opened."""
        self._names: dict[str, str] = {}
        self._made: dict[str, dict[str, tuple[Digest, tuple[int, int, int] | None]]] = {}

    @property
    def is_embedded(self) -> bool:
        """Whether the default remote is the store inside the repository."""
        return self._remote.is_embedded

    @property
    def location(self) -> str:
        """Where the default remote is, for people: no credentials in it; empty when there is none."""
        return self._remote.location

    def cached(self, digest: Digest) -> Path:
        """Return where the cache keeps that object (of a folder: the list of its files), whether or not it is there."""
        return self._cache.path(digest.md5)

    def objects(self, digest: Digest) -> dict[str, Path]:
        """Return the objects of an artifact that was added here: name → where the cache keeps it.

        A file is one object; a folder is one for its list and one for each different file.
        """
        names = [digest.md5]
        if digest.files is not None:
            names += dict.fromkeys(self._listing(digest, self._name_of(digest)).values())
        return {name: self._cache.path(name) for name in names}

    def inventory(self, *, of_cache: bool = False) -> Inventory:
        """Return what lies in the default remote, or in the cache. Raises RegistryError where the remote is away."""
        if of_cache:
            return Inventory(self._cache.odb, "DVC's cache on this computer", disk)
        with self._remote.errors(f"{self.location} cannot be listed"):
            self._remote.require_folder()
            return Inventory(self._remote.odb, self.location, self._remote.errors)

    def listed(self, name: str, what: str) -> bytes:
        """Return DVC's list of the files of a folder by its name, from the cache or the remote, its MD5 verified."""
        return self._object(Named(name), what)[0].read_bytes()

    def add(self, source: Path) -> Digest:
        """Put a file or a folder into the cache and return what it is; each file is read once and stays as it is.

        What was hashed is what was stored, even when a file changes meanwhile. Adding it again changes nothing;
        a corrupt object of that name is replaced. Raises RegistryError for anything that cannot be stored: what is no
        readable file, and in a folder symbolic links, special files, names that not every system can write.
        """
        with disk(f"cannot store {source} in DVC's cache"):
            if source.is_dir():
                members = read_folder(source, lambda reader, path: self._cache.add(reader, f"{source.name}/{path}"))
                digest, data = digest_of_members(members)
                self._cache.add_listing(data, digest.md5)
                self._made[digest.md5] = self._as_left({m.path: Digest(m.md5, m.sha256, m.size) for m in members})
            else:
                require_file(source)
                with source.open("rb") as reader:
                    digest = self._cache.add(reader, source.name)
                self._made[digest.md5] = self._as_left({"": digest})
        self._names[digest.md5] = source.name
        return digest

    def push(self, digests: Sequence[Digest]) -> None:
        """Make sure that the default remote has every one of these artifacts; nothing to do for the embedded store.

        What is in the cache is verified first, unless it was put there a moment ago and nobody touched it since; a damaged
        object in the remote is replaced, and what was uploaded is looked at again. Raises RegistryError when the remote cannot be used, Damaged when the cache is wrong.
        """
        if self.is_embedded:
            return
        for digest in digests:
            name = self._name_of(digest)
            with self._remote.errors(f"cannot store {name} in {self.location}"):
                if not self.cached(digest).exists() and self._state(digest) == "present":
                    continue
                if digest.files is None:
                    source = self.cached(digest) if self._untouched(digest) else self._object(digest, name)[0]
                    self._remote.upload(source, digest, name, digest.size)
                else:
                    self._push_folder(digest, name)

    def _as_left(self, files: Mapping[str, Digest]) -> dict[str, tuple[Digest, tuple[int, int, int] | None]]:
        """Return the objects of an artifact with what tells that somebody touched one in the cache."""
        return {path: (one, identity(self._cache.path(one.md5))) for path, one in files.items()}

    def _untouched(self, digest: Digest) -> dict[str, Digest]:
        """Return the objects of an artifact that this store put into the cache, where they lie as it left them; else nothing."""
        made = self._made.get(digest.md5, {})
        if any(mark is None or identity(self._cache.path(one.md5)) != mark for one, mark in made.values()):
            return {}
        return {path: one for path, (one, _) in made.items()}

    def trouble(self) -> str:
        """Say why the default remote cannot be used now; empty when it can."""
        if self.is_embedded:
            return ""
        try:
            with self._remote.errors(f"{self.location} cannot be used"):
                self._remote.require_folder()
                self._remote.odb.fs.exists(self._remote.odb.oid_to_path("0" * 32))
        except RegistryError as error:
            return f"{error.message} ({error.hint})" if error.hint.startswith("pip") else error.message
        return ""

    def presence(self, digest: Digest, *, deep: bool = False) -> State | None:
        """Say whether the default remote has that artifact; None when there is no remote or it cannot be reached.

        `damaged` is a wrong size; where the bytes are at hand (a folder, the embedded store), or with `deep`, also wrong
        bytes. Of a folder every file is looked for.
        """
        try:
            with self._remote.errors("cannot look into the remote"):
                if not self.is_embedded:
                    self._remote.require_folder()
                return self._state(digest, deep=deep)
        except RegistryError:
            return None

    def held(self, digest: Digest) -> State:
        """Say whether the cache has that artifact, every byte looked at. Raises RegistryError where it cannot be read."""
        with disk(f"cannot read {self.cached(digest)}"):
            if not self.cached(digest).exists():
                return "missing"
            try:
                if digest.files is None:
                    return "present" if sound(self.cached(digest), digest, "") else "damaged"
                files = self._parsed(self.cached(digest), digest, "")
                found = {md5: sound(self._cache.path(md5), Named(md5), "") for md5 in files.values()}
                if any(not self._cache.path(md5).exists() for md5 in found):
                    return "missing"
                require_members(_members(files, {md5: one for md5, one in found.items() if one}), digest, "")
            except (Damaged, KeyError):
                return "damaged"
        return "present"

    def fetch(self, digest: Digest, what: str) -> Path:
        """Return the path of verified bytes in the cache, downloading them when the cache has none or wrong ones.

        The SHA-256 is computed on every call; the file must not be changed. Of a folder every file is verified, and the
        path is that of DVC's list of them: `materialise` gives the folder. `what` names the artifact in errors. Raises
        Damaged when bytes are missing or wrong where they should be, RegistryError when the remote cannot be used. A
        corrupt object does not stay in the cache.
        """
        if digest.files is None:
            return self._object(digest, what)[0]
        self._gathered(digest, what)
        return self.cached(digest)

    def materialise(self, digest: Digest, target: Path, what: str) -> None:
        """Leave the verified bytes at `target`: a private, writable file or folder that appears complete or not at all.

        Nothing is done when the same bytes are there already. Raises RegistryError when something else is.
        """
        with disk(f"cannot write {what} to {target}"):
            if os.path.lexists(target):
                same = require_same if digest.files is None else require_same_folder
                return same(target, digest, what)
            target.parent.mkdir(parents=True, exist_ok=True)
            if digest.files is None:
                with hidden(target.parent) as temporary:
                    self._copy(digest, temporary, what)
                    if not name_first(temporary, target):
                        require_same(target, digest, what)
                return None
            files = self._listing(digest, what)
            write_folder(
                target, files, digest=digest, what=what,
                write=lambda path, md5, file: self._copy(Named(md5), file, f"{what}/{path}"),
            )  # fmt: skip
        return None

    # ── single objects

    @cached_property
    def _config(self) -> dict[str, Any]:
        return storage.read_config(self._root)

    @cached_property
    def _cache(self) -> Cache:
        return Cache(storage.cache_objects(self._config, self._root), self._progress)

    @cached_property
    def _remote(self) -> Remote:
        return Remote(self._root, lambda: self._config, committed=self._committed, progress=self._progress)

    def _name_of(self, digest: Digest) -> str:
        return self._names.get(digest.md5, "artifact") + f" (md5 {digest.md5})"

    def _object(self, wanted: Wanted, what: str) -> tuple[Path, Digest]:
        """Return where the cache has an object and what it is, downloaded when the cache has none or a wrong one."""
        path = self._cache.path(wanted.md5)
        with disk(f"cannot read {what} in DVC's cache"):
            corrupt = identity(path)
            found = sound(path, wanted, what)
            if found is not None:
                return path, found
        if self.is_cache_alone:
            state = "damaged" if corrupt else "missing"
            raise Damaged(f"{what} is {state} in the cache", hint="gitops-registry verify --changed fetches it first")
        try:
            with disk(f"cannot write {what} into DVC's cache"), self._cache.temporary() as temporary:
                found = self._remote.download(wanted, what, temporary)
                self._cache.settle(temporary, wanted.md5)
        except BaseException:
            with suppress(OSError):
                if corrupt and corrupt == identity(path):  # nobody healed it meanwhile
                    path.unlink()
            raise
        return path, found

    def _copy(self, wanted: Wanted, target: Path, what: str) -> Digest:
        """Write an object to a free path and return what was written: the right bytes."""
        find: Callable[[], Path]
        for find in (lambda: self._cache.path(wanted.md5), lambda: self._object(wanted, what)[0]):
            with suppress(FileNotFoundError):
                found = self._cache.clone(find(), target, what)
                if is_it(found, wanted):
                    return found
                target.unlink()
        raise Damaged(f"{what} changed while it was copied to {target}", hint="check this computer's disk")

    # ── folders

    def _listing(self, digest: Digest, what: str) -> dict[str, str]:
        """Return path → MD5 of the files of a folder."""
        return self._parsed(self._object(Named(digest.md5), f"{what} (the list of its files)")[0], digest, what)

    @staticmethod
    def _parsed(path: Path, digest: Digest, what: str) -> dict[str, str]:
        if path.stat().st_size > LARGEST_LISTING:
            raise Damaged(f"{what}: the list of its files has more than {LARGEST_LISTING:,} bytes")
        files = read_listing(path.read_bytes(), digest.md5, what)
        if len(files) != digest.files:
            raise Damaged(
                f"{what}: expected {digest.files} files, found {len(files)}", hint="`version.yaml` was altered"
            )
        return files

    def _gathered(self, digest: Digest, what: str) -> dict[str, Digest]:
        """Return MD5 → what it is of the files of a folder, all of which are in the cache then, and right."""
        files = self._listing(digest, what)
        of = {md5: path for path, md5 in files.items()}
        done, found = 0, {}
        for md5, one in zip(of, at_once(lambda md5: self._object(Named(md5), f"{what}/{of[md5]}")[1], of), strict=True):
            found[md5] = one
            done += one.size
            self._progress(what, done, max(done, digest.size))
        require_members(_members(files, found), digest, what)
        return found

    def _push_folder(self, digest: Digest, name: str) -> None:
        """Upload the files of a folder and then the list of them, so that a list in the remote is never alone."""
        files = self._untouched(digest) or self._gathered(digest, name)
        done = 0

        def upload(one: Digest) -> int:
            self._remote.upload(self._cache.path(one.md5), one, name, one.size)
            return one.size

        for size in at_once(upload, files.values()):
            done += size
            self._progress(name, done, max(done, digest.size))
        listing = self.cached(digest)
        self._remote.upload(listing, Named(digest.md5), name, listing.stat().st_size)

    def _state(self, digest: Digest, *, deep: bool = False) -> State:
        if digest.files is None:
            return self._remote.state(digest, deep=deep)
        state = self._remote.state(Named(digest.md5))
        if state != "present":
            return state
        try:
            files = self._listing(digest, "")
        except Damaged:
            return "damaged"
        if not (deep or self.is_embedded or self._remote.is_folder):
            states = set(at_once(lambda md5: self._remote.state(Named(md5)), dict.fromkeys(files.values())))
            return "missing" if "missing" in states else "damaged" if "damaged" in states else "present"
        names = dict.fromkeys(files.values())
        found = dict(zip(names, at_once(self._remote.read, names), strict=True))
        if None in found.values():
            return "missing"
        there = {md5: one for md5, one in found.items() if one is not None}
        return "present" if digest_of_members(_members(files, there))[0] == digest else "damaged"


def _members(files: Mapping[str, str], found: Mapping[str, Digest]) -> tuple[Member, ...]:
    return tuple(Member(path, found[md5].md5, found[md5].sha256, found[md5].size) for path, md5 in files.items())


def _silent(_what: str, _done: int, _total: int) -> None:
    pass

"""Reading decisions in bulk, oldest first: one git process walks, one hands out objects, and no file is parsed twice.

The registry on both sides of a decision is known from what the decisions before it changed, so no tree is read. A step's
snapshots are good until the next step is asked for.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from gitops_registry import paths
from gitops_registry.errors import Damaged, ManifestError
from gitops_registry.git.line import steps_of
from gitops_registry.git.parsing import Commit, parse_commit
from gitops_registry.git.repository import EMPTY_TREE, Repository
from gitops_registry.git.sources import RevisionSource
from gitops_registry.manifest.parts import Document
from gitops_registry.manifest.reading import MAX_BYTES, Parsed
from gitops_registry.paths import place_of
from gitops_registry.snapshot import PathChange, Snapshot

D = TypeVar("D", bound=Document)
_AT_ONCE = 250
"""Decisions whose commits and manifests are asked for together."""
_PARSED, _BLOBS = 4_000, 200
LARGEST_COMMIT, _LARGEST_ALONE = 1 << 20, 1 << 26
"""Bytes of the largest commit that a server takes, and of the largest that is read at all."""
_READ = frozenset({"model", "constitution", "access", "policy", "waiver"})
"""Roles of the files that a semantic difference reads nearly always."""
_SUBMODULE = "160000"


@dataclass(frozen=True)
class Step:
    """One decision as git has it: the bytes of its commit, the paths it changed, and the registry on both sides."""

    data: bytes
    commit: Commit
    changed: Sequence[PathChange]
    before: Snapshot
    after: Snapshot

    @property
    def parent(self) -> str:
        """The decision before it; empty for the first commit."""
        return self.commit.parents[0] if self.commit.parents else ""

    @property
    def law(self) -> Snapshot:
        """The registry whose rules and keys judge it: the one before, or its own where there was none."""
        return self.before if is_registry(self.before) else self.after


class Walk:
    """Decisions of one line, oldest first, told by their commits; where they follow each other no tree is read. It can be gone once."""

    def __init__(self, repository: Repository, commits: Sequence[str]) -> None:
        self.repository = repository
        self._commits = commits
        self._base: RevisionSource | None = None
        self._now: dict[str, str] = {}
        self._ahead: dict[str, bytes] = {}
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self.parsed: OrderedDict[tuple[str, str, type[Document]], Parsed[Document]] = OrderedDict()

    def steps(self) -> Iterator[Step]:
        """Yield the decisions. Raises Damaged where git lost a commit."""
        found = steps_of(self.repository, self._commits)
        previous = None
        while some := list(islice(found, _AT_ONCE)):
            commits = list(self.repository.objects.get_many([oid for oid, _ in some], limit=LARGEST_COMMIT))
            self._fetch(changed for _, changed in some)
            for (oid, changed), raw in zip(some, commits, strict=True):
                if raw is None or raw.data is None:  # one with a book for a message is read alone, and hides no other
                    raw = self.repository.objects.get(oid, limit=_LARGEST_ALONE)
                if raw is None or raw.data is None:
                    raise Damaged(
                        f"git has lost the commit {oid[:12]}, or it is larger than 64 MiB", hint="see: git fsck"
                    )
                commit = parse_commit(oid, raw.data)
                parent = commit.parents[0] if commit.parents else ""
                if parent != previous:
                    self._base, self._now = self.repository.source(parent) if parent else None, {}
                was = {path.path: "" if path.old_mode == _SUBMODULE else path.old_oid for path in changed}
                becomes = {path.path: "" if path.new_mode == _SUBMODULE else path.new_oid for path in changed}
                before = _Seen(_Side(self, parent or EMPTY_TREE, was))
                after = _Seen(_Side(self, oid, becomes))
                yield Step(raw.data, commit, changed, before, after)
                self._now.update(becomes)
                previous = oid

    def _fetch(self, changes: Iterator[Sequence[PathChange]]) -> None:
        """Have the manifests of some decisions handed out together."""
        wanted = dict.fromkeys(
            oid
            for changed in changes
            for path in changed
            if place_of(path.path).role in _READ
            for oid in (path.old_oid, path.new_oid)
            if oid and oid not in self._ahead and oid not in self._kept
        )
        self._ahead = {
            one.oid: one.data
            for one in self.repository.objects.get_many(list(wanted), limit=MAX_BYTES)
            if one and one.type == "blob" and one.data is not None
        }

    def now(self, path: str) -> str:
        """Return the object that the decision at hand finds at a path, and leaves there; empty where there is none."""
        found = self._now.get(path)
        if found is None:
            found = self._now[path] = self._base.oid(path) if self._base is not None else ""
        return found

    def blob(self, oid: str, path: str, limit: int) -> bytes | None:
        """Return the bytes of a file by its object. Raises Damaged where git lost it, ManifestError where it is too large."""
        data = self._ahead.get(oid)
        if data is None:
            data = self._kept.get(oid)
        if data is None or len(data) > limit:
            source = self.repository.source(EMPTY_TREE)
            data = source.read_object(oid, path, limit)
        if data is not None and place_of(path).role in _READ:
            self._kept[oid] = data
            while len(self._kept) > _BLOBS:
                self._kept.popitem(last=False)
        return data

    def folder(self, commit: str) -> RevisionSource:
        """Return what lists folders of a commit, which few decisions need."""
        return self.repository.source(commit)


class _Side:
    """One side of a decision as a source: what changes, as it is on that side, and for the rest what earlier decisions left."""

    def __init__(self, walk: Walk, commit: str, own: Mapping[str, str]) -> None:
        self.label = commit[:12]
        self._walk, self._commit, self._own = walk, commit, own

    def oid(self, path: str) -> str:
        found = self._own.get(path)
        return self._walk.now(path) if found is None else found

    def read(self, path: str, limit: int) -> bytes | None:
        oid = self.oid(path)
        return self._walk.blob(oid, path, limit) if oid else None

    def read_object(self, oid: str, path: str, limit: int) -> bytes | None:
        return self._walk.blob(oid, path, limit)

    def children(self, folder: str) -> tuple[str, ...]:
        return self._walk.folder(self._commit).children(folder)

    def read_ahead(self, oids: Mapping[str, str], limit: int) -> None:
        """Do nothing: what decisions change is fetched for many at a time."""


class _Seen(Snapshot):
    """A snapshot that shares what was parsed with those before it, by object."""

    def __init__(self, side: _Side) -> None:
        super().__init__(side)
        self._walk = side._walk

    def parsed(self, path: str, kind: type[D]) -> Parsed[D] | None:
        key = (self.oid(path), path, kind)
        known = self._walk.parsed.get(key)
        if known is None:
            found = super().parsed(path, kind)
            if found is None:
                return None
            known = self._walk.parsed[key] = found  # type: ignore[assignment]
            while len(self._walk.parsed) > _PARSED:
                self._walk.parsed.popitem(last=False)
        return known  # type: ignore[return-value]


def is_registry(side: Snapshot) -> bool:
    """Say whether there is a registry on that side."""
    return side.oid(paths.CONSTITUTION) != ""


def is_readable(side: Snapshot) -> bool:
    """Say whether the constitution of that side is there and can be read."""
    try:
        return is_registry(side) and bool(side.constitution)
    except ManifestError:
        return False

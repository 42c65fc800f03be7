"""Where the bytes of a revision come from: a commit, or a commit with what the work tree changes.

All answer the same questions. None holds a file that is larger than the caller's limit, and none
follows a symbolic link in place of a file.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from gitops_registry.errors import Damaged, ManifestError
from gitops_registry.git.process import Object, Objects
from gitops_registry.snapshot import PathChange, Snapshot, blob_id


class RevisionSource:
    """The files of one commit."""

    def __init__(self, objects: Objects, commit: str, label: str) -> None:
        self.label = label
        self.commit = commit
        self._objects = objects
        self._trees: OrderedDict[str, dict[str, _Entry] | None] = OrderedDict()
        self._ahead: dict[str, bytes] = {}

    def read(self, path: str, limit: int) -> bytes | None:
        if (ahead := self._ahead.get(path)) is not None and len(ahead) <= limit:
            return ahead
        return self._content(self._find(path, limit), path, limit)

    def read_object(self, oid: str, path: str, limit: int) -> bytes | None:
        found = self._objects.get(oid, limit=limit)
        if found is None:
            raise _lost(path)
        return self._content(found, path, limit)

    @staticmethod
    def _content(found: Object | None, path: str, limit: int) -> bytes | None:
        if found is None:
            return None
        if found.type != "blob":
            raise ManifestError("a folder where a file is expected", path=path, hint="remove the folder")
        if found.data is None:
            raise ManifestError(
                f"{found.size:,} bytes; at most {limit:,} are read",
                path=path,
                hint="a manifest is small; track bytes with DVC",
            )
        return found.data

    def oid(self, path: str) -> str:
        found = self._find(path, 0)
        return found.oid if found and found.type == "blob" else ""

    def children(self, folder: str) -> tuple[str, ...]:
        return tuple(sorted(self._entries(folder) or ()))

    def read_ahead(self, oids: Mapping[str, str], limit: int) -> None:
        found = self._objects.get_many(list(oids.values()), limit=limit)
        self._ahead = {
            path: one.data
            for path, one in zip(oids, found, strict=True)
            if one and one.type == "blob" and one.data is not None
        }

    def _find(self, path: str, limit: int) -> Object | None:
        """Return what lies at a path, None where nothing does. Raises Damaged where git lost what its tree names.

        Git says "missing" of both, and whoever took the second for the first would write over what was lost. It finds
        a path by walking the trees above it; where the folder was looked at before, its own id is asked for instead.
        """
        folder, _, name = path.rpartition("/")
        if folder not in self._trees:
            found = self._objects.get(f"{self.commit}:{path}", limit=limit)
            if found is not None:
                return found
        entry = (self._entries(folder) or {}).get(name)
        if entry is None or entry.mode == _SUBMODULE:
            return None
        found = self._objects.get(entry.oid, limit=limit)
        if found is None:
            raise _lost(path)
        return found

    def _entries(self, folder: str) -> dict[str, _Entry] | None:
        """Return name → entry of what is in a folder; None where there is no folder. Raises Damaged where git lost it."""
        if folder not in self._trees:
            if folder:
                above, _, name = folder.rpartition("/")
                entry = (self._entries(above) or {}).get(name)
                tree = self._objects.get(entry.oid) if entry else None
                if entry is not None and tree is None and entry.mode != _SUBMODULE:
                    raise _lost(folder)
            else:
                tree = self._objects.get(f"{self.commit}^{{tree}}")
                if tree is None:
                    raise _lost("the registry's root")
            self._trees[folder] = _parse_tree(tree)
            while len(self._trees) > _KEPT:
                self._trees.popitem(last=False)
        self._trees.move_to_end(folder)
        return self._trees[folder]


class _Entry(NamedTuple):
    mode: str
    oid: str


_SUBMODULE = "160000"
_KEPT = 32
"""Folders of a commit that are remembered: a change looks at few, and again and again."""


def _parse_tree(tree: Object | None) -> dict[str, _Entry] | None:
    if tree is None or tree.type != "tree" or tree.data is None:
        return None
    found = re.findall(rb"([0-7]{5,6}) ([^\0]+)\0(.{20})", tree.data, re.DOTALL)
    return {name.decode(errors="surrogateescape"): _Entry(mode.decode(), oid.hex()) for mode, name, oid in found}


def _lost(path: str) -> Damaged:
    return Damaged(f"git has lost the object of {path}", hint="fetch it from a clone that has it; see: git fsck")


class WorkingSource:
    """The files of a commit, and those that the work tree changes as they lie on disk.

    What git calls unchanged is read from the commit: so it is what a commit of the work tree would hold, whatever git's
    filters, a sparse checkout or ignored files leave on this disk.
    """

    def __init__(self, committed: RevisionSource, root: Path, changed: Sequence[PathChange]) -> None:
        self.label = "the work tree"
        self._committed = committed
        self._disk = WorkTreeSource(root)
        self._changed = {change.path for change in changed}
        self._shape = Snapshot(committed, {change.path: b"" if change.new_oid else None for change in changed})

    def read(self, path: str, limit: int) -> bytes | None:
        return (self._disk if path in self._changed else self._committed).read(path, limit)

    def read_object(self, oid: str, path: str, limit: int) -> bytes | None:
        if path in self._changed:  # the disk has no object ids
            return self._disk.read(path, limit)
        return self._committed.read_object(oid, path, limit)

    def oid(self, path: str) -> str:
        return self._disk.oid(path) if path in self._changed else self._committed.oid(path)

    def children(self, folder: str) -> tuple[str, ...]:
        return self._shape.children(folder)

    def read_ahead(self, oids: Mapping[str, str], limit: int) -> None:
        self._committed.read_ahead({path: oid for path, oid in oids.items() if path not in self._changed}, limit)


class WorkTreeSource:
    """The files of the work tree as they lie on disk."""

    def __init__(self, root: Path) -> None:
        self.label = "the work tree"
        self._root = root

    def read(self, path: str, limit: int) -> bytes | None:
        file = self._root / path
        if file.is_symlink():
            raise ManifestError("a symbolic link where a file is expected", path=path, hint="replace it by the file")
        if file.is_dir():
            raise ManifestError("a folder where a file is expected", path=path, hint="remove the folder")
        if file.exists() and not file.is_file():
            raise ManifestError("no regular file", path=path, hint="remove it")
        try:
            if file.stat().st_size > limit:
                raise ManifestError(
                    f"{file.stat().st_size:,} bytes; at most {limit:,} are read",
                    path=path,
                    hint="a manifest is small; track bytes with DVC",
                )
            return file.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise ManifestError(f"cannot be read: {error.strerror}", path=path) from error

    def read_object(self, oid: str, path: str, limit: int) -> bytes | None:  # noqa: ARG002 - the disk has no object ids
        return self.read(path, limit)

    def oid(self, path: str) -> str:
        file = self._root / path
        return blob_id(file.read_bytes()) if file.is_file() else ""

    def children(self, folder: str) -> tuple[str, ...]:
        try:
            return tuple(sorted(child.name for child in (self._root / folder).iterdir()))
        except (FileNotFoundError, NotADirectoryError):
            return ()

    def read_ahead(self, oids: Mapping[str, str], limit: int) -> None:
        """Do nothing: a disk reads ahead by itself."""

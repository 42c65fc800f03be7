"""The steps of one line that touched some folders, read once, so that whoever judges many of its decisions walks it once.

What a commit of the line had before it is a part of what its end has. A commit's past never changes, so this is never stale.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gitops_registry.snapshot import PathChange

Steps = Iterator[tuple[str, list[PathChange]]]


class Walked:
    """The steps of a line, whose commits are given newest first, and what those that touched the folders changed there."""

    def __init__(
        self, line: Sequence[str], folders: Sequence[str], steps: Sequence[tuple[str, list[PathChange]]]
    ) -> None:
        self._place = {oid: at for at, oid in enumerate(line)}
        self._folders = tuple(folders)
        self._steps = steps

    def knows(self, tip: str, folders: Sequence[str]) -> bool:
        """Say whether a commit is in the line, and whether the folders are within those that were read."""
        return tip in self._place and all(_is_within(folder, self._folders) for folder in folders)

    def steps(self, tip: str, folders: Sequence[str]) -> Steps:
        """Yield the steps to a commit of the line that touch the folders, newest first, each with the paths it changed there."""
        start = self._place[tip]
        for oid, changed in self._steps:
            own = [change for change in changed if _is_within(change.path, folders)]
            if own and self._place[oid] >= start:
                yield oid, own


def _is_within(path: str, folders: Sequence[str]) -> bool:
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)
